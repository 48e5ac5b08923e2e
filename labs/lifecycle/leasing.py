"""Opening leases: the quota judged again under the lock, cards that are kept for somebody, and what is beyond the guarantee."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db.models import Min, Sum

from labs.fleet.models import Gpu
from labs.lifecycle import states
from labs.lifecycle.allowances import allowance_of
from labs.lifecycle.guarantees import is_beyond
from labs.lifecycle.holdings import class_has_room
from labs.lifecycle.models import Keep, Lab, Lease
from labs.lifecycle.occupancy import ANY_SLICE
from labs.people.models import User
from labs.policy.rules import Answer, Asked, Held, judge


@dataclass(frozen=True, slots=True)
class Grant:
    """These cards may be leased to the lab. `over_quota`: they are beyond its owner's guarantee."""

    cards: tuple[Gpu, ...]
    over_quota: bool


def lease_judge(*, lab: Lab, owner: User, gpus: int, gpu_uuids: Sequence[str], now: datetime) -> Grant | None:
    """May the lab have exactly these cards now? Call it under the locks of its owner and of the lab; the cards are locked until the transaction ends."""
    cards = tuple(Gpu.objects.select_for_update(no_key=True).filter(pk__in=gpu_uuids).order_by("pk")) if gpu_uuids else ()
    if len(gpu_uuids) != gpus or len(cards) != gpus or not _of_its_kind(lab, cards):
        return None
    if _taken(lab, cards):
        return None
    if lab.meeting_id is not None:
        return Grant(cards, over_quota=False) if class_has_room(meeting_id=lab.meeting_id, gpus=gpus, now=now) else None
    return _within_quota(lab, owner, cards, now)


def lab_may_claim(*, lab: Lab, now: datetime) -> bool:
    """Would it be within quota and inside its owner's guarantee with the GPUs that it waits for? Others' are taken back for no other lab."""
    if lab.state in states.PLACED:
        gpus, share = lab.next_gpus or 0, float(lab.next_gpus or 0)
    else:
        kept = Keep.objects.filter(lab=lab, closed_at=None).aggregate(least=Min("gpu__share"))["least"]
        gpus, share = lab.gpus, kept if lab.wants_slice and kept else float(lab.gpus)
    return _beyond(lab, lab.owner, gpus, share, now) is False


def leases_open(*, lab: Lab, grant: Grant, attempt: int, now: datetime) -> None:
    """Lease the cards; IntegrityError where one is leased already. What was kept for the lab is everybody's again."""
    Lease.objects.bulk_create(Lease(lab=lab, gpu=card, attempt=attempt, opened_at=now) for card in grant.cards)
    Keep.objects.filter(lab=lab, closed_at=None).update(closed_at=now)
    if lab.over_quota != grant.over_quota:
        Lab.objects.filter(pk=lab.pk).update(over_quota=grant.over_quota)


def share_held(*, lab: Lab) -> float:
    """What the lab's open leases count for."""
    held: float | None = Lease.objects.filter(lab=lab, closed_at=None).aggregate(share=Sum("gpu__share"))["share"]
    return held or 0.0


def _taken(lab: Lab, cards: Sequence[Gpu]) -> bool:
    """Is one leased already, or kept for somebody else? Asked before the quota is, so that whoever comes second for a card does not hold it up."""
    if not cards:
        return False
    kept = Keep.objects.filter(gpu__in=cards, closed_at=None).exclude(lab=lab)
    return Lease.objects.filter(gpu__in=cards, closed_at=None).exists() or kept.exists()


def _of_its_kind(lab: Lab, cards: Iterable[Gpu]) -> bool:
    """One slice of its profile for a lab that asked for a slice, whole cards for every other."""
    wanted = lab.wants_slice if lab.state == states.QUEUED else ""
    if wanted:
        return all(card.profile and wanted in (ANY_SLICE, card.profile) for card in cards)
    return not any(card.profile or card.mig for card in cards)


def _within_quota(lab: Lab, owner: User, cards: Sequence[Gpu], now: datetime) -> Grant | None:
    over = _beyond(lab, owner, len(cards), sum(card.share for card in cards), now)
    return None if over is None or (over and not lab.may_borrow) else Grant(tuple(cards), over)


def _beyond(lab: Lab, owner: User, gpus: int, share: float, now: datetime) -> bool | None:
    """Would the lab be beyond its owner's guarantee with so many GPUs? None where the quota does not allow them at all."""
    may = allowance_of(user=owner, now=now)
    held, shares = may.held, may.shares
    asked = Asked(gpus, lab.cpus, lab.memory_mib, lab.shm_mib, lab.hours, gpu_share=share / gpus if gpus else 1.0)
    if lab.state in states.PLACED:  # judged as the addition that it is: only the cards are new
        back = share_held(lab=lab)
        asked = replace(asked, cpus=0, memory_mib=0, shm_mib=0)
        held, shares = _cards_alone(held, back), tuple(replace(one, held=_cards_alone(one.held, back)) for one in shares)
    if judge(asked, held, may.limits, shares).answer != Answer.NOW:
        return None
    return bool(gpus) and is_beyond(share, inside=_share_inside(lab), guarantee=may.limits.gpus)


def _share_inside(lab: Lab) -> float:
    """What the owner's other labs hold inside the guarantee."""
    leases = Lease.objects.filter(lab__owner_id=lab.owner_id, lab__meeting=None, lab__over_quota=False, closed_at=None).exclude(lab=lab)
    held: float | None = leases.aggregate(share=Sum("gpu__share"))["share"]
    return held or 0.0


def _cards_alone(held: Held, back: float) -> Held:
    """The cards and GPU-hours alone, without the cards that are given back."""
    return replace(held, gpus=round(held.gpus - back, 2), labs=0, pending=0, cpus=0, memory_mib=0)
