"""An administrator's hand in the queue: a lab first or last, for a reason that is read and kept, and back again."""

from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Max, Min

from labs.bus.doorbell import ring
from labs.ledger.services import event_record
from labs.lifecycle import states
from labs.lifecycle.models import Lab, QueueMove
from labs.lifecycle.moves import lab_announce
from labs.people.errors import Refused
from labs.people.models import User


def queue_move(*, lab: Lab, first: bool, reason: str, actor: User, now: datetime) -> QueueMove:
    """Put a waiting lab before all others (`first`) or after them. A later move goes before, or after, the earlier ones."""
    reason = reason.strip()
    if not reason:
        raise Refused("Write why: its owner and the audit log are told.", field="reason")
    try:
        with transaction.atomic():
            row = _waiting(lab)
            QueueMove.objects.filter(lab=row, undone_at=None).update(undone_at=now)
            move = QueueMove.objects.create(lab=row, priority=_priority(first), reason=reason[:200], made_by=actor, made_at=now)
            words = f"Moved to the {'front' if first else 'end'} of the queue by an administrator: {move.reason}"
            event_record(kind="queue.moved", subject=row.subject, words=words, actor=actor, now=now, priority=move.priority)
            _tell(row)
    except IntegrityError as error:
        raise Refused("Somebody else moved it at the same moment. Look again.", code="state") from error
    return move


def queue_move_undo(*, lab: Lab, actor: User, now: datetime) -> bool:
    """Give the lab its own place back. False when it was not moved."""
    with transaction.atomic():
        if not QueueMove.objects.filter(lab=lab, undone_at=None).update(undone_at=now):
            return False
        event_record(kind="queue.moved", subject=lab.subject, words="Back at its own place in the queue.", actor=actor, now=now, priority=0)
        _tell(lab)
    return True


def _waiting(lab: Lab) -> Lab:
    row = Lab.objects.select_for_update().get(pk=lab.pk)
    if row.state != states.QUEUED and not (row.state == states.RUNNING and row.next_gpus is not None):
        raise Refused("It does not wait any more.", code="state")
    return row


def _priority(first: bool) -> int:
    """One step beyond whoever waits at that end by such a move."""
    ends = QueueMove.objects.filter(undone_at=None, lab__state__in=(states.QUEUED, states.RUNNING)).aggregate(most=Max("priority"), least=Min("priority"))
    return max(ends["most"] or 0, 0) + 1 if first else min(ends["least"] or 0, 0) - 1


def _tell(lab: Lab) -> None:
    lab_announce(lab=lab)
    ring("worker.schedule")
