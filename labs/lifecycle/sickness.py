"""What the sickness of a card means for the lab on it."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from labs.fleet.models import Gpu
from labs.fleet.sickness import Look, card_of, card_xid, gpus_look
from labs.fleet.xids import SAVE, Does, Xid, xid_of
from labs.lifecycle import states
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_end, lab_notice

NOTICE = "gpu"


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
