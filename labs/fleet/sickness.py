"""Cards that report errors, whose memory fails, or that are not clean when nobody has them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from labs.bus.bus import publish
from labs.bus.doorbell import ring
from labs.fleet.models import Gpu
from labs.fleet.rules import unclean
from labs.fleet.services import gpu_health_set
from labs.fleet.xids import Does, Xid
from labs.ledger.models import Event
from labs.ledger.services import event_record

#: The same Xid of the same card is one event for so long: drivers repeat themselves, and two sources tell of it.
XID_ONCE = timedelta(minutes=1)
#: A card may need a moment after its lab; one that is not clean after this is reported.
HELD_REPORT_AFTER = timedelta(seconds=30)
#: A contained error of memory is counted among those that cannot be corrected, and needs no drain.
CONTAINED = 94
#: What is worse is not made better by what comes later.
WORSE = {Does.DRAIN: (Gpu.Health.RETIRED,), Does.RETIRE: ()}
HEALTH = {Does.DRAIN: Gpu.Health.DRAINED, Does.RETIRE: Gpu.Health.RETIRED}


@dataclass(frozen=True, slots=True)
class Look:
    """What one reading of a card or slice says about it. `strangers`: processes that are not allowed where no lab is, in words."""

    uuid: str
    used_mib: int | None
    strangers: Sequence[str]
    ecc_errors: int | None
    leased: bool


def card_of(*, node_id: str, card: str) -> Gpu | None:
    """The node's card of that UUID, or at that place of the bus."""
    return Gpu.objects.filter(Q(pk=card) | Q(pci=card), node_id=node_id, parent=None).first() if card else None


def card_xid(*, gpu: Gpu, xid: Xid, now: datetime) -> bool:
    """Note an Xid and take the card out of service where the table says so. False when it was noted a moment ago."""
    said = f"GPU {gpu.index} of node {gpu.node_id}: {xid.words} (Xid {xid.code})."
    with transaction.atomic():
        Gpu.objects.select_for_update(no_key=True).get(pk=gpu.pk)
        if _noted(gpu, xid.code, now):
            return False
        event_record(kind="gpu.xid", subject=f"gpu:{gpu.pk}", words=said, actor=None, now=now, xid=xid.code)
        if xid.does in HEALTH and gpu.health not in WORSE[xid.does]:
            _out(gpu, HEALTH[xid.does], f"{said} {xid.fix}", now)
    return True


def gpus_look(*, node_id: str, looks: Sequence[Look], now: datetime) -> list[Gpu]:
    """Judge one reading of the node's cards: memory that fails drains its card; a free card must be clean. The cards that were drained."""
    rows = {gpu.pk: gpu for gpu in Gpu.objects.filter(node_id=node_id, simulated=False)}
    drained = []
    for look in looks:
        gpu = rows.get(look.uuid)
        if gpu is None:
            continue
        if _memory_fails(gpu, look.ecc_errors, now):
            drained.append(gpu)
        if not look.leased and not gpu.mig:
            _free_look(gpu, look, now)
    return drained


def _noted(gpu: Gpu, code: int, now: datetime) -> bool:
    return Event.objects.filter(kind="gpu.xid", subject=f"gpu:{gpu.pk}", fact__xid=code, at__gt=now - XID_ONCE).exists()


def _out(gpu: Gpu, health: str, words: str, now: datetime) -> None:
    """Out of service, with its slices."""
    gpu_health_set(gpu=gpu, health=health, words=words, actor=None, now=now)
    Gpu.objects.filter(parent=gpu).exclude(health=Gpu.Health.RETIRED).update(health=health, health_words=words)


def _memory_fails(gpu: Gpu, errors: int | None, now: datetime) -> bool:
    """More errors that cannot be corrected than before. The first number that is seen, and one after a reset, are where counting begins."""
    if errors is None or errors == gpu.ecc_errors:
        return False
    Gpu.objects.filter(pk=gpu.pk).update(ecc_errors=errors)
    if gpu.ecc_errors is None or errors < gpu.ecc_errors or _noted(gpu, CONTAINED, now):
        return False
    if gpu.health in (Gpu.Health.DRAINED, Gpu.Health.RETIRED):
        return False
    words = (
        f"Its memory fails: {errors - gpu.ecc_errors} more errors that cannot be corrected. Reset the GPU, or restart the host, and see whether it comes again."
    )
    _out(gpu, Gpu.Health.DRAINED, words, now)
    return True


def _free_look(gpu: Gpu, look: Look, now: datetime) -> None:
    words = unclean(strangers=look.strangers, used_mib=look.used_mib, baseline_mib=gpu.baseline_mib)
    if words:
        _held(gpu, words, now)
        return
    if look.used_mib is not None and (gpu.baseline_mib is None or look.used_mib < gpu.baseline_mib):
        Gpu.objects.filter(pk=gpu.pk).update(baseline_mib=look.used_mib)
    if gpu.held_since is not None and gpu.held_since < now:
        _clean(gpu, now)


def _held(gpu: Gpu, words: str, now: datetime) -> None:
    if gpu.held_since is None:
        Gpu.objects.filter(pk=gpu.pk, held_since=None).update(held_since=now)
    elif now - gpu.held_since >= HELD_REPORT_AFTER and gpu.health == Gpu.Health.OK:
        gpu_health_set(gpu=gpu, health=Gpu.Health.HELD, words=words, actor=None, now=now)


def _clean(gpu: Gpu, now: datetime) -> None:
    """Seen clean after its lease had closed: others may have it. A lease that closed meanwhile asks for another look."""
    with transaction.atomic():
        if not Gpu.objects.filter(pk=gpu.pk, held_since=gpu.held_since).update(held_since=None):
            return
        if gpu.health == Gpu.Health.HELD:
            gpu_health_set(gpu=gpu, health=Gpu.Health.OK, words="", actor=None, now=now)
        publish("fleet", "gpu", gpu=gpu.pk)
        ring("worker.schedule")
