"""What a final state brings with it, in the transaction of the move: leases and notices close, and a lab whose cards were taken is queued again."""

from datetime import datetime, timedelta
from math import ceil

from django.db.models import Min, QuerySet

from labs.fleet.services import gpus_await_look
from labs.ledger.services import event_record
from labs.lifecycle.models import Lab, Lease, Reclaim

PREEMPTED = "preempted"
#: Columns of the wish, which a lab that is queued again has from the first.
WISH = (
    "owner_id", "name", "image_id", "gpus", "gpu_model", "cpus", "memory_mib", "shm_mib", "pids", "wants_slice", "ask_first", "may_borrow", "requeue",
    "command", "folder", "data",
)  # fmt: skip


def lab_settle(*, lab: Lab, now: datetime) -> None:
    """Nothing is held by an ended lab, and nothing is taken back from it."""
    leases_close(leases=Lease.objects.filter(lab=lab, closed_at=None), now=now)
    outcome = Reclaim.Outcome.TAKEN if lab.reason_code == PREEMPTED else Reclaim.Outcome.ENDED
    Reclaim.objects.filter(lab=lab, closed_at=None).update(closed_at=now, outcome=outcome)


def leases_close(*, leases: QuerySet[Lease], now: datetime) -> None:
    """The labs have left the cards, which are looked at before anybody else has them."""
    cards = [lease.gpu_id for lease in leases]
    if cards:
        leases.update(closed_at=now)
        gpus_await_look(uuids=cards, now=now)


def lab_requeue(*, lab: Lab, now: datetime) -> Lab | None:
    """The lab whose cards were taken back waits again, under its name and for the time that it had left; None where that is not wished."""
    if lab.reason_code != PREEMPTED or not lab.requeue or not lab.owner.is_active:
        return None
    left = (lab.ends_at - now) / timedelta(hours=1) if lab.ends_at else lab.hours
    hours = min(max(ceil(left), 1), lab.hours)
    wish = {name: getattr(lab, name) for name in WISH}
    again = Lab.objects.create(requeued_from=lab, hours=hours, requested_at=now, counts_from=now - _waited(lab), state_since=now, **wish)
    left_words = f"for the {hours} {'hour' if hours == 1 else 'hours'} that it had left"
    words = f"Queued again after its cards were taken back, {left_words}. What it waited before counts on."
    event_record(kind="lab.queued", subject=again.subject, words=words, actor=None, now=now)
    return again


def _waited(lab: Lab) -> timedelta:
    """What it waited for the cards that it had: from then on its wait counts to the first of its leases."""
    first = Lease.objects.filter(lab=lab, opened_at__gte=lab.waits_since).aggregate(first=Min("opened_at"))["first"]
    return first - lab.waits_since if first else timedelta()
