"""Unchanged answers are not sent again, and what is made under a key is made once."""

from typing import Any

import pytest
from allauth.mfa.totp.internal import auth as totp
from django.test import Client

from labs.jobs.models import Trigger
from labs.jobs.services import trigger_create, trigger_pause
from labs.lifecycle.models import Lab
from labs.lifecycle.wishes import Wish
from labs.people.models import ApiRequest, ApiToken, Group
from tests.support.callers import BASE, Caller

pytestmark = pytest.mark.django_db
GROUP = {"kind": "organisation", "name": "Institute", "slug": "institute"}


def test_an_unchanged_answer_is_not_sent_again(calls: Any, alice: Any, lab_of: Any) -> None:
    caller = calls(alice)
    tag = caller.get("/labs")["ETag"]
    browser = Client(headers={"Authorization": f"Bearer {caller.secret}", "If-None-Match": tag})
    again = browser.get(f"{BASE}/labs")
    assert (again.status_code, again.content) == (304, b"")
    lab_of(alice)
    assert browser.get(f"{BASE}/labs").status_code == 200


def test_what_is_sent_twice_under_one_key_is_made_once(calls: Any, root_admin: Any) -> None:
    caller = calls(root_admin)
    first, second = (caller.post("/groups", GROUP, key="one") for _ in range(2))
    assert (first.status_code, second.status_code, first.json()) == (201, 201, second.json())
    assert Group.objects.filter(slug="institute").count() == 1


def test_a_secret_comes_back_under_its_key_and_is_not_readable_in_the_record(calls: Any, alice: Any) -> None:
    caller = calls(alice)
    first, second = (caller.post("/me/tokens", {"name": "ci"}, key="one") for _ in range(2))
    assert first.json()["secret"] == second.json()["secret"]
    assert ApiToken.objects.filter(user=alice, name="ci").count() == 1
    assert first.json()["secret"] not in ApiRequest.objects.get().answer_sealed


def test_a_key_of_another_request_or_of_another_caller_is_not_this_one(calls: Any, root_admin: Any, alice: Any) -> None:
    caller = calls(root_admin)
    caller.post("/groups", GROUP, key="one")
    other = caller.post("/groups", GROUP | {"slug": "another"}, key="one")
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")
    assert calls(alice).post("/me/tokens", {"name": "ci"}, key="one").status_code == 201


def test_a_refusal_is_not_kept(calls: Any, root_admin: Any) -> None:
    caller = calls(root_admin)
    assert caller.post("/groups", GROUP | {"kind": "team"}, key="one").status_code == 422
    assert caller.post("/groups", GROUP, key="one").status_code == 201


def test_a_revoked_token_gets_no_kept_answer(calls: Any, alice: Any) -> None:
    caller = calls(alice)
    caller.post("/me/tokens", {"name": "ci"}, key="one")
    ApiToken.objects.filter(user=alice, name="test").update(revoked_at=alice.date_joined)
    again = caller.post("/me/tokens", {"name": "ci"}, key="one")
    assert again.status_code == 401 and "secret" not in again.json()


def test_a_change_that_was_meant_for_another_state_is_not_made(calls: Any, alice: Any, lab_of: Any, running: Any) -> None:
    caller, lab = calls(alice), running(lab_of(alice), [])
    tag = caller.get(f"/labs/{lab.pk}")["ETag"]
    assert caller.send("POST", f"/labs/{lab.pk}/extend", {"hours": 5}, If_Match=tag).status_code == 200
    late = caller.send("POST", f"/labs/{lab.pk}/stop", If_Match=tag)
    assert (late.status_code, late["Content-Type"], late.json()["code"]) == (412, "application/problem+json", "changed")
    assert caller.get(f"/labs/{lab.pk}").json()["state"] == "running"
    assert caller.send("POST", f"/labs/{lab.pk}/stop", If_Match=caller.get(f"/labs/{lab.pk}")["ETag"]).status_code == 200


def test_what_is_removed_or_changed_by_its_own_address_is_compared_as_well(calls: Any, root_admin: Any, alice: Any) -> None:
    caller = calls(root_admin)
    address, tag = f"/people/{alice.pk}", caller.get(f"/people/{alice.pk}")["ETag"]
    assert caller.send("PATCH", address, {"display_name": "Ada"}, If_Match=tag).status_code == 200
    assert caller.send("PATCH", address, {"display_name": "Eve"}, If_Match=tag).status_code == 412
    assert caller.get(address).json()["display_name"] == "Ada"
    assert caller.send("PATCH", address, {"display_name": "Eve"}, If_Match="*").status_code == 200


def test_a_strangers_thing_is_not_there_whatever_is_expected_of_it(calls: Any, alice: Any, charlie: Any, lab_of: Any, running: Any) -> None:
    lab = running(lab_of(alice), [])
    tag = calls(alice).get(f"/labs/{lab.pk}")["ETag"]
    assert [calls(charlie).send("POST", f"/labs/{lab.pk}/stop", If_Match=one).status_code for one in (tag, '"other"', "*")] == [404] * 3


def test_what_was_made_under_a_key_is_answered_again_though_it_changed_what_was_expected(calls: Any, alice: Any, lab_of: Any, running: Any) -> None:
    caller, lab = calls(alice), running(lab_of(alice), [])
    tag = caller.get(f"/labs/{lab.pk}")["ETag"]
    answers = [caller.send("POST", f"/labs/{lab.pk}/extend", {"hours": 5}, If_Match=tag, Idempotency_Key="one") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]


def test_every_read_of_a_single_thing_has_a_tag_and_tells_the_rate(calls: Any, root_admin: Any, alice: Any, lab_of: Any, node: Any) -> None:
    lab, caller = lab_of(alice), calls(root_admin)
    for path in (f"/labs/{lab.pk}", f"/people/{alice.pk}", f"/nodes/{node.pk}", "/gpus/GPU-00000000-test", "/me", "/house"):
        answer = caller.get(path)
        assert answer.status_code == 200, path
        assert answer["ETag"] and {"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"} <= set(answer.headers)


def test_every_list_is_in_pages(calls: Any, root_admin: Any) -> None:
    paths = Client().get(f"{BASE}/openapi.json").json()["paths"]
    caller, lists = calls(root_admin), {}
    for address, methods in paths.items():
        reply = methods.get("get", {}).get("responses", {}).get(200) or methods.get("get", {}).get("responses", {}).get("200")
        if reply and "{" not in address and "items" in str(caller.get(address.removeprefix("/api/v1")).json()):
            lists[address] = {one["name"] for one in methods["get"]["parameters"]}
    without = {address for address, names in lists.items() if "cursor" not in names}
    assert without <= {"/api/v1/me/choices"}, "what is no row of a table: every sort of message"
    assert len(lists) > 12


def test_pages_of_the_queue_neither_repeat_nor_skip(calls: Any, root_admin: Any, alice: Any, lab_of: Any) -> None:
    labs = [lab_of(alice, name=f"l{number}") for number in range(5)]
    caller, seen = calls(root_admin), []
    address = "/queue?limit=2"
    while address:
        page = caller.get(address).json()
        seen += [one["lab"] for one in page["items"]]
        address = page["next"].partition("/api/v1")[2] if page["next"] else ""
    assert sorted(seen) == sorted(lab.pk for lab in labs)


def test_a_page_behind_one_that_has_gone_goes_on_in_its_place(calls: Any, alice: Any, lab_of: Any) -> None:
    for number in range(4):
        lab_of(alice, name=f"l{number}")
    caller = calls(alice)
    first = caller.get("/queue?limit=2").json()
    second = first["items"][1]["lab"]
    rest = [one["lab"] for one in caller.get("/queue").json()["items"]][2:]
    caller.post(f"/labs/{second}/stop")
    assert [one["lab"] for one in caller.get(first["next"].partition("/api/v1")[2]).json()["items"]] == rest


def test_a_token_that_administers_asks_for_the_second_factor_that_the_house_demands(calls: Any, root_admin: Any, settings: Any) -> None:
    caller, lesser = calls(root_admin), calls(root_admin, "launch")
    settings.ADMIN_TWO_FACTOR = True
    refused = caller.get("/people")
    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope") and "second factor" in refused.json()["detail"]
    assert caller.get("/me").status_code == 403 and lesser.get("/me").status_code == 200
    totp.TOTP.activate(root_admin, totp.generate_totp_secret())
    assert caller.get("/people").status_code == 200


@pytest.fixture
def called(alice: Any, image: Any, node: Any, now: Any) -> tuple[Trigger, Caller]:
    """A kept job of alice's that another program calls, and that program."""
    wish = Wish(image_id=image.pk, gpus=0, cpus=2, memory_gib=4, hours=2, command=("python", "nightly.py"))
    kept, secret = trigger_create(owner=alice, name="on-push", wish=wish, kind="call", now=now)
    return kept, Caller(secret)


def test_a_job_that_is_called_twice_under_one_key_runs_once(called: tuple[Trigger, Caller]) -> None:
    kept, program = called
    first, second = (program.post("/jobs/call", key="push-41") for _ in range(2))
    assert (first.status_code, second.status_code, first.json()["id"]) == (201, 201, second.json()["id"])
    assert second["Idempotent-Replay"] == "true" and Lab.objects.count() == 1
    assert program.post("/jobs/call", key="push-42").json()["id"] != first.json()["id"]
    trigger_pause(trigger=kept, paused=True, now=kept.created_at)
    assert program.post("/jobs/call", key="push-41").status_code == 401, "a kept answer is for whoever may still call"


def test_a_call_that_is_refused_under_a_key_says_why_beside_its_job_and_may_be_made_again(called: tuple[Trigger, Caller], image: Any) -> None:
    kept, program = called
    type(image).objects.update(is_active=False)
    assert program.post("/jobs/call", key="push-41").status_code == 409
    kept.refresh_from_db()
    assert kept.last_words and not ApiRequest.objects.exists()
    type(image).objects.update(is_active=True)
    assert program.post("/jobs/call", key="push-41").status_code == 201
