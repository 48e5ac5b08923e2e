"""FAULTS rows 18 and 19: a scheduler that was paused and wakes, and a worker whose clock is wrong."""

import os
import signal
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from labs.lifecycle.models import Lab, Lease
from labs.lifecycle.moves import lab_assign, lab_end, lab_gone
from labs.turns.models import Turn
from labs.turns.queries import database_now
from labs.turns.services import turn_take
from tests.support.hands import Round, round_of  # noqa: F401  (fixture)
from tests.support.waiting import wait_for
from worker.clock import HouseClock
from worker.loops import reconcile, schedule

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]
ROUNDS = 100
SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def _postgres(on_postgres: None) -> None:
    """Turns are about machines that share a server."""


def _lapse() -> None:
    Turn.objects.update(until=timezone.now() - timedelta(days=1))


def test_row_18_a_scheduler_that_wakes_after_another_took_over_writes_nothing_in_100_rounds(lab_of, alice, bob, node, now):
    for round_ in range(ROUNDS):
        lab_id = lab_of(alice, name=f"lab-{round_}", gpus=1).pk
        mine = turn_take(name="schedule", holder="paused")
        _lapse()
        other = turn_take(name="schedule", holder="awake")
        assert mine is not None and other is not None and other > mine
        card, second = "GPU-00000000-test", "GPU-00000001-test"
        assert not lab_assign(lab_id=lab_id, node_id=node.pk, gpu_uuids=[second], now=now, fence=mine), "a stale write"
        assert lab_assign(lab_id=lab_id, node_id=node.pk, gpu_uuids=[card], now=now, fence=other)
        assert not lab_assign(lab_id=lab_id, node_id=node.pk, gpu_uuids=[second], now=now, fence=mine)
        assert list(Lease.objects.filter(closed_at=None).values_list("gpu_id", flat=True)) == [card]
        assert lab_end(lab_id=lab_id, code="asked", now=now) and lab_gone(lab_id=lab_id, now=now)
        _lapse()


def test_row_18_a_scheduler_stopped_by_a_signal_between_its_plan_and_its_writes_places_nothing_when_it_goes_on(lab_of, alice, node, monkeypatch):
    lab_id = lab_of(alice, gpus=1).pk
    told, tell = os.pipe()
    connections.close_all()
    pid = os.fork()
    if pid == 0:
        _paused_scheduler(lab_id, node.pk, tell)
    assert os.read(told, 1) == b"p"
    wait_for(lambda: _state(pid) == "T", within=60, what="a paused scheduler")
    _lapse()
    fence = turn_take(name="schedule", holder="awake")
    assert fence is not None and schedule.tick(now=timezone.now(), fence=fence) == 1
    os.kill(pid, signal.SIGCONT)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, "its write was not refused"
    assert Lease.objects.filter(closed_at=None).count() == 1


def _paused_scheduler(lab_id: str, node_id: str, tell: int) -> None:
    """Take the turn, decide, be paused; then write what was decided. Ends with 0 when nothing was written."""
    status = 1
    try:
        fence = turn_take(name="schedule", holder="paused")
        os.write(tell, b"p")
        os.kill(os.getpid(), signal.SIGSTOP)
        status = int(lab_assign(lab_id=lab_id, node_id=node_id, gpu_uuids=["GPU-00000001-test"], now=timezone.now(), fence=fence))
    finally:
        os._exit(status)


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123  (the kernel's file, not a path of ours)
        return file.read().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(days=1), -timedelta(days=1)])
def test_row_19_a_worker_whose_clock_jumps_stops_nobody_and_counts_to_the_second(lab_of, alice, node, round_of, monkeypatch, jump):
    house: Round = round_of()
    clock = HouseClock(database_now)
    house.hands.clock = clock.now
    lab_id = lab_of(alice, gpus=1, hours=2).pk

    def tick() -> None:
        schedule.tick(now=clock.now())
        reconcile.tick(hands=house.hands, now=clock.now())

    before = database_now()
    tick()
    opened = Lease.objects.get(lab=lab_id).opened_at
    assert before - SECOND <= opened <= database_now() + SECOND
    wait_for(lambda: Lab.objects.get(pk=lab_id).state == "running" or tick(), within=60, what="running")
    real: Any = time.time
    monkeypatch.setattr("time.time", lambda: real() + jump.total_seconds())
    monkeypatch.setattr("worker.clock.LOOK_EVERY_S", 0.0)
    monkeypatch.setattr("django.utils.timezone.now", lambda: database_now() + jump)
    for _ in range(5):
        tick()
    lab = Lab.objects.get(pk=lab_id)
    assert lab.state == "running" and lab.target == "running"
    assert Lease.objects.get(lab=lab).opened_at == opened
    assert database_now() - SECOND <= clock.now() <= database_now() + SECOND
