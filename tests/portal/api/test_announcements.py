"""Announcements by the API."""

from collections.abc import Callable
from typing import Any

import pytest

from labs.people.models import Group, User
from tests.support.callers import Caller

pytestmark = pytest.mark.django_db
WISH = {"words": "The house moves on Friday.", "hours": 2}


def test_an_administrator_announces_and_those_concerned_read_it(
    calls: Callable[..., Caller], alice: User, charlie: User, team: Group, root_admin: User
) -> None:
    made = calls(root_admin).post("/announcements", WISH | {"group": team.slug})
    assert made.status_code == 201
    assert [one["words"] for one in calls(alice).get("/announcements").json()["items"]] == [WISH["words"]]
    assert calls(charlie).get("/announcements").json()["items"] == []
    assert calls(root_admin).post(f"/announcements/{made.json()['id']}/withdraw").json()["withdrawn_at"]
    assert calls(alice).get("/announcements").json()["items"] == []


@pytest.mark.parametrize("change", [{"group": "nobody"}, {"node": "n9"}, {"hours": 0}, {"words": ""}, {"words": "a\x1b[2J"}, {"more": 1}])
def test_what_is_wrong_is_a_problem_with_its_field(calls: Callable[..., Caller], root_admin: User, change: dict[str, Any]) -> None:
    answer = calls(root_admin).post("/announcements", WISH | change)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] in change


def test_a_token_that_does_not_administer_announces_nothing(calls: Callable[..., Caller], alice: User, root_admin: User) -> None:
    assert calls(alice).post("/announcements", WISH).status_code == 403
    assert calls(root_admin, "launch").post("/announcements", WISH).status_code == 403
    assert calls(alice).post("/announcements/1/withdraw").status_code == 403
