"""Taking cards back: notice, five minutes, the end; and the cards go to the lab that they were taken back for, to no other.

Each step is one transaction and may be tried again: begin (notice, cards kept for the asker), tell (by the node, into the lab), finish
(the lab's end begins), and the rest is the road of every end. Whatever makes it needless on the way calls it off.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from labs.bus.doorbell import node_queue, ring
from labs.ledger.services import Actor, event_record
from labs.lifecycle import states
from labs.lifecycle.allowances import budgets_spent
from labs.lifecycle.leasing import lab_may_claim
from labs.lifecycle.models import Keep, Lab, Lease, Reclaim
from labs.lifecycle.moves import lab_announce, lab_end, lab_notice
from labs.lifecycle.telling import reclaim_tell
from labs.turns.services import turn_holds

#: How long after the notice cards are kept for the lab that they were taken back for: a stop takes up to 90 s.
KEEP_AFTER = timedelta(minutes=4)
CODE = "preempted"


def reclaim_begin(*, lab_id: str, taken_for: str, now: datetime, fence: int | None = None) -> bool:
    """Give a lab notice that its cards are taken back for another, and keep them for that one.

    False when it is not to be any more: it ends already, has its notice, is inside its quota again, or nobody asks.
    """
    try:
        with transaction.atomic():
            if fence is not None and not turn_holds(name="schedule", fence=fence):
                return False
            rows = {row.pk: row for row in Lab.objects.select_for_update().filter(pk__in=(lab_id, taken_for)).order_by("pk")}
            lab, asker = rows.get(lab_id), rows.get(taken_for)
            if lab is None or asker is None or not asker.waits or not _may_be_taken(lab, now):
                return False
            ends_at = now + timedelta(seconds=settings.DEFAULTS["fairness"]["reclaim_notice_s"])
            cards = list(Lease.objects.filter(lab=lab, closed_at=None).values_list("gpu_id", flat=True))
            Keep.objects.bulk_create(Keep(gpu_id=card, lab=asker, until=ends_at + KEEP_AFTER) for card in sorted(cards))
            made = Reclaim.objects.create(lab=lab, attempt=lab.attempt, taken_for=asker, noticed_at=now, ends_at=ends_at)
            lab_notice(lab_id=lab_id, code="reclaim", words=reclaim_words(reclaim=made, lab=lab), now=now)
            reclaim_tell(reclaim=made, words=reclaim_words(reclaim=made, lab=lab), now=now)
            ring("worker.warn", queue=node_queue(str(lab.node_id)))
    except IntegrityError:  # somebody else was first, with this lab or with one of its cards
        return False
    return True


def reclaim_told(*, reclaim_id: int, now: datetime | None) -> None:
    """The lab's programs were told (`now`), or were told that it is off (None)."""
    Reclaim.objects.filter(pk=reclaim_id).update(told_at=now)


def reclaim_finish(*, reclaim_id: int, now: datetime, fence: int | None = None) -> bool:
    """The notice is over: begin the lab's end. False when it was called off or the lab ends already."""
    with transaction.atomic():
        if fence is not None and not turn_holds(name="schedule", fence=fence):
            return False
        lab = Lab.objects.select_for_update().get(reclaims=reclaim_id)
        if not Reclaim.objects.filter(pk=reclaim_id, closed_at=None, ends_at__lte=now).exists() or not _may_be_taken(lab, now):
            return False
        return lab_end(lab_id=lab.pk, code=CODE, now=now)


def reclaims_review(*, now: datetime, fence: int | None = None) -> int:
    """Finish those whose notice is over, call off those that nobody needs, give back cards that nobody took; how many changed."""
    for row in Reclaim.objects.select_related("taken_for__owner", "lab__owner").filter(closed_at=None, lab__state=states.RUNNING):
        if not row.taken_for.waits:
            _call_off(row, "Its GPUs are not needed any more: it goes on.", now)
        elif not _may_be_taken(row.lab, now):
            _call_off(row, "It is inside its owner's guarantee now: its GPUs are not taken back, and it goes on.", now)
        elif not lab_may_claim(lab=row.taken_for, now=now):
            _call_off(row, "The lab that its GPUs were for has no claim to them any more: it goes on.", now)
    due = Reclaim.objects.filter(closed_at=None, ends_at__lte=now, lab__state=states.RUNNING).values_list("pk", flat=True)
    finished = sum(reclaim_finish(reclaim_id=pk, now=now, fence=fence) for pk in list(due))
    waits = Q(lab__state=states.QUEUED) | Q(lab__state=states.RUNNING, lab__next_gpus__isnull=False)
    return finished + Keep.objects.filter(~waits | Q(until__lte=now), closed_at=None).update(closed_at=now)


def lab_requeue_set(*, lab: Lab, requeue: bool, actor: Actor, now: datetime) -> bool:
    """Let the lab wait again when its cards are taken back, or not. False when it is so already, or has ended."""
    with transaction.atomic():
        if not Lab.objects.filter(pk=lab.pk, state__in=states.LIVE, requeue=not requeue).update(requeue=requeue):
            return False
        words = "Is queued again if its cards are taken back." if requeue else "Is not queued again if its cards are taken back."
        event_record(kind="lab.requeue", subject=lab.subject, words=words, actor=actor, now=now)
        lab_announce(lab=lab)
    return True


def reclaims_to_tell(*, node_id: str) -> QuerySet[Reclaim]:
    """Those of the node whose labs' programs were not told yet, or not yet that it is off."""
    here = Reclaim.objects.select_related("lab").filter(lab__node_id=node_id, lab__state=states.RUNNING)
    return here.filter(Q(closed_at=None, told_at=None) | Q(outcome=Reclaim.Outcome.CALLED_OFF, told_at__isnull=False))


def reclaim_of(*, lab: Lab) -> Reclaim | None:
    """The notice under which the lab is now."""
    return Reclaim.objects.filter(lab=lab, closed_at=None).first()


def reclaim_words(*, reclaim: Reclaim, lab: Lab) -> str:
    """What its owner reads."""
    cards = f"its {lab.gpus} GPUs are" if lab.gpus > 1 else "its GPU is"
    at = timezone.localtime(reclaim.ends_at, timezone.get_default_timezone())
    why = "This lab runs beyond your guarantee" if lab.over_quota else "Your GPU-hours are used up"
    need = f"{why}, and {cards} needed for a lab inside its own guarantee."
    again = " It is queued again by itself, and what it waited before counts on." if lab.requeue else ""
    return f"{need} It is stopped at {at:%H:%M}. Save your work; your files stay.{again}"


def _may_be_taken(lab: Lab, now: datetime) -> bool:
    if lab.state != states.RUNNING or lab.target != Lab.Target.RUNNING or lab.meeting_id is not None:
        return False
    return lab.over_quota or bool(budgets_spent(users=[lab.owner], now=now))


def _call_off(reclaim: Reclaim, words: str, now: datetime) -> None:
    """The lab goes on, and its owner and its programs are told why."""
    with transaction.atomic():
        lab = Lab.objects.select_for_update().get(pk=reclaim.lab_id)
        off = {"closed_at": now, "outcome": Reclaim.Outcome.CALLED_OFF}
        if lab.state != states.RUNNING or not Reclaim.objects.filter(pk=reclaim.pk, closed_at=None).update(**off):
            return
        Keep.objects.filter(lab_id=reclaim.taken_for_id, gpu__leases__lab=lab, gpu__leases__closed_at=None, closed_at=None).update(closed_at=now)
        lab_notice(lab_id=lab.pk, code="reclaim_off", words=words, now=now)
        event_record(kind="lab.reclaim_off", subject=lab.subject, words=words, actor=None, now=now)
        ring("worker.warn", queue=node_queue(str(lab.node_id)))
        lab_announce(lab=lab)
