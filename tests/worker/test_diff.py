"""Wanted x observed -> steps."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from worker.diff import Known, Step, Wanted, steps
from worker.runtimes.base import Observed

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LAB = Wanted("abc", 1, "running", stop=False, restart=False, ends_at=NOW + timedelta(hours=1), deadline_at=None, try_at=None, owner_active=True)
KNOWN = {"abc": Known(attempt=1, ended=False)}
UP = Observed("gpulab-abc-1", "abc", 1, running=True)


def test_a_running_lab_with_its_container_needs_nothing():
    assert steps([LAB], [UP], KNOWN, NOW) == []


def test_a_starting_lab_without_a_container_is_started():
    assert steps([replace(LAB, state="starting")], [], {}, NOW) == [Step("start", "abc", "gpulab-abc-1")]


def test_a_failed_start_waits_for_its_next_try():
    assert steps([replace(LAB, state="starting", try_at=NOW + timedelta(seconds=2))], [], {}, NOW) == []


def test_a_container_removed_by_hand_ends_the_lab_with_that_reason():
    assert steps([LAB], [], {}, NOW) == [Step("end", "abc", "gpulab-abc-1", "removed")]


def test_a_main_process_killed_for_memory_ends_the_lab_in_words():
    dead = replace(UP, running=False, exit_code=137, oom_killed=True)
    assert [step.code for step in steps([LAB], [dead], KNOWN, NOW)] == ["out_of_memory"]


@pytest.mark.parametrize(
    ("job", "code", "end"), [(True, 1, "child_out_of_memory"), (True, 0, "job_done"), (False, 1, "child_out_of_memory"), (False, 0, "exited")]
)
def test_a_child_killed_for_memory_is_the_reason_only_of_an_end_that_failed(job, code, end):
    dead = replace(UP, running=False, exit_code=code, oom_child=True)
    [step] = steps([replace(LAB, job=job)], [dead], KNOWN, NOW)
    assert (step.code, step.seen) == (end, dead if job else None)


def test_a_main_process_that_ends_tells_its_exit_code():
    dead = replace(UP, running=False, exit_code=3)
    assert steps([LAB], [dead], KNOWN, NOW) == [Step("end", "abc", "gpulab-abc-1", "exited", "Exit code 3.")]


def test_a_container_that_is_made_and_not_started_yet_has_not_ended():
    fresh = replace(UP, running=False, fresh=True)
    assert steps([replace(LAB, state="starting")], [fresh], KNOWN, NOW) == [Step("start", "abc", "gpulab-abc-1")]


def test_a_lab_whose_time_is_up_is_ended():
    assert [step.code for step in steps([replace(LAB, ends_at=NOW)], [UP], KNOWN, NOW)] == ["time_up"]


def test_a_lab_of_a_disabled_person_is_ended():
    assert [step.code for step in steps([replace(LAB, owner_active=False)], [UP], KNOWN, NOW)] == ["person_disabled"]


def test_a_lab_that_is_never_ready_is_ended_at_its_deadline():
    assert [step.code for step in steps([replace(LAB, state="starting", deadline_at=NOW)], [UP], KNOWN, NOW)] == ["never_ready"]


def test_a_stopping_lab_is_gone_only_when_its_container_is():
    stopping = replace(LAB, state="stopping", stop=True)
    assert steps([stopping], [UP], KNOWN, NOW) == [Step("stop", "abc", "gpulab-abc-1")]
    assert steps([stopping], [], {}, NOW) == [Step("gone", "abc", "gpulab-abc-1")]


def test_a_lab_with_cards_for_its_next_attempt_restarts():
    assert steps([replace(LAB, state="stopping", restart=True)], [], {}, NOW) == [Step("restart", "abc", "gpulab-abc-1")]


def test_a_stop_wins_over_a_restart():
    assert steps([replace(LAB, state="stopping", restart=True, stop=True)], [], {}, NOW) == [Step("gone", "abc", "gpulab-abc-1")]


def test_an_earlier_attempts_leftover_is_removed():
    old = replace(UP, name="gpulab-abc-0", attempt=0)
    assert [(step.do, step.name) for step in steps([LAB], [UP, old], KNOWN, NOW)] == [("remove", "gpulab-abc-0")]


def test_a_container_of_an_ended_lab_is_removed():
    assert [step.do for step in steps([], [UP], {"abc": Known(attempt=1, ended=True)}, NOW)] == ["remove"]


def test_a_container_that_no_record_knows_is_a_stray():
    foreign = Observed("gpulab-zzz-1", "zzz", 1, running=True)
    assert [(step.do, step.name) for step in steps([], [foreign], {}, NOW)] == [("stray", "gpulab-zzz-1")]


def test_a_container_of_an_attempt_that_the_record_has_not_come_to_is_a_stray():
    later = replace(UP, name="gpulab-abc-2", attempt=2)
    assert [(step.do, step.name) for step in steps([LAB], [UP, later], KNOWN, NOW)] == [("stray", "gpulab-abc-2")]


def test_a_container_of_a_lab_that_waits_by_the_record_is_a_stray():
    assert [step.do for step in steps([], [UP], KNOWN, NOW)] == ["stray"]


def test_a_lab_that_the_engine_publishes_elsewhere_now_is_reached_there():
    moved = replace(UP, jupyter=("127.0.0.1", 40000), ssh=("127.0.0.1", 40001))
    [step] = steps([replace(LAB, jupyter=("127.0.0.1", 30000))], [moved], KNOWN, NOW)
    assert step.do == "address" and step.seen == moved
    assert steps([replace(LAB, jupyter=moved.jupyter, ssh=moved.ssh)], [moved], KNOWN, NOW) == []


def test_what_does_not_run_since_the_host_booted_was_lost_by_that():
    before = replace(LAB, since=NOW - timedelta(hours=1))
    booted = NOW - timedelta(minutes=1)
    dead = replace(UP, running=False, exit_code=255)
    for seen in ([], [dead]):
        assert [step.code for step in steps([before], seen, KNOWN, NOW, booted)] == ["rebooted"]
    assert steps([before], [UP], KNOWN, NOW, booted) == []
    assert [step.code for step in steps([replace(LAB, since=NOW)], [dead], KNOWN, NOW, booted)] == ["exited"]


def test_a_start_that_the_reboot_interrupted_before_its_container_was_made_is_begun():
    placed = replace(LAB, state="starting", since=NOW - timedelta(hours=1))
    assert [step.do for step in steps([placed], [], {}, NOW, NOW)] == ["start"]


def test_a_main_process_killed_from_outside_is_told_as_that():
    dead = replace(UP, running=False, exit_code=137)
    assert [step.code for step in steps([LAB], [dead], KNOWN, NOW)] == ["killed"]


def test_a_stop_that_takes_longer_than_its_deadline_becomes_a_kill():
    late = replace(LAB, state="stopping", stop=True, deadline_at=NOW)
    assert [step.do for step in steps([late], [UP], KNOWN, NOW)] == ["kill"]
