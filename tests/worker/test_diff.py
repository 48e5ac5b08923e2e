"""Wanted x observed -> steps."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from worker.diff import Step, Wanted, steps
from worker.runtimes.base import Observed

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LAB = Wanted("abc", 1, "running", stop=False, restart=False, ends_at=NOW + timedelta(hours=1), deadline_at=None, try_at=None, owner_active=True)
UP = Observed("gpulab-abc-1", "abc", 1, running=True)


def test_a_running_lab_with_its_container_needs_nothing():
    assert steps([LAB], [UP], {"abc"}, NOW) == []


def test_a_starting_lab_without_a_container_is_started():
    assert steps([replace(LAB, state="starting")], [], set(), NOW) == [Step("start", "abc", "gpulab-abc-1")]


def test_a_failed_start_waits_for_its_next_try():
    assert steps([replace(LAB, state="starting", try_at=NOW + timedelta(seconds=2))], [], set(), NOW) == []


def test_a_container_removed_by_hand_ends_the_lab_with_that_reason():
    assert steps([LAB], [], set(), NOW) == [Step("end", "abc", "gpulab-abc-1", "removed")]


def test_a_main_process_killed_for_memory_ends_the_lab_in_words():
    dead = replace(UP, running=False, exit_code=137, oom_killed=True)
    assert [step.code for step in steps([LAB], [dead], {"abc"}, NOW)] == ["out_of_memory"]


def test_a_main_process_that_ends_tells_its_exit_code():
    dead = replace(UP, running=False, exit_code=3)
    assert steps([LAB], [dead], {"abc"}, NOW) == [Step("end", "abc", "gpulab-abc-1", "exited", "Exit code 3.")]


def test_a_container_that_is_made_and_not_started_yet_has_not_ended():
    fresh = replace(UP, running=False, fresh=True)
    assert steps([replace(LAB, state="starting")], [fresh], {"abc"}, NOW) == [Step("start", "abc", "gpulab-abc-1")]


def test_a_lab_whose_time_is_up_is_ended():
    assert [step.code for step in steps([replace(LAB, ends_at=NOW)], [UP], {"abc"}, NOW)] == ["time_up"]


def test_a_lab_of_a_disabled_person_is_ended():
    assert [step.code for step in steps([replace(LAB, owner_active=False)], [UP], {"abc"}, NOW)] == ["person_disabled"]


def test_a_lab_that_is_never_ready_is_ended_at_its_deadline():
    assert [step.code for step in steps([replace(LAB, state="starting", deadline_at=NOW)], [UP], {"abc"}, NOW)] == ["never_ready"]


def test_a_stopping_lab_is_gone_only_when_its_container_is():
    stopping = replace(LAB, state="stopping", stop=True)
    assert steps([stopping], [UP], {"abc"}, NOW) == [Step("stop", "abc", "gpulab-abc-1")]
    assert steps([stopping], [], set(), NOW) == [Step("gone", "abc", "gpulab-abc-1")]


def test_a_lab_with_cards_for_its_next_attempt_restarts():
    assert steps([replace(LAB, state="stopping", restart=True)], [], set(), NOW) == [Step("restart", "abc", "gpulab-abc-1")]


def test_a_stop_wins_over_a_restart():
    assert steps([replace(LAB, state="stopping", restart=True, stop=True)], [], set(), NOW) == [Step("gone", "abc", "gpulab-abc-1")]


def test_an_earlier_attempts_leftover_is_removed():
    old = replace(UP, name="gpulab-abc-0", attempt=0)
    assert steps([LAB], [UP, old], {"abc"}, NOW) == [Step("remove", "abc", "gpulab-abc-0")]


def test_a_container_that_no_record_knows_is_left_alone():
    foreign = Observed("gpulab-zzz-1", "zzz", 1, running=True)
    assert steps([], [foreign], set(), NOW) == [Step("stray", "zzz", "gpulab-zzz-1")]
