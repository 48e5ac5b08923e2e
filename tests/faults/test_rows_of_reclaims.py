"""FAULTS row 1 where cards are taken back: a worker killed at any durable step between the notice and the asker's start.

In the normal run each of the loops' parts in it, before and after every step; in the long run the whole, minute by minute.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from labs.lifecycle.models import Lab, Reclaim
from labs.lifecycle.moves import lab_end
from labs.people.models import User
from tests.faults.hands import PERIOD_S, House
from tests.faults.steps import crash, crashes, recorded, steps_seen
from worker.hands import Hands
from worker.loops import reconcile, schedule, warn

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.engine, pytest.mark.postgres]
KILLED = -9
#: A lab is taken back only after half an hour, and with five minutes' notice.
RUN, NOTICE = timedelta(minutes=40), timedelta(minutes=5)
MINUTE = timedelta(minutes=1)
PERIOD = timedelta(seconds=PERIOD_S)
MOST_PERIODS = 30 / PERIOD_S


class Dispute:
    """Alice holds all cards, half of them beyond her guarantee; charlie waits for two inside his."""

    def __init__(self, house: House, ask: Any, alice: User, charlie: User) -> None:
        self.house = house
        self.held = ask(alice, gpus=4)
        house.until(self.held, "running")
        self.asked = ask(charlie, gpus=2)
        self.began = timezone.now()

    def work(self, hands: Hands) -> int:
        """Minutes of the house's time until charlie has his cards, each a period of the loops."""
        for passed in range(40):
            moment = self.began + RUN + passed * MINUTE
            hands.clock = lambda moment=moment: moment  # type: ignore[misc]
            self.house.tick(hands)
            warn.tick(hands=hands, now=moment)
            if self.is_in("running", self.asked):
                return passed
        raise AssertionError(f"nobody has the cards: {list(Lab.objects.values('pk', 'state', 'reason_code', 'stage_words'))}")

    def is_in(self, state: str, lab_id: str) -> bool:
        return Lab.objects.filter(pk=lab_id, state=state).exists()

    def end(self) -> None:
        """All of them stop, also the one that waits again."""
        for lab in Lab.objects.filter(state__in=("queued", "running", "starting")):
            lab_end(lab_id=lab.pk, code="asked", now=timezone.now())
        for lab in Lab.objects.filter(state="stopping"):
            self.house.until(lab.pk, "stopped", "failed")


def _schedule(hands: Hands, now: datetime) -> None:
    schedule.tick(now=now)


def _reconcile(hands: Hands, now: datetime) -> None:
    reconcile.tick(hands=hands, now=now)


def _warn(hands: Hands, now: datetime) -> None:
    warn.tick(hands=hands, now=now)


@dataclass(frozen=True)
class Part:
    """What one loop does of a taking back: which one, when, and when that is done."""

    name: str
    loop: Callable[[Hands, datetime], None]
    at: timedelta
    done: Callable[[Dispute], bool]

    def work(self, one: Dispute, hands: Hands) -> int:
        """The loop's periods until it is done."""
        for period in range(1, 200):
            moment = one.began + self.at + period * PERIOD
            hands.clock = lambda moment=moment: moment  # type: ignore[misc]
            one.house.beat(moment)
            self.loop(hands, moment)
            if self.done(one):
                return period
        raise AssertionError(f"{self.name} was never done: {list(Lab.objects.values('pk', 'state', 'reason_code', 'stage_words'))}")


PARTS = (
    Part("notice", _schedule, RUN, lambda one: Reclaim.objects.filter(lab_id=one.held, closed_at=None).exists()),
    Part("telling", _warn, RUN, lambda one: Reclaim.objects.filter(lab_id=one.held, told_at__isnull=False).exists()),
    Part("end", _schedule, RUN + 2 * NOTICE, lambda one: one.is_in("stopping", one.held)),
    Part("stop", _reconcile, RUN + 2 * NOTICE, lambda one: one.is_in("stopped", one.held)),
    Part("placing", _schedule, RUN + 2 * NOTICE, lambda one: one.is_in("starting", one.asked)),
    Part("start", _reconcile, RUN + 2 * NOTICE, lambda one: one.is_in("running", one.asked)),
)


@pytest.fixture(autouse=True)
def generous(monkeypatch: pytest.MonkeyPatch) -> None:
    """One house sees more of them in a minute than it may in a week: its share of lost work is not what is tried here."""
    monkeypatch.setitem(settings.DEFAULTS["fairness"], "reclaim_may_lose_least_h", 10_000)


@pytest.fixture
def dispute(house: House, ask: Any, alice: User, charlie: User) -> Callable[[], Dispute]:
    """Makes one. Both had labs here before: what is made for a person's first lab is tried where labs are launched."""
    first = Dispute(house, ask, alice, charlie)
    first.work(house.hands())
    first.end()
    return lambda: Dispute(house, ask, alice, charlie)


def _crashed(one: Dispute, part: Part, at: int, when: str) -> int:
    """Let a worker be killed there, and another go on; the periods that it took."""

    def work(hands: Hands) -> None:
        with steps_seen(crash(at, when)):
            part.work(one, hands)

    ended = one.house.wait(one.house.fork(work))
    assert ended == KILLED, f"{part.name}: the worker ended with {ended}, not {when} step {at}"
    return 0 if part.done(one) else part.work(one, one.house.hands())


@pytest.mark.timeout(600)
def test_row_01_a_worker_killed_before_or_after_every_step_of_taking_cards_back_is_followed_by_another(house, dispute, clean):
    first = dispute()
    steps = {part.name: recorded(house, lambda hands, part=part: part.work(first, hands))[0] for part in PARTS}
    first.end()
    for part, known in (("notice", "reclaim_begin: commit"), ("end", "reclaim_finish: commit"), ("stop", "lab_gone: commit"), ("placing", "lab_assign")):
        assert any(known in step for step in steps[part]), f"no step {known!r} was seen in {part}: {steps[part]}"
    points = {name: crashes(names, both=True) for name, names in steps.items()}
    for number in range(max(map(len, points.values()))):
        one = dispute()
        for part in PARTS:
            if number < len(points[part.name]):
                at, when = points[part.name][number]
                periods = _crashed(one, part, at, when)
                assert periods <= MOST_PERIODS, f"{part.name}, {when} {steps[part.name][at]}: {periods} periods"
            else:
                part.work(one, house.hands())
        assert Lab.objects.get(pk=one.held).reason_code == "preempted"
        clean(running={one.asked})
        one.end()
        clean()
    print(f"\n{sum(map(len, points.values()))} crashes at {sum(map(len, steps.values()))} steps")
    for name, names in steps.items():
        print(f"{name}:", *names, sep="\n  ")


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_row_01_a_worker_killed_at_any_step_of_a_taking_back_as_it_goes_is_followed_by_another(house, dispute, clean):
    first = dispute()
    steps, undisturbed = recorded(house, lambda hands: first.work(hands))
    first.end()
    for at, when in crashes(steps, both=True):
        one = dispute()

        def work(hands: Hands, one: Dispute = one, at: int = at, when: str = when) -> None:
            with steps_seen(crash(at, when)):
                one.work(hands)

        ended = house.wait(house.fork(work))
        assert ended == KILLED, f"the worker ended with {ended}, not {when} {steps[at]}"
        minutes = one.work(house.hands())
        assert minutes <= undisturbed + MOST_PERIODS, f"{when} {steps[at]}: {minutes} minutes for {undisturbed}"
        assert Lab.objects.get(pk=one.held).reason_code == "preempted"
        clean(running={one.asked})
        one.end()
        clean()
    print(f"\n{len(steps)} steps", *steps, sep="\n  ")
