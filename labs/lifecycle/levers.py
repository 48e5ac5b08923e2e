"""Pulling a lever: change a waiting lab so that it starts sooner, keeping its place and its files."""

from datetime import datetime
from typing import Any

from django.db import transaction

from labs.bus.doorbell import ring
from labs.ledger.services import event_record
from labs.lifecycle import states
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_announce
from labs.lifecycle.queueing import levers_of
from labs.people.errors import Refused
from labs.people.models import User
from labs.scheduler.snapshot import Lever, Waiting


def lab_lever_pull(*, lab: Lab, code: str, actor: User, now: datetime) -> Lever:
    """Change the lab as the lever of this code says. Refused when the lab does not wait any more or the lever no longer helps."""
    found = next((lever for lever in levers_of(lab=lab, now=now) if lever.code == code), None)
    if found is None:
        raise Refused("This would not start it sooner any more. Look at what would.", code="state")
    with transaction.atomic():
        row = Lab.objects.select_for_update().get(pk=lab.pk)
        if row.state == states.QUEUED:
            columns = _queued(found.waiting)
        elif row.state == states.RUNNING and row.next_gpus is not None:
            columns = {"next_gpus": found.waiting.asked.gpus, "next_gpu_model": found.waiting.gpu_model}
        else:
            raise Refused("It does not wait any more.", code="state")
        Lab.objects.filter(pk=row.pk).update(**columns)
        event_record(kind="lab.changed", subject=row.subject, words=f"Changed while waiting: {found.words}", actor=actor, now=now, lever=code)
        lab_announce(lab=row)
        ring("worker.schedule")
    return found


def _queued(waiting: Waiting) -> dict[str, Any]:
    """The columns of a queued lab that has this wish."""
    asked = waiting.asked
    return {
        "gpus": asked.gpus,
        "gpu_model": waiting.gpu_model,
        "cpus": asked.cpus,
        "memory_mib": asked.memory_mib,
        "shm_mib": asked.shm_mib,
        "hours": asked.hours,
        "wants_slice": waiting.wants_slice,
        "may_borrow": waiting.may_borrow,
    }
