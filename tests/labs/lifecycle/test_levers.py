"""Pulling a lever: what changes, what stays, and what is written down."""

from typing import Any

import pytest

from labs.ledger.models import Event
from labs.lifecycle import states
from labs.lifecycle.levers import lab_lever_pull
from labs.lifecycle.models import Lab
from labs.lifecycle.queueing import levers_of, waits_of
from labs.lifecycle.services import lab_take_gpu
from labs.people.errors import Refused
from tests.support.queue import run, tick

CARDS = ["GPU-00000000-test", "GPU-00000001-test"]


@pytest.fixture
def waiting(lab_of: Any, alice: Any, root_admin: Any, now: Any) -> Lab:
    """alice waits for two cards, one of which somebody holds."""
    run(lab_of(root_admin, gpus=1, hours=8), CARDS[:1], now)
    lab: Lab = lab_of(alice, gpus=2, name="thesis")
    return lab


def _codes(lab: Lab, now: Any) -> set[str]:
    return {lever.code for lever in levers_of(lab=lab, now=now)}


def test_every_lever_starts_it_when_it_is_pulled(waiting: Lab, alice: Any, now: Any) -> None:
    assert {"gpus:1", "gpus:0"} <= _codes(waiting, now)
    lever = lab_lever_pull(lab=waiting, code="gpus:1", actor=alice, now=now)
    assert lever.estimate is None
    tick(now)
    lab = Lab.objects.get(pk=waiting.pk)
    assert (lab.state, lab.gpus, lab.leases.count()) == (states.STARTING, 1, 1)


def test_place_name_and_sizes_stay_and_the_change_is_in_the_timeline(waiting: Lab, alice: Any, now: Any) -> None:
    lab_lever_pull(lab=waiting, code="gpus:0", actor=alice, now=now)
    lab = Lab.objects.get(pk=waiting.pk)
    kept = ("name", "requested_at", "image_id", "cpus", "memory_mib", "shm_mib", "hours", "attempt")
    assert [getattr(lab, name) for name in kept] == [getattr(waiting, name) for name in kept]
    event = Event.objects.get(subject=lab.subject, kind="lab.changed")
    assert event.words == "Changed while waiting: No GPU instead of 2" and event.actor_id == alice.pk


def test_a_lever_that_is_not_offered_is_refused_and_changes_nothing(waiting: Lab, alice: Any, now: Any) -> None:
    for code in ("gpus:7", "", "hours:1000", "gpus:1; drop"):
        with pytest.raises(Refused, match="would not start it sooner"):
            lab_lever_pull(lab=waiting, code=code, actor=alice, now=now)
    assert Lab.objects.get(pk=waiting.pk).gpus == 2


def test_a_lab_that_has_started_has_no_levers(waiting: Lab, alice: Any, now: Any) -> None:
    lab_lever_pull(lab=waiting, code="gpus:1", actor=alice, now=now)
    tick(now)
    lab = Lab.objects.get(pk=waiting.pk)
    assert not levers_of(lab=lab, now=now)
    with pytest.raises(Refused):
        lab_lever_pull(lab=lab, code="gpus:0", actor=alice, now=now)


def test_a_running_lab_that_waits_for_two_cards_can_take_one(lab_of: Any, alice: Any, root_admin: Any, now: Any) -> None:
    run(lab_of(root_admin, gpus=1, hours=8), CARDS[:1], now)
    lab = run(lab_of(alice, gpus=0), [], now)
    lab = lab_take_gpu(lab=lab, gpus=2, gpu_model="", actor=alice, now=now)
    assert _codes(lab, now) == {"gpus:1"}
    lab_lever_pull(lab=lab, code="gpus:1", actor=alice, now=now)
    assert Lab.objects.get(pk=lab.pk).next_gpus == 1


def test_home_knows_which_labs_would_start_without_gpus(waiting: Lab, alice: Any, charlie: Any, now: Any, node: Any) -> None:
    assert [entry.without_gpus for entry in waits_of(user=alice, now=now).values()] == [True]
    assert waits_of(user=charlie, now=now) == {}
    type(node).objects.filter(pk=node.pk).update(state="cordoned")
    assert [entry.without_gpus for entry in waits_of(user=alice, now=now).values()] == [False]
