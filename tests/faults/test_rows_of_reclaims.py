"""FAULTS row 1 where cards are taken back: a worker killed at any durable step between the notice and the asker's start.

In the normal run after each step that is of taking back alone; before and after every one in the long run.
"""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_end
from labs.people.models import User
from tests.faults.hands import PERIOD_S, House
from tests.faults.steps import crash, crashes, recorded, steps_seen
from worker.hands import Hands
from worker.loops import warn

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.engine, pytest.mark.postgres, pytest.mark.timeout(280)]
#: A lab is taken back only after half an hour, and with five minutes' notice.
RUN = timedelta(minutes=40)
MINUTE = timedelta(minutes=1)
MOST_PERIODS = 30 / PERIOD_S


class Dispute:
    """Alice holds all cards, half of them beyond her guarantee; charlie waits for two inside his."""

    def __init__(self, house: House, ask: Any, alice: User, charlie: User) -> None:
        self.house = house
        self.held = ask(alice, gpus=4)
        house.until(self.held, "running")
        self.asked = ask(charlie, gpus=2)
        self.began = timezone.now()

    def work(self, hands: Hands, minutes: int = 0) -> int:
        """Minutes of the house's time until charlie has his cards, each a period of the loops."""
        for passed in range(minutes, minutes + 40):
            moment = self.began + RUN + passed * MINUTE
            hands.clock = lambda moment=moment: moment  # type: ignore[misc]
            self.house.tick(hands)
            warn.tick(hands=hands, now=moment)
            if Lab.objects.filter(pk=self.asked, state="running").exists():
                return passed
        raise AssertionError(f"nobody has the cards: {list(Lab.objects.values('pk', 'state', 'reason_code', 'stage_words'))}")

    def end(self) -> None:
        """All of them stop, also the one that waits again."""
        for lab in Lab.objects.filter(state__in=("queued", "running", "starting")):
            lab_end(lab_id=lab.pk, code="asked", now=timezone.now())
        for lab in Lab.objects.filter(state="stopping"):
            self.house.until(lab.pk, "stopped", "failed")


def _tried(house: House, ask: Any, clean: Any, alice: User, charlie: User, *, both: bool) -> None:
    first = Dispute(house, ask, alice, charlie)
    steps, undisturbed = recorded(house, lambda hands: first.work(hands))
    first.end()
    assert any("reclaim_begin: commit" in step for step in steps), steps
    first_of = {steps.index(name) for name in steps if ".reclaim" in name or "lab_gone" in name}
    for at, when in crashes(steps, both=both):
        if not both and at not in first_of:
            continue
        one = Dispute(house, ask, alice, charlie)

        def work(hands: Hands, one: Dispute = one, at: int = at, when: str = when) -> None:
            with steps_seen(crash(at, when)):
                one.work(hands)

        house.wait(house.fork(work))
        minutes = one.work(house.hands())
        assert minutes <= undisturbed + MOST_PERIODS, f"{when} {steps[at]}: {minutes} minutes for {undisturbed}"
        assert Lab.objects.get(pk=one.held).reason_code == "preempted"
        clean(running={one.asked})
        one.end()
        clean()
    print(f"\n{len(steps)} steps", *steps, sep="\n  ")


def test_row_01_a_worker_killed_at_a_step_of_taking_cards_back_is_followed_by_another(house, ask, alice, charlie, clean):
    _tried(house, ask, clean, alice, charlie, both=False)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_row_01_a_worker_killed_before_or_after_every_step_of_taking_cards_back_is_followed_by_another(house, ask, alice, charlie, clean):
    _tried(house, ask, clean, alice, charlie, both=True)
