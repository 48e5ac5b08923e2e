"""A claim races the end of its ten minutes, and other claims: one of them wins, on PostgreSQL, through real connections."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from labs.ledger.models import Event
from labs.lifecycle import states
from labs.lifecycle.claims import lab_claim, offers_lapse
from labs.lifecycle.models import Lab, Lease
from labs.lifecycle.moves import lab_assign, lab_end, lab_gone
from labs.people.errors import Refused
from tests.conftest import need
from tests.support.racing import Race, racing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres, pytest.mark.timeout(120)]
RACERS, ROUNDS = 12, 20
CARD = "GPU-00000000-test"


@pytest.fixture
def at_once() -> Iterator[Race]:
    """Run `what(n)` in so many threads at the same moment."""
    need("GPULAB_TEST_DATABASE_URL", "PostgreSQL")
    assert connection.vendor == "postgresql"
    with racing(RACERS) as race:
        yield race


def _offer(lab_of: Any, alice: Any, now: datetime) -> Lab:
    lab = lab_of(alice, gpus=1, ask_first=True)
    assert lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=[CARD], now=now)
    return Lab.objects.get(pk=lab.pk)


def _clear(lab: Lab, now: datetime) -> None:
    lab_end(lab_id=lab.pk, code="asked", now=now)
    lab_gone(lab_id=lab.pk, now=now)


def test_a_claim_and_the_end_of_its_time_have_one_winner_in_every_round(lab_of: Any, alice: Any, now: datetime, at_once: Any) -> None:
    won = set()
    for _ in range(ROUNDS):
        lab = _offer(lab_of, alice, now)
        late = now + timedelta(minutes=10)

        def race(n: int, lab: Lab = lab, late: datetime = late) -> bool:
            try:
                return lab_claim(lab=lab, actor=alice, now=now) if n % 2 else bool(offers_lapse(now=late))
            except Refused:
                return False

        assert sum(at_once(race, RACERS)) == 1
        row, held = Lab.objects.get(pk=lab.pk), Lease.objects.filter(lab=lab, closed_at=None).count()
        assert (row.state, held) in ((states.STARTING, 1), (states.STOPPED, 0))
        assert Event.objects.filter(subject=lab.subject, kind__in=("lab.starting", "lab.stopped")).count() == 1
        won.add(row.state)
        if row.state == states.STARTING:
            _clear(lab, now)
    assert won <= {states.STARTING, states.STOPPED}
