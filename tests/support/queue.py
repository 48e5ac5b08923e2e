"""A queue to test with: labs that hold cards, and a clock that goes on while the node stays alive."""

from datetime import datetime
from typing import Any

from labs.fleet.models import Node
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_assign, lab_ready
from worker.loops import schedule


def run(lab: Any, cards: list[str], now: datetime, node_id: str = "n1") -> Lab:
    """The lab, running with these cards since `now`."""
    assert lab_assign(lab_id=lab.pk, node_id=node_id, gpu_uuids=cards, now=now)
    assert lab_ready(lab_id=lab.pk, attempt=1, verified={}, not_held=[], now=now)
    return Lab.objects.get(pk=lab.pk)


def tick(now: datetime) -> int:
    """One round of the scheduler, at a moment at which every node has just been heard."""
    Node.objects.update(heartbeat_at=now)
    return schedule.tick(now=now)
