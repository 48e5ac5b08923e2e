"""Tell the programs of labs what is to come: by a file that they can read, and by a signal to those that listen for it."""

import logging
from datetime import UTC, datetime

from labs.fleet.services import drain_told
from labs.lifecycle.models import Lab, Reclaim
from labs.lifecycle.nodes import drain_words, drains_to_tell
from labs.lifecycle.reclaims import reclaim_told, reclaim_words, reclaims_to_tell
from worker.hands import Hands
from worker.runtimes.base import Notice, RuntimeFault
from worker.terminals import terminals_write

log = logging.getLogger(__name__)


def tick(*, hands: Hands, now: datetime) -> int:
    """Tell this node's labs whose cards are taken back, and those for which that was called off; how many were told.

    Told again after a crash in between: the file is the same, and who listens for a signal must bear a second one.
    """
    told = sum(_tell(row, hands, now) for row in reclaims_to_tell(node_id=hands.node_id))
    return told + sum(_drain_tell(lab, until, hands) for lab, until in drains_to_tell(node_id=hands.node_id))


def _drain_tell(lab: Lab, until: datetime | None, hands: Hands) -> bool:
    """By file and signal, and on its terminals."""
    name, notice = f"gpulab-{lab.pk}-{lab.attempt}", None
    if until is not None and lab.node is not None:
        notice = Notice("drain", drain_words(node=lab.node, until=until), until.astimezone(UTC).isoformat(timespec="seconds"))
    try:
        hands.runtime.tell(name, notice)
        if notice is not None:
            terminals_write(pids=hands.runtime.processes(name), words=notice.words)
    except RuntimeFault as fault:
        log.warning("lab %s could not be told: %s", lab.pk, fault.words)
        return False
    drain_told(node_id=hands.node_id, container=name, until=until)
    return True


def _tell(row: Reclaim, hands: Hands, now: datetime) -> bool:
    notice = None
    if row.closed_at is None:
        notice = Notice("reclaim", reclaim_words(reclaim=row, lab=row.lab), row.ends_at.astimezone(UTC).isoformat(timespec="seconds"))
    try:
        hands.runtime.tell(f"gpulab-{row.lab_id}-{row.attempt}", notice)
    except RuntimeFault as fault:
        log.warning("lab %s could not be told: %s", row.lab_id, fault.words)
        return False
    reclaim_told(reclaim_id=row.pk, now=now if notice else None)
    return True
