"""What the sickness of a card means for the lab on it."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from labs.bus.doorbell import node_queue, ring
from labs.fleet.models import Gpu
from labs.fleet.sickness import Look, card_of, card_xid, gpus_look
from labs.fleet.xids import SAVE, Does, Xid, xid_of
from labs.ledger.services import Actor, event_record
from labs.lifecycle import states
from labs.lifecycle.models import Lab, Lease, Reclaim
from labs.lifecycle.moves import lab_advance, lab_announce, lab_end, lab_notice
from labs.lifecycle.telling import degraded_tell
from labs.people.errors import Refused

NOTICE = "gpu"
LOST = (
    "Programs in it can no longer open its GPU ({shut}): CUDA says that no device is there, or `Failed to initialize NVML: Unknown Error`. "
    "The GPU is well; the host took it from the lab while it ran. A restart brings it back."
)


def card_xid_seen(*, node_id: str, card: str, code: int, now: datetime) -> bool:
    """The driver reported Xid `code` for the card of that UUID, or at that place of the bus; False for a card that nobody knows, or nothing new."""
    gpu, xid = card_of(node_id=node_id, card=card), xid_of(code)
    with transaction.atomic():
        if gpu is None or not card_xid(gpu=gpu, xid=xid, now=now):
            return False
        for lab_id in _labs_on(gpu):
            _lab_tell(lab_id, gpu, xid, now)
    return True


def cards_look(*, node_id: str, looks: Sequence[Look], now: datetime) -> None:
    """Judge one reading of the node's cards, and tell the labs on those whose memory fails."""
    for gpu in gpus_look(node_id=node_id, looks=looks, now=now):
        for lab_id in _labs_on(gpu):
            lab_notice(lab_id=lab_id, code=NOTICE, words=f"The memory of GPU {gpu.index} fails. {SAVE}", now=now)


def lab_device_seen(*, lab: Lab, shut: str, now: datetime) -> bool:
    """Whether a running lab can open its GPUs; True when that is news. `shut` is the device that it cannot open, empty for none."""
    words = LOST.format(shut=shut) if shut else ""
    if lab.degraded == words:
        return False
    with transaction.atomic():
        if not Lab.objects.filter(pk=lab.pk, attempt=lab.attempt, state=states.RUNNING, degraded=lab.degraded).update(degraded=words):
            return False
        event_record(kind="lab.degraded", subject=lab.subject, words=words or "Its GPU can be opened again.", actor=None, now=now)
        row = Lab.objects.select_related("owner").get(pk=lab.pk)
        lab_announce(lab=row)
        if words:
            degraded_tell(lab=row, now=now)
    return True


def lab_restart_in_place(*, lab: Lab, actor: Actor, now: datetime) -> None:
    """Begin the next attempt of a lab that lost its GPUs, with the same ones: no other lab can have them in between."""
    with transaction.atomic():
        row = Lab.objects.select_for_update(of=("self",)).select_related("owner").get(pk=lab.pk)
        if row.state != states.RUNNING or not row.degraded:
            raise Refused("Only a running lab that has lost its GPU can be restarted on it.", code="state")
        if Reclaim.objects.filter(lab=row, closed_at=None).exists():
            raise Refused("Its GPUs are being taken back: it ends in a moment and waits again.", code="state")
        leases = Lease.objects.filter(lab=row, closed_at=None)
        cards = [lease.gpu_id for lease in leases]
        leases.update(closed_at=now)
        Lease.objects.bulk_create(Lease(lab=row, gpu_id=card, attempt=row.attempt + 1, opened_at=now) for card in cards)
        words = "Restarting on the same GPUs."
        same = {"next_gpus": row.gpus, "next_gpu_model": row.gpu_model, "stage": "restarting", "stage_words": words}
        lab_advance(lab_id=row.pk, was=states.RUNNING, to=states.STOPPING, now=now, actor=actor, words=words, **same)
        ring("worker.reconcile", queue=node_queue(str(row.node_id)))


def _labs_on(gpu: Gpu) -> list[str]:
    """The labs that have the card, or a slice of it."""
    holds = Q(leases__gpu=gpu) | Q(leases__gpu__parent=gpu)
    return list(Lab.objects.filter(holds, leases__closed_at=None, state__in=(states.STARTING, states.RUNNING)).values_list("pk", flat=True).distinct())


def _lab_tell(lab_id: str, gpu: Gpu, xid: Xid, now: datetime) -> None:
    """The lab on a card that is gone ends. What a program did is told only where one lab has the whole card: a slice's is not known."""
    if xid.lost:
        lab_end(lab_id=lab_id, code="gpu_lost", now=now, detail=f"On GPU {gpu.index}, {xid.words} (Xid {xid.code}).")
    elif xid.owner and not (gpu.mig and xid.does is Does.NOTHING):
        lab_notice(lab_id=lab_id, code=NOTICE, words=f"On GPU {gpu.index}, {xid.words} (Xid {xid.code}). {xid.owner}", now=now)
