"""Who may do what: every endpoint as its owner, a colleague, a stranger, an administrator and nobody."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from labs.lifecycle.models import Lab
from labs.people.models import ApiToken
from labs.people.services import person_disable, token_create, token_revoke
from tests.support.callers import BASE, Caller

pytestmark = pytest.mark.django_db

READS = ["/labs", "/gpus", "/images", "/me", "/usage"]
OF_A_LAB = [("GET", ""), ("POST", "/stop"), ("POST", "/extend")]


def _ask(caller: Caller, method: str, path: str) -> Any:
    return caller.get(path) if method == "GET" else caller.post(path, {"hours": 5} if path.endswith("extend") else None)


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize("who", ["alice", "bob", "charlie", "root_admin"])
def test_everybody_may_read_what_is_theirs(request: Any, calls: Any, node: Any, who: str, path: str) -> None:
    assert calls(request.getfixturevalue(who)).get(path).status_code == 200


@pytest.mark.parametrize("path", READS)
def test_nobody_reads_without_a_token(db: Any, path: str) -> None:
    answer = Caller().get(path)
    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json" and answer["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(("method", "tail"), OF_A_LAB)
@pytest.mark.parametrize(("who", "status"), [("alice", 200), ("bob", 404), ("charlie", 404), ("root_admin", 200), ("", 401)])
def test_a_lab_is_its_owners_and_the_administrators(
    request: Any, calls: Any, alice: Any, lab_of: Any, running: Any, method: str, tail: str, who: str, status: int
) -> None:
    lab = running(lab_of(alice), [])
    caller = calls(request.getfixturevalue(who)) if who else Caller()
    answer = _ask(caller, method, f"/labs/{lab.pk}{tail}")
    assert answer.status_code == status
    if status != 200:
        assert Lab.objects.filter(pk=lab.pk, state="running", ends_at=lab.ends_at).exists()
        assert "alice" not in answer.content.decode()


def test_a_list_holds_only_ones_own_labs(calls: Any, alice: Any, bob: Any, lab_of: Any) -> None:
    lab_of(alice)
    assert calls(bob).get("/labs").json() == {"items": [], "next": None}


def test_everyones_labs_take_an_administrators_token_of_scope_admin(calls: Any, alice: Any, root_admin: Any, lab_of: Any) -> None:
    lab_of(alice)
    assert len(calls(root_admin).get("/labs?everyone=true").json()["items"]) == 1
    assert calls(root_admin, "launch").get("/labs?everyone=true").status_code == 403
    assert calls(alice).get("/labs?everyone=true").status_code == 403


def test_an_administrators_token_of_a_lesser_scope_sees_only_their_own(calls: Any, alice: Any, root_admin: Any, lab_of: Any) -> None:
    assert calls(root_admin, "launch").get(f"/labs/{lab_of(alice).pk}").status_code == 404


def test_an_admin_token_loses_its_power_with_the_role(calls: Any, alice: Any, root_admin: Any, lab_of: Any) -> None:
    caller, lab = calls(root_admin), lab_of(alice)
    root_admin.role = "student"
    root_admin.save()
    assert caller.get(f"/labs/{lab.pk}").status_code == 404


def test_a_token_that_may_only_read_launches_stops_and_extends_nothing(calls: Any, alice: Any, lab_of: Any, running: Any, wish: Any) -> None:
    caller, lab = calls(alice, "read"), running(lab_of(alice), [])
    answers = [caller.post("/labs", wish), caller.post(f"/labs/{lab.pk}/stop"), caller.post(f"/labs/{lab.pk}/extend", {"hours": 9})]
    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert list(Lab.objects.values_list("state", "ends_at")) == [("running", lab.ends_at)]
    assert caller.get("/labs").status_code == 200


def test_a_signed_in_browser_is_nobody_here(alice: Any, wish: Any) -> None:
    browser = Client()
    browser.force_login(alice, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert browser.get(f"{BASE}/me").status_code == 401
    assert browser.post(f"{BASE}/labs", wish, content_type="application/json").status_code == 401
    assert not Lab.objects.exists()


def test_a_revoked_an_expired_and_a_disabled_persons_token_open_nothing(calls: Any, alice: Any, bob: Any, charlie: Any, root_admin: Any, now: Any) -> None:
    token, secret = token_create(user=alice, name="gone", scope="launch", now=now)
    token_revoke(user=alice, token_id=token.pk, now=now)
    old = token_create(user=bob, name="old", scope="launch", now=now - timedelta(days=2), days=1)[1]
    shut = calls(charlie)
    person_disable(user=charlie, actor=root_admin, now=now)
    assert [caller.get("/me").status_code for caller in (Caller(secret), Caller(old), shut)] == [401, 401, 401]


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YWxpY2U6eA==", "Bearer gpa_wrong", "Bearer gpa_\xff\xfe", "gpa_x"])
def test_what_is_no_live_token_is_refused(db: Any, header: str) -> None:
    assert Client(headers={"Authorization": header}).get(f"{BASE}/me").status_code == 401


def test_a_used_token_shows_when(calls: Any, alice: Any) -> None:
    calls(alice).get("/me")
    assert timezone.now() - ApiToken.objects.get(user=alice).last_used_at < timedelta(minutes=1)


def test_a_token_in_the_address_is_not_taken(calls: Any, alice: Any) -> None:
    assert Caller().get("/me", token=calls(alice).secret, access_token=calls(alice).secret).status_code == 401
