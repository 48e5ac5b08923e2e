"""How well estimates do: written down once, scored when the lab starts."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from labs.lifecycle import estimates
from labs.lifecycle.models import Estimate, Lab
from labs.lifecycle.queueing import card_free_at, estimates_score
from labs.lifecycle.scoring import Score, was_right
from labs.lifecycle.services import lab_stop
from labs.scheduler.snapshot import Estimate as Range
from labs.scheduler.snapshot import Plan, Snapshot, Wait
from tests.support.queue import run, tick

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(("minutes", "right"), [(-2, False), (-1, True), (0, True), (15, True), (30, True), (31, True), (32, False)])
def test_a_range_is_right_when_it_holds_the_start_to_the_minute(minutes: int, right: bool) -> None:
    assert was_right(NOON, NOON + timedelta(minutes=30), NOON + timedelta(minutes=minutes)) is right


def test_the_score_is_told_in_words_and_nothing_is_said_of_nothing() -> None:
    assert Score(8, 10).words == "right 8 of 10 times this week"
    assert Score(1, 1).words == "right 1 of 1 time this week"
    assert Score(0, 0).words == ""


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, now: datetime) -> Callable[..., None]:
    """Let the plan say of a lab that it starts in so many minutes."""
    waits: dict[str, Wait] = {}
    monkeypatch.setattr(estimates, "plan", lambda snapshot, at: Plan((), waits, ()))

    def put(lab: Lab, soonest: float, latest: float) -> None:
        said = Range(now + timedelta(minutes=soonest), now + timedelta(minutes=latest))
        waits[lab.pk] = Wait(lab.pk, 1, ("Waits.",), said)

    return put


def _note(now: datetime) -> int:
    return estimates.estimates_note(snapshot=Snapshot((), ()), now=now)


def test_the_first_estimate_stays_whatever_is_said_later(lab_of: Any, alice: Any, say: Any, now: datetime) -> None:
    lab = lab_of(alice)
    say(lab, 10, 20)
    assert _note(now) == 1
    say(lab, 50, 90)
    assert _note(now + timedelta(minutes=1)) == 0
    assert Estimate.objects.get().latest == now + timedelta(minutes=20)


def test_what_is_said_long_after_the_click_is_no_first_estimate(lab_of: Any, alice: Any, say: Any, now: datetime) -> None:
    say(lab_of(alice), 10, 20)
    assert _note(now + timedelta(minutes=3)) == 0


def test_a_start_inside_the_range_counts_as_right_and_one_outside_as_wrong(lab_of: Any, alice: Any, charlie: Any, say: Any, now: datetime) -> None:
    say(lab_of(alice), 10, 20)
    say(lab_of(charlie), 30, 40)
    assert _note(now) == 2
    start = now + timedelta(minutes=15)
    assert tick(start) == 2
    assert estimates_score(now=start) == Score(1, 2)
    assert estimates_score(now=start + timedelta(days=8)) == Score(0, 0)


def test_a_lab_that_left_the_queue_is_no_test(lab_of: Any, alice: Any, say: Any, now: datetime) -> None:
    lab = lab_of(alice)
    say(lab, 10, 20)
    _note(now)
    lab_stop(lab=lab, actor=alice, now=now)
    _note(now)
    assert not Estimate.objects.exists()


def test_a_wait_that_is_over_at_once_is_no_test(lab_of: Any, alice: Any, say: Any, now: datetime) -> None:
    say(lab_of(alice), 0, 0.5)
    assert _note(now) == 0


def test_the_next_card_comes_free_when_the_first_limit_is_up(lab_of: Any, alice: Any, now: Any) -> None:
    assert card_free_at(now=now) is None
    run(lab_of(alice, gpus=1, hours=3), ["GPU-00000000-test"], now)
    sooner = run(lab_of(alice, gpus=1, hours=2), ["GPU-00000001-test"], now)
    run(lab_of(alice, gpus=0, hours=1), [], now)
    assert card_free_at(now=now) == sooner.ends_at
