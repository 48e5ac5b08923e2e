"""Tell the programs of labs what is to come: by a file that they can read, and by a signal to those that listen for it."""

import logging
from datetime import UTC, datetime

from labs.lifecycle.models import Reclaim
from labs.lifecycle.reclaims import reclaim_told, reclaim_words, reclaims_to_tell
from worker.hands import Hands
from worker.runtimes.base import Notice, RuntimeFault

log = logging.getLogger(__name__)


def tick(*, hands: Hands, now: datetime) -> int:
    """Tell this node's labs whose cards are taken back, and those for which that was called off; how many were told.

    Told again after a crash in between: the file is the same, and who listens for a signal must bear a second one.
    """
    return sum(_tell(row, hands, now) for row in reclaims_to_tell(node_id=hands.node_id))


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
