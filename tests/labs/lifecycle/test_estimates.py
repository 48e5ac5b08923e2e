"""How well estimates do: written down once, scored when the lab starts."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from labs.lifecycle.estimates import estimates_note
from labs.lifecycle.models import Estimate
from labs.lifecycle.queueing import card_free_at, estimates_score
from labs.lifecycle.scoring import Score, was_right
from labs.lifecycle.services import lab_stop
from labs.scheduler.snapshot import Estimate as Range
from labs.scheduler.snapshot import Plan, Wait
from tests.support.queue import run, tick

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(("minutes", "right"), [(-2, False), (-1, True), (0, True), (15, True), (30, True), (31, True), (32, False)])
def test_a_range_is_right_when_it_holds_the_start_to_the_minute(minutes: int, right: bool) -> None:
    assert was_right(NOON, NOON + timedelta(minutes=30), NOON + timedelta(minutes=minutes)) is right


def test_the_score_is_told_in_words_and_nothing_is_said_of_nothing() -> None:
    assert Score(8, 10).words == "right 8 of 10 times this week"
    assert Score(1, 1).words == "right 1 of 1 time this week"
    assert Score(0, 0).words == ""


def _plan(lab: Any, now: datetime, soonest: int = 10, latest: int = 20) -> Plan:
    said = Range(now + timedelta(minutes=soonest), now + timedelta(minutes=latest))
    return Plan((), {lab.pk: Wait(lab.pk, 1, ("Waits.",), said)}, ())


def test_the_first_estimate_stays_whatever_is_said_later(lab_of: Any, alice: Any, now: Any) -> None:
    lab = lab_of(alice)
    assert estimates_note(made=_plan(lab, now), now=now) == 1
    assert estimates_note(made=_plan(lab, now, 50, 90), now=now + timedelta(minutes=1)) == 0
    assert Estimate.objects.get().latest == now + timedelta(minutes=20)


def test_a_start_inside_the_range_counts_as_right_and_one_outside_as_wrong(lab_of: Any, alice: Any, charlie: Any, now: Any) -> None:
    for person, soonest, latest in ((alice, 10, 20), (charlie, 30, 40)):
        estimates_note(made=_plan(lab_of(person), now, soonest, latest), now=now)
    start = now + timedelta(minutes=15)
    assert tick(start) == 2
    assert estimates_score(now=start) == Score(1, 2)
    assert estimates_score(now=start + timedelta(days=8)) == Score(0, 0)


def test_a_lab_that_left_the_queue_is_no_test(lab_of: Any, alice: Any, now: Any) -> None:
    lab = lab_of(alice)
    estimates_note(made=_plan(lab, now), now=now)
    lab_stop(lab=lab, actor=alice, now=now)
    estimates_note(made=Plan((), {}, ()), now=now)
    assert not Estimate.objects.exists()


def test_a_wait_that_is_over_at_once_is_no_test(lab_of: Any, alice: Any, now: Any) -> None:
    assert estimates_note(made=_plan(lab_of(alice), now, 0, 0), now=now) == 0


def test_the_next_card_comes_free_when_the_first_limit_is_up(lab_of: Any, alice: Any, now: Any) -> None:
    assert card_free_at(now=now) is None
    run(lab_of(alice, gpus=1, hours=3), ["GPU-00000000-test"], now)
    sooner = run(lab_of(alice, gpus=1, hours=2), ["GPU-00000001-test"], now)
    run(lab_of(alice, gpus=0, hours=1), [], now)
    assert card_free_at(now=now) == sooner.ends_at
