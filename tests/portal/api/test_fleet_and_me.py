"""The cards, the images and oneself."""

from datetime import timedelta
from typing import Any

import pytest

from labs.catalogue.models import Contents, Image, Qualification
from labs.fleet.models import Gpu, NodeImage
from labs.policy.asking import request_grant
from labs.policy.services import group_limits_set, override_set, window_add
from labs.storage.models import WorkspaceUse
from labs.storage.rules import GIB
from labs.storage.services import workspace_record

pytestmark = pytest.mark.django_db


def test_a_card_is_yours_in_use_or_named_by_who_asks(calls: Any, alice: Any, bob: Any, root_admin: Any, lab_of: Any, running: Any) -> None:
    lab = running(lab_of(alice, gpus=1), ["GPU-00000000-test"])
    seen = {who: calls(user).get("/gpus").json()["items"] for who, user in (("alice", alice), ("bob", bob), ("root", root_admin))}
    assert [seen[who][0]["holder"] for who in seen] == ["you", "in use", "Alice"]
    assert [seen[who][0]["lab"] for who in seen] == [lab.pk, None, lab.pk]
    assert [card["state"] for card in seen["bob"]] == ["in use", "free"]
    assert "alice" not in str(seen["bob"]).lower()


def test_a_card_out_of_service_is_unavailable(calls: Any, alice: Any, node: Any) -> None:
    Gpu.objects.filter(index=0).update(health="drained")
    assert [card["state"] for card in calls(alice).get("/gpus").json()["items"]] == ["unavailable", "free"]


def test_cards_come_in_pages(calls: Any, alice: Any, node: Any) -> None:
    first = calls(alice).get("/gpus?limit=1").json()
    second = calls(alice).get(first["next"].split("/api/v1")[1]).json()
    assert [card["index"] for card in first["items"] + second["items"]] == [0, 1] and second["next"] is None


def test_an_image_has_the_id_that_a_launch_takes(calls: Any, alice: Any, node: Any) -> None:
    listed = calls(alice).get("/images").json()["items"]
    assert listed[0]["ready"] and listed[0]["nodes"][0]["state"] == "present"
    assert calls(alice).post("/labs", {"image": listed[0]["id"]}).status_code == 201


def test_an_image_under_way_says_how_far_and_a_retired_one_is_not_listed(calls: Any, alice: Any, node: Any, now: Any) -> None:
    NodeImage.objects.update(state="pulling", percent=62, words="layer 3 of 5")
    Image.objects.create(slug="old", title="Old", repository="x/y", tag="1", is_active=False, created_at=now)
    [listed] = calls(alice).get("/images").json()["items"]
    assert not listed["ready"] and listed["nodes"] == [{"node": "n1", "state": "pulling", "percent": 62, "words": "layer 3 of 5"}]


def test_one_image_tells_what_is_in_it_where_it_computes_and_how_it_is_used(calls: Any, alice: Any, lab_of: Any, node: Any, now: Any) -> None:
    image = lab_of(alice).image
    Image.objects.filter(pk=image.pk).update(inside={"cudnn": "9.1", "sass": ["9.0"], "size": 9 * GIB, "sshd": True}, looked_at=now, cuda="12.8", torch="2.9.1")
    Contents.objects.create(image=image, packages=[{"name": "numpy", "version": "2.3", "kind": "python", "licence": "BSD"}], read_at=now)
    Qualification.objects.create(image=image, digest="", card="CPU", lab="l", state="passed", words="All well.", asked_at=now, ended_at=now)
    seen = calls(alice).get(f"/images/{image.pk}").json()
    assert (seen["slug"], seen["offered"], seen["cudnn"], seen["sass"], seen["size"], seen["nccl"]) == (image.slug, True, "9.1", ["9.0"], 9 * GIB, None)
    assert seen["packages"] == [{"name": "numpy", "version": "2.3", "kind": "python", "licence": "BSD"}]
    assert (seen["tried"][0]["card"], seen["tried"][0]["state"], seen["used"], seen["weaknesses"]) == ("CPU", "passed", {"labs": 1, "people": 1}, None)


def test_an_image_of_others_is_no_image_and_a_retired_one_is_shown_as_such(calls: Any, alice: Any, bob: Any, root_admin: Any, node: Any, now: Any) -> None:
    own = Image.objects.create(slug="own", title="Own", repository="x/y", tag="1", made_by=bob, created_at=now)
    assert [calls(who).get(f"/images/{own.pk}").status_code for who in (bob, alice, root_admin)] == [200, 404, 200]
    old = Image.objects.create(slug="old", title="Old", repository="x/y", tag="1", is_active=False, created_at=now)
    assert calls(alice).get(f"/images/{old.pk}").json()["offered"] is False
    assert calls(alice).get(f"/images/{2**53 - 1}").status_code == 404


def test_me_tells_limits_held_and_left(calls: Any, alice: Any, lab_of: Any, running: Any) -> None:
    running(lab_of(alice, gpus=1, memory_gib=8), ["GPU-00000000-test"])
    lab_of(alice)
    me = calls(alice).get("/me").json()
    assert me["email"] == "alice@example.edu" and me["role"] == "researcher" and me["scope"] == "launch"
    assert (me["limits"]["gpus_max"], me["held"]["gpus"], me["left"]["gpus"]) == (4, 1, 3)
    assert (me["held"]["labs"], me["held"]["pending"], me["held"]["memory_gib"], me["left"]["memory_gib"]) == (1, 1, 8, 120)


def test_no_limit_is_null(calls: Any, root_admin: Any) -> None:
    me = calls(root_admin).get("/me").json()
    assert me["limits"]["gpu_hours_week"] is None and me["left"]["gpu_hours_week"] is None


def test_a_changed_limit_holds_from_the_next_request_on(calls: Any, alice: Any, root_admin: Any, now: Any) -> None:
    caller = calls(alice)
    assert caller.get("/me").json()["limits"]["gpus_max"] == 4
    override_set(user=alice, values={"gpus_max": 3}, until=None, note="", actor=root_admin, now=now)
    assert caller.get("/me").json()["limits"]["gpus_max"] == 3


def test_a_group_that_is_capped_is_told_with_what_it_holds(
    calls: Any, alice: Any, bob: Any, team: Any, root_admin: Any, lab_of: Any, running: Any, now: Any
) -> None:
    group_limits_set(group=team, values={"gpus": 6}, actor=root_admin, now=now)
    running(lab_of(alice, gpus=1), ["GPU-00000000-test"])
    [group] = calls(bob).get("/me").json()["groups"]
    assert (group["name"], group["caps"]["gpus"], group["caps"]["labs"], group["held"]["gpus"]) == ("team Vision", 6, None, 1)


def test_what_is_wider_now_is_told_with_its_end(calls: Any, bob: Any, root_admin: Any, now: Any) -> None:
    window_add(values={"name": "always", "limit": "gpus_max", "times": 2}, actor=root_admin, now=now)
    limits = calls(bob).get("/me").json()["limits"]
    assert limits["gpus_max"] == 2
    assert limits["wider"] == [{"limit": "gpus_max", "usual": 1, "value": 2, "until": None, "words": "2 instead of 1 (always)"}]


def test_a_refusal_says_what_to_ask_for_and_that_is_asked(calls: Any, bob: Any, alice: Any, image: Any, node: Any, root_admin: Any, now: Any) -> None:
    refused = calls(bob).post("/labs", {"image": image.pk, "gpus": 2}).json()
    assert (refused["code"], refused["more"]) == ("over_limit", {"gpus_max": 2})
    until = (now + timedelta(days=3)).date().isoformat()
    asked = calls(bob).post("/me/requests", {"asked": refused["more"], "until": until, "why": "Thesis"})
    assert asked.status_code == 201 and asked.json()["state"] == "open"
    request_grant(request_id=asked.json()["id"], values={"gpus_max": 2}, until=now + timedelta(days=3), answer="", actor=root_admin, now=now)
    assert calls(bob).post("/labs", {"image": image.pk, "gpus": 2}).status_code == 201
    assert [one["state"] for one in calls(bob).get("/me/requests").json()["items"]] == ["granted"]
    assert calls(alice).get("/me/requests").json() == {"items": [], "next": None}


def test_a_request_is_withdrawn_by_whom_it_is_of(calls: Any, bob: Any, alice: Any, now: Any) -> None:
    until = (now + timedelta(days=3)).date().isoformat()
    asked = calls(bob).post("/me/requests", {"asked": {"gpus_max": 4}, "until": until, "why": "Thesis"}).json()
    assert calls(alice).post(f"/me/requests/{asked['id']}/withdraw").status_code == 404
    assert calls(bob).post(f"/me/requests/{asked['id']}/withdraw").json()["state"] == "withdrawn"
    assert calls(bob).post(f"/me/requests/{asked['id']}/withdraw").status_code == 409


@pytest.mark.parametrize(
    "bad", [{"asked": {}}, {"asked": {"weight": 3}}, {"asked": {"gpus_max": "4"}}, {"until": "2026-02-31"}, {"until": "soon"}, {"why": ""}, {"x": 1}], ids=str
)
def test_a_bad_request_is_a_problem(calls: Any, bob: Any, bad: dict[str, Any]) -> None:
    assert calls(bob).post("/me/requests", {"asked": {"gpus_max": 4}, "until": "2026-12-01", "why": "Thesis"} | bad).status_code == 422


def test_me_tells_what_my_workspace_holds_and_measures_it_again_when_asked(calls: Any, alice: Any, bob: Any, node: Any, now: Any) -> None:
    assert calls(alice).post("/me/workspaces/measure").json()["code"] == "state"
    workspace_record(owner_id=alice.pk, node_id="n1", size=3 * GIB, files=None, whole=True, now=now - timedelta(minutes=5))
    me = calls(alice).get("/me").json()
    assert (me["limits"]["disk_gib"], me["held"]["disk_gib"], me["left"]["disk_gib"]) == (500, 3, 497)
    assert [(one["node"], one["size"], one["files"], one["whole"]) for one in me["workspaces"]] == [("n1", 3 * GIB, None, True)]
    answer = calls(alice).post("/me/workspaces/measure")
    assert answer.status_code == 202 and WorkspaceUse.objects.get().asked_at is not None
    assert calls(bob).get("/me").json()["workspaces"] == []
