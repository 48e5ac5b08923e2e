"""Jobs that start by themselves: by the clock, once for each moment, and by a call."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from labs.jobs.models import Trigger
from labs.jobs.queries import trigger_by_secret
from labs.jobs.services import trigger_create, trigger_due_fire, trigger_pause
from labs.lifecycle.models import Lab
from labs.lifecycle.wishes import Wish
from labs.people.errors import Refused
from labs.people.services import person_disable, token_create
from tests.support.callers import Caller
from worker.loops import jobs


@pytest.fixture
def wish(image: Any, node: Any) -> Wish:
    return Wish(image_id=image.pk, gpus=0, cpus=2, memory_gib=4, hours=2, command=("python", "nightly.py"))


def nightly(owner: Any, wish: Wish, now: datetime) -> Trigger:
    return trigger_create(owner=owner, name="nightly", wish=wish, kind="schedule", cron="0 3 * * *", now=now)[0]


@pytest.mark.django_db
def test_a_schedule_starts_one_job_at_each_moment_however_often_it_is_looked_at(alice: Any, wish: Wish, now: datetime) -> None:
    kept = nightly(alice, wish, now)
    assert jobs.tick(now=now) == []
    due = kept.next_at
    assert due is not None
    again = Trigger.objects.get(pk=kept.pk)
    (lab,) = jobs.tick(now=due)
    assert lab.command == ["python", "nightly.py"] and lab.owner == alice
    assert trigger_due_fire(trigger=again, now=due) is None, "a second worker with the same row"
    assert jobs.tick(now=due + timedelta(minutes=1)) == []
    assert Lab.objects.count() == 1
    kept.refresh_from_db()
    assert kept.last_lab == lab and kept.next_at == due + timedelta(days=1)


@pytest.mark.django_db
def test_a_worker_that_ends_before_the_job_was_asked_for_leaves_the_moment_to_the_next(
    alice: Any, wish: Wish, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = nightly(alice, wish, now)
    assert kept.next_at is not None

    def killed(**_: Any) -> Lab:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("labs.jobs.services.lab_request", killed)
        with pytest.raises(KeyboardInterrupt):
            jobs.tick(now=kept.next_at)
    assert len(jobs.tick(now=kept.next_at + timedelta(seconds=10))) == 1


@pytest.mark.django_db
@pytest.mark.parametrize("cron", ["0 3 * * *", "*/15 * * * *"])
def test_one_job_makes_up_for_all_that_the_house_missed(alice: Any, wish: Wish, now: datetime, cron: str) -> None:
    kept, _ = trigger_create(owner=alice, name="nightly", wish=wish, kind="schedule", cron=cron, now=now)
    back = now + timedelta(days=10, minutes=1)
    assert len(jobs.tick(now=back)) == 1
    assert jobs.tick(now=back + timedelta(seconds=10)) == [] and Lab.objects.count() == 1
    kept.refresh_from_db()
    assert kept.next_at is not None and back < kept.next_at <= back + timedelta(days=1)


@pytest.mark.django_db
def test_a_paused_schedule_and_one_of_a_disabled_person_start_nothing(alice: Any, bob: Any, root_admin: Any, wish: Wish, now: datetime) -> None:
    trigger_pause(trigger=nightly(alice, wish, now), paused=True, now=now)
    nightly(bob, wish, now)
    person_disable(user=bob, actor=root_admin, now=now)
    assert jobs.tick(now=now + timedelta(days=2)) == []


@pytest.mark.django_db
def test_a_run_that_is_refused_says_why_beside_its_job(alice: Any, wish: Wish, image: Any, now: datetime) -> None:
    kept = nightly(alice, wish, now)
    type(image).objects.update(is_active=False)
    assert kept.next_at is not None
    assert jobs.tick(now=kept.next_at) == []
    kept.refresh_from_db()
    assert kept.last_words


@pytest.mark.django_db
@pytest.mark.parametrize("change", [{"cron": ""}, {"cron": "0 3 31 2 *"}, {"cron": "* * * * *"}, {"name": "Upper"}, {"kind": "moon"}])
def test_what_can_be_no_schedule_is_refused(alice: Any, wish: Wish, now: datetime, change: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        trigger_create(**{"owner": alice, "name": "nightly", "wish": wish, "kind": "schedule", "cron": "0 3 * * 1", "now": now} | change)


@pytest.mark.django_db
def test_the_api_keeps_an_expression_or_days_and_a_time_and_shows_the_next_runs(alice: Any, wish: Wish, now: datetime) -> None:
    caller = Caller(token_create(user=alice, name="test", scope="launch", now=now)[1])
    job = {"image": wish.image_id, "command": ["true"]}
    made = caller.post("/jobs", {"name": "often", "kind": "schedule", "cron": "0  */6 * * *", "job": job})
    assert made.status_code == 201 and made.json()["cron"] == "0 */6 * * *" and len(made.json()["next_runs"]) == 3
    assert made.json()["next_runs"][0] == made.json()["next_at"]
    weekly = caller.post("/jobs", {"name": "weekly", "kind": "schedule", "weekdays": [0, 4], "at": "07:30", "job": job})
    assert weekly.json()["cron"] == "30 7 * * 1,5" and weekly.json()["when"] == "on Mondays and Fridays at 07:30"
    for field, wrong in (("cron", {"cron": "0 0 31 2 *"}), ("cron", {"cron": "0 3 * * *", "at": "03:00"}), ("at", {"weekdays": [0], "at": "24:00"})):
        refused = caller.post("/jobs", {"name": "wrong", "kind": "schedule", "job": job} | wrong)
        assert refused.status_code == 422 and refused.json()["errors"][0]["field"] == field


@pytest.mark.django_db
def test_a_call_with_its_secret_starts_the_job_and_can_do_nothing_else(alice: Any, wish: Wish, now: datetime) -> None:
    kept, secret = trigger_create(owner=alice, name="on-push", wish=wish, kind="call", now=now)
    assert secret not in kept.digest
    caller = Caller(secret)
    answer = caller.post("/jobs/call")
    assert answer.status_code == 201 and answer.json()["command"] == ["python", "nightly.py"]
    assert caller.get("/me").status_code == 401 and caller.post("/labs", {}).status_code == 401
    assert Caller("gpj_wrong").post("/jobs/call").status_code == 401
    trigger_pause(trigger=kept, paused=True, now=now)
    assert caller.post("/jobs/call").status_code == 401 and trigger_by_secret(secret=secret) is None
