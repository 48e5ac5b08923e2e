"""A drained node ends its labs at the deadline, tells their programs before, and keeps time also when the record is away."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError

from labs.fleet.models import Node
from labs.lifecycle.models import Lab
from labs.lifecycle.nodes import node_drain, node_drain_cancel
from tests.support.hands import Round, round_of  # noqa: F401  (fixture)
from tests.support.waiting import wait_for
from worker.loops import alone, reconcile, warn

pytestmark = pytest.mark.django_db(transaction=True)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def house(round_of: Any) -> Round:
    return round_of()


def _drain(node: Node, house: Round, root_admin: Any, minutes: int) -> None:
    node_drain(node=Node.objects.get(pk=node.pk), until=house.now + minutes * MINUTE, words="New driver.", actor=root_admin, now=house.now)


def test_labs_end_at_the_deadline_with_that_reason(node, lab_of, alice, root_admin, house):
    lab = lab_of(alice)
    house.until(lab, "running")
    _drain(node, house, root_admin, 10)
    house.now += 9 * MINUTE
    Node.objects.update(heartbeat_at=house.now)
    house.tick()
    assert Lab.objects.get(pk=lab.pk).state == "running"
    house.now += MINUTE
    Node.objects.update(heartbeat_at=house.now)
    house.until(lab, "stopped")
    assert Lab.objects.get(pk=lab.pk).reason_code == "drained"
    house.tick()
    assert Node.objects.get(pk=node.pk).state == "cordoned"


def test_programs_are_told_once_and_told_again_when_it_is_called_off(node, lab_of, alice, root_admin, house):
    lab = lab_of(alice)
    house.until(lab, "running")
    assert warn.tick(hands=house.hands, now=house.now) == 0
    _drain(node, house, root_admin, 10)
    assert warn.tick(hands=house.hands, now=house.now) == 1
    assert warn.tick(hands=house.hands, now=house.now) == 0
    assert house.runtime.told[-1][1].code == "drain" and "New driver." in house.runtime.told[-1][1].words
    node_drain_cancel(node=Node.objects.get(pk=node.pk), actor=root_admin, now=house.now)
    assert warn.tick(hands=house.hands, now=house.now) == 1
    assert house.runtime.told[-1] == (f"gpulab-{lab.pk}-1", None)


@pytest.fixture
def cut_off(node, lab_of, alice, house, monkeypatch) -> tuple[Round, Lab]:
    """A lab of two hours runs; then the record does not answer any more."""
    lab = lab_of(alice, hours=2)
    house.until(lab, "running")
    house.tick()

    def away(**_: Any) -> None:
        raise OperationalError("no route to host")

    monkeypatch.setattr(reconcile, "wanted_on", away)
    with pytest.raises(OperationalError):
        reconcile.tick(hands=house.hands, now=house.now)
    return house, lab


def test_a_node_that_is_cut_off_ends_a_lab_whose_time_is_up(cut_off, monkeypatch):
    house, lab = cut_off
    house.hands.limits_at -= alone.AWAY_S
    assert alone.tick(hands=house.hands, now=house.now + 119 * MINUTE) == 0
    assert alone.tick(hands=house.hands, now=house.now + 121 * MINUTE) == 1
    wait_for(lambda: not house.runtime.observe(), what="the end of its container")
    wait_for(lambda: not house.hands.limits, what="its limit being forgotten")
    assert alone.tick(hands=house.hands, now=house.now + 122 * MINUTE) == 0
    monkeypatch.undo()
    house.now += 122 * MINUTE
    house.until(lab, "stopped")
    assert Lab.objects.get(pk=lab.pk).reason_code == "time_up"


def test_while_the_record_answers_it_alone_ends_labs(cut_off):
    house, _ = cut_off
    assert alone.tick(hands=house.hands, now=house.now + 121 * MINUTE) == 0
