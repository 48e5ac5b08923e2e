"""Tools and shares by the API."""

from collections.abc import Callable
from typing import Any

import pytest

from labs.lifecycle.models import Lab
from labs.people.models import Group, User
from labs.sharing.models import App
from tests.support.callers import Caller

pytestmark = pytest.mark.django_db
Calls = Callable[..., Caller]


@pytest.fixture
def lab(alice: User, lab_of: Callable[..., Lab], running: Callable[[Lab, list[str]], Lab]) -> Lab:
    """Alice's running lab."""
    return running(lab_of(alice), [])


def test_a_tool_is_started_listed_and_stopped(calls: Calls, alice: User, lab: Lab) -> None:
    made = calls(alice).post(f"/labs/{lab.pk}/apps", {"tool": "tensorboard", "folder": "runs"})
    assert made.status_code == 201 and made.json()["state"] == "starting" and made.json()["url"] is None
    App.objects.update(state="running", port=40001)
    assert calls(alice).get(f"/labs/{lab.pk}/apps").json()["items"][0]["url"].startswith(f"http://p40001-lab-{lab.pk}.localhost")
    assert calls(alice).post(f"/labs/{lab.pk}/apps/stop", {"tool": "tensorboard"}).status_code == 200
    assert App.objects.get().stop


def test_a_port_is_shared_found_by_its_guest_and_withdrawn(calls: Calls, alice: User, bob: User, charlie: User, lab: Lab, team: Group) -> None:
    made = calls(alice).post(f"/labs/{lab.pk}/shares", {"port": 8080, "hours": 8, "email": bob.email})
    assert made.status_code == 201, made.content
    assert calls(alice).post(f"/labs/{lab.pk}/shares", {"port": 8081, "hours": 8, "group": team.slug}).status_code == 201
    assert {one["port"] for one in calls(bob).get("/shared").json()["items"]} == {8080, 8081}
    assert calls(charlie).get("/shared").json()["items"] == []
    assert {one["guest"] for one in calls(alice).get(f"/labs/{lab.pk}/shares").json()["items"]} == {"Bob", "Vision"}
    gone = calls(alice).post(f"/labs/{lab.pk}/shares/{made.json()['id']}/withdraw")
    assert gone.status_code == 200 and gone.json()["withdrawn_at"]
    assert {one["port"] for one in calls(bob).get("/shared").json()["items"]} == {8081}


def test_anothers_lab_does_not_exist_not_even_for_an_administrator(calls: Calls, bob: User, root_admin: User, lab: Lab) -> None:
    for person in (bob, root_admin):
        for path in ("apps", "shares"):
            assert calls(person).get(f"/labs/{lab.pk}/{path}").status_code == 404
        assert calls(person).post(f"/labs/{lab.pk}/shares", {"port": 8080, "hours": 8, "email": person.email}).status_code == 404
        assert calls(person).post(f"/labs/{lab.pk}/apps", {"tool": "tensorboard"}).status_code == 404


def test_a_token_that_may_only_read_starts_and_shares_nothing(calls: Calls, alice: User, bob: User, lab: Lab) -> None:
    reader = calls(alice, "read")
    assert reader.get(f"/labs/{lab.pk}/shares").status_code == 200
    assert reader.post(f"/labs/{lab.pk}/shares", {"port": 8080, "hours": 8, "email": bob.email}).status_code == 403
    assert reader.post(f"/labs/{lab.pk}/apps", {"tool": "tensorboard"}).status_code == 403


@pytest.mark.parametrize("change", [{"port": 8888}, {"hours": 0}, {"email": "nobody@example.edu"}, {"group": "nobody"}, {"email": ""}])
def test_what_is_wrong_is_a_problem_with_words(calls: Calls, alice: User, bob: User, lab: Lab, change: dict[str, Any]) -> None:
    answer = calls(alice).post(f"/labs/{lab.pk}/shares", {"port": 8080, "hours": 8, "email": bob.email} | change)
    assert answer.status_code == 422 and answer.json()["detail"]


def test_in_a_lab_that_does_not_run_it_is_a_conflict(calls: Calls, alice: User, lab_of: Callable[..., Lab]) -> None:
    waiting = lab_of(alice)
    assert calls(alice).post(f"/labs/{waiting.pk}/apps", {"tool": "tensorboard"}).status_code == 409
