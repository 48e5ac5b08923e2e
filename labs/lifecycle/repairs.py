"""What is put right without anybody's wish: a container that is reached elsewhere now, a move that takes too long."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db import transaction

from labs.ledger.services import event_record
from labs.lifecycle import states
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_announce, lab_end

#: How long past its deadline a lab is left to its own node's worker.
PATIENCE = timedelta(seconds=15)
STUCK = "stuck"


def lab_addressed(*, lab_id: str, attempt: int, addresses: Mapping[str, object], now: datetime) -> bool:
    """Its container is reached elsewhere since the engine restarted. False when that attempt no longer runs."""
    with transaction.atomic():
        if not Lab.objects.filter(pk=lab_id, attempt=attempt, state=states.RUNNING).update(**addresses):
            return False
        lab = Lab.objects.get(pk=lab_id)
        event_record(kind="lab.address", subject=lab.subject, words="The engine restarted; the way into the lab was found again.", actor=None, now=now)
        lab_announce(lab=lab)
    return True


def labs_overdue(*, now: datetime) -> list[Lab]:
    """Labs whose move takes longer than its deadline and that their own node's worker did not see to: it may be away."""
    moving = Lab.objects.select_related("node").filter(state__in=(states.STARTING, states.STOPPING), deadline_at__lte=now - PATIENCE)
    return list(moving.order_by("deadline_at"))


def lab_overdue(*, lab: Lab, now: datetime) -> bool:
    """Act on one of them. A start is given up; an end cannot be, so its owner is told what it waits for, with a new deadline.

    Its cards stay held either way: whether the container is gone, only its node can say.
    """
    if lab.state == states.STARTING:
        away = lab.node is not None and lab.node.state == lab.node.State.UNKNOWN
        return lab_end(lab_id=lab.pk, code="node_silent" if away else "never_ready", now=now)
    words = f"Waits for node {lab.node} to confirm that it is gone; its cards are held until then."
    columns = {"deadline_at": now + states.DEADLINES[states.STOPPING], "stage": STUCK, "stage_words": words[:200]}
    with transaction.atomic():
        if not Lab.objects.filter(pk=lab.pk, state=states.STOPPING, deadline_at=lab.deadline_at).update(**columns):
            return False
        if lab.stage != STUCK:
            event_record(kind="lab.stuck", subject=lab.subject, words=words, actor=None, now=now)
        lab_announce(lab=Lab.objects.get(pk=lab.pk))
    return True
