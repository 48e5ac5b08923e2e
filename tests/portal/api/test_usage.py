"""Usage and efficiency by the API: the same figures as the page, for the same people."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from labs.fleet.models import Gpu
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_end, lab_gone
from labs.people.models import Group, User
from labs.telemetry.models import LabMinute

Calls = Callable[..., Any]


@pytest.fixture
def ended(alice: User, lab_of: Any, running: Any, now: datetime) -> Lab:
    """A lab of alice's that held a card for two hours and hardly used it."""
    lab = running(lab_of(alice, gpus=1), [Gpu.objects.get(index=0).pk])
    lab.leases.update(opened_at=now - timedelta(hours=2))
    for minute in range(10):
        use = {"cards": 1, "gpu_pct_sum": 4.0, "gpu_pct_max": 30, "gpu_memory_mib_max": 2048}
        LabMinute.objects.create(lab=lab, minute=now - timedelta(minutes=30 - minute), memory_mib_max=900, **use)
    lab_end(lab_id=lab.pk, code="asked", now=now)
    lab_gone(lab_id=lab.pk, now=now)
    return Lab.objects.get(pk=lab.pk)


def test_an_ended_lab_tells_what_it_made_of_what_it_held(calls: Calls, alice: User, ended: Lab):
    found = calls(alice).get(f"/labs/{ended.pk}").json()["efficiency"]
    assert found == {"line": "GPU 4% busy, 2 of 140 GiB", "advice": "larger batches would use it better.", "code": "larger_batches"}
    assert calls(alice).get("/labs").json()["items"][0]["efficiency"] is None


def test_ones_own_usage_adds_up(calls: Calls, alice: User, ended: Lab):
    found = calls(alice).get("/usage?days=3").json()
    assert (found["of"], found["total"]["gpu_hours"], len(found["rows"]), found["people"]) == ("me", 2.0, 3, [])
    assert sum(row["gpu_hours"] for row in found["rows"]) == pytest.approx(2.0, abs=0.01)


def test_a_team_is_a_sum_for_its_members_and_not_there_for_others(calls: Calls, bob: User, charlie: User, team: Group, ended: Lab):
    found = calls(bob).get(f"/usage?of=group-{team.pk}").json()
    assert (found["title"], found["total"]["gpu_hours"], found["people"]) == ("Vision", 2.0, [])
    assert calls(charlie).get(f"/usage?of=group-{team.pk}").status_code == 404


def test_the_house_takes_an_administrators_token_of_scope_admin(calls: Calls, alice: User, root_admin: User, ended: Lab):
    found = calls(root_admin).get("/usage?of=house").json()
    assert [one["person"] for one in found["people"]] == [alice.email]
    assert {"of": "house", "title": "The whole house"} in found["scopes"]
    for of in ("house", f"person-{alice.pk}"):
        assert calls(root_admin, "launch").get(f"/usage?of={of}").status_code == 404


@pytest.mark.parametrize("query", ["days=0", "days=401", "days=x", "by=month", "of=" + "x" * 41])
def test_nonsense_is_a_problem_at_its_field(calls: Calls, alice: User, query: str):
    assert calls(alice).get(f"/usage?{query}").status_code == 422
