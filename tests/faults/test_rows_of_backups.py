"""FAULTS row 28: an hour-old backup is restored under running containers."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from labs.backup.services import backup_restore, backup_write
from labs.lifecycle.models import Lab, Lease
from labs.lifecycle.services import lab_stop
from labs.notices.models import Notice
from labs.people.models import User
from labs.quarantine.models import Stray
from labs.quarantine.services import GRACE
from tests.faults.hands import House
from worker.loops import reconcile

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.engine, pytest.mark.postgres]
HOUR = timedelta(hours=1)


def test_row_28_a_restored_backup_adopts_or_lists_every_container_that_it_does_not_know_and_removes_none(
    house: House, engine: Any, ask: Callable[..., str], alice: User, bob: User, charlie: User, root_admin: User, tmp_path: Path
):
    stays, leaves = ask(bob), ask(alice, gpus=3)
    for lab_id in (stays, leaves):
        house.until(lab_id, "running")
    waits = ask(charlie)
    then = timezone.now()
    Lab.objects.filter(pk=stays).update(ends_at=then - timedelta(minutes=1))  # its hour is up by the backup; its owner extended it since
    backup_write(path=tmp_path / "old", settings_shown={}, now=then - HOUR)
    Lab.objects.filter(pk=stays).update(ends_at=then + HOUR)
    lab_stop(lab=Lab.objects.get(pk=leaves), actor=alice, now=then)
    house.until(leaves, "stopped")
    house.until(waits, "running")
    new = ask(alice)
    house.until(new, "running")
    had, ran = cards(engine, house), running(engine, house)
    assert ran.keys() == {stays, waits, new}

    backup_restore(path=tmp_path / "old", now=timezone.now())
    hands = house.hands()
    for _ in range(4):
        reconcile.tick(hands=hands, now=hands.clock())
    states = dict(Lab.objects.values_list("pk", "state"))
    assert (states[stays], states[leaves]) == ("running", "failed") and states[waits] in ("starting", "running") and new not in states
    assert [stray.lab_id for stray in Stray.objects.all()] == [new]
    assert Notice.objects.filter(kind="stray", user=root_admin, words__contains=new).exists()
    assert {lease.lab_id: lease.gpu_id for lease in Lease.objects.filter(closed_at=None)} == {one: had[one] for one in (stays, waits)}
    house.until(waits, "running", hands=hands)

    later = timezone.now() + GRACE - timedelta(seconds=30)
    hands.clock = lambda: later  # type: ignore[method-assign]
    reconcile.tick(hands=hands, now=later)
    assert running(engine, house) == ran, "no container of anybody's was touched in the grace"
    asked = ask(charlie)
    house.until(asked, "running", hands=hands)
    assert not Lease.objects.filter(lab=asked, gpu_id=had[new]).exists(), "nobody is given what a listed container has"


def running(engine: Any, house: House) -> dict[str, int]:
    """lab -> the process of its container."""
    found = {row["Labels"]["gpulab.lab"]: row["Id"] for row in engine.containers(filters={"label": f"gpulab.node={house.node.realm}"})}
    return {lab_id: engine.inspect_container(container)["State"]["Pid"] for lab_id, container in found.items()}


def cards(engine: Any, house: House) -> dict[str, str]:
    """lab -> the card that its container was given."""
    rows = engine.containers(filters={"label": f"gpulab.node={house.node.realm}"})
    return {row["Labels"]["gpulab.lab"]: row["Labels"]["gpulab.gpus"] for row in rows}
