"""What the house allows itself to throw away when it takes cards back, and that it plans by the numbers that were tried."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.conf import settings

from labs.lifecycle.fairness import may_lose_s
from labs.lifecycle.models import Lab, Reclaim
from labs.lifecycle.waiting import policy_of, snapshot_load
from labs.people.models import User
from labs.scheduler.policy import Policy


def test_the_house_plans_by_the_numbers_that_the_replay_was_tuned_to() -> None:
    assert policy_of(settings.DEFAULTS["fairness"]) == Policy()


@pytest.mark.django_db
def test_a_young_house_may_take_back_a_day_of_one_card(now: datetime) -> None:
    assert may_lose_s(now=now) == pytest.approx(24 * 3600)
    assert snapshot_load(now=now).may_lose_s == pytest.approx(24 * 3600)


def test_work_thrown_away_lately_is_not_there_to_be_thrown_away_again(alice: User, bob: User, lab_of: Callable[..., Lab], now: datetime) -> None:
    lent, asker = lab_of(alice, gpus=2), lab_of(bob, gpus=1)
    Lab.objects.filter(pk=lent.pk).update(started_at=now - timedelta(hours=3))
    row = Reclaim.objects.create(lab=lent, attempt=1, taken_for=asker, noticed_at=now, ends_at=now + timedelta(minutes=5))
    assert may_lose_s(now=now) == pytest.approx(18 * 3600, rel=0.01)  # two cards for three hours, hardly older than now
    Reclaim.objects.filter(pk=row.pk).update(closed_at=now, outcome=Reclaim.Outcome.CALLED_OFF)
    assert may_lose_s(now=now) == pytest.approx(24 * 3600)
    Reclaim.objects.filter(pk=row.pk).update(outcome=Reclaim.Outcome.TAKEN)
    assert may_lose_s(now=now + timedelta(days=7)) == pytest.approx(21 * 3600, rel=0.01)  # half forgotten
