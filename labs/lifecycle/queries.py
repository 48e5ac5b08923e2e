"""Reading labs. A loader carries its permission in its name; what a person may not see does not exist for them."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet, Sum

from labs.fleet.models import Gpu
from labs.ledger.models import Event
from labs.ledger.queries import events_of
from labs.lifecycle import states
from labs.lifecycle.models import Lab, LabToken, Lease
from labs.lifecycle.occupancy import nodes_view
from labs.lifecycle.queueing import would_wait
from labs.lifecycle.waiting import Floor, asked_of, floor_load, waiting_labs
from labs.lifecycle.wishes import Wish, image_offered, wish_check, wish_waiting, wish_whole
from labs.people.errors import Refused
from labs.people.models import User
from labs.policy.excess import excesses
from labs.policy.rules import Asked, Caps, Held, Limits, Share, beyond_cap, beyond_left, more_needed
from labs.scheduler.snapshot import Estimate

_WITH = ("owner", "image", "node")


def lab_for_owner(*, user: User, lab_id: str) -> Lab:
    """One's own lab; Lab.DoesNotExist for every other."""
    return Lab.objects.select_related(*_WITH).get(pk=lab_id, owner=user)


def lab_for_viewer(*, user: User, lab_id: str) -> Lab:
    """One's own lab, or any for an administrator; Lab.DoesNotExist otherwise."""
    labs = Lab.objects.select_related(*_WITH)
    return labs.get(pk=lab_id) if user.is_administrator else labs.get(pk=lab_id, owner=user)


def labs_of(*, user: User, live: bool | None = None) -> QuerySet[Lab]:
    """A person's labs, newest first; `live` True or False narrows to those that have not or have ended."""
    labs = Lab.objects.select_related(*_WITH).filter(owner=user).order_by("-requested_at", "-pk")
    if live is None:
        return labs
    return labs.filter(state__in=states.LIVE if live else states.FINAL)


def labs_all(*, live: bool | None = None, text: str = "") -> QuerySet[Lab]:
    """Everybody's labs, for administrators."""
    labs = Lab.objects.select_related(*_WITH).order_by("-requested_at", "-pk")
    if live is not None:
        labs = labs.filter(state__in=states.LIVE if live else states.FINAL)
    if text:
        labs = labs.filter(name__icontains=text) | labs.filter(owner__email__icontains=text) | labs.filter(pk=text)
    return labs


def waits_beyond(*, limits: Mapping[int, Limits | Caps]) -> list[tuple[Lab, str]]:
    """Waiting labs that could not start any more if these limits or caps bound these people, oldest first, each with why. A class's labs keep theirs."""
    nodes = nodes_view() if limits else ()
    mine = [lab for lab in waiting_labs() if lab.owner_id in limits and lab.meeting_id is None]
    judged = ((lab, _beyond_words(asked_of(lab, nodes), limits[lab.owner_id])) for lab in mine)
    return [(lab, words) for lab, words in judged if words]


def _beyond_words(asked: Asked, limits: Limits | Caps) -> str:
    if isinstance(limits, Limits):
        return " ".join(reason.words for reason in beyond_cap(asked, limits))
    alone = Held(gpus=asked.gpus * asked.gpu_share, labs=1, cpus=asked.cpus, memory_mib=asked.memory_mib)
    return " ".join(f"It asks for {one.has:g} of {one.cap} {one.words}." for one in excesses(alone, limits))


def lab_of_name(*, owner: User, name: str) -> Lab | None:
    """The owner's live lab of that name or id, else their newest ended one; for the SSH door."""
    labs = Lab.objects.select_related(*_WITH).filter(owner=owner)
    named = labs.filter(name=name) | labs.filter(pk=name)
    return named.filter(state__in=states.LIVE).first() or named.order_by("-requested_at").first()


def timeline_of(*, lab: Lab) -> list[Event]:
    """Everything that happened to it, oldest first."""
    return events_of(subject=lab.subject)


def tokens_of(*, lab: Lab) -> list[LabToken]:
    """Its live tokens."""
    return list(lab.tokens.filter(revoked_at=None))


def leases_open() -> dict[str, Lease]:
    """The open lease of each card that has one, with the lab and its owner."""
    leases = Lease.objects.select_related("lab__owner").filter(closed_at=None)
    return {lease.gpu_id: lease for lease in leases}


@dataclass(frozen=True, slots=True)
class CardsCount:
    """Cards and MIG slices of the house, and how many of each are free now; a card in slices is its slices. On `away`, of both, nothing starts now."""

    cards: int
    free: int
    slices: int
    slices_free: int
    away: int


def cards_count(*, units: Iterable[Gpu], leased: Container[str]) -> CardsCount:
    """What every page says of how much is free: of these cards, where those are leased."""
    whole = [unit for unit in units if not unit.mig]
    free = [unit for unit in whole if unit.health == Gpu.Health.OK and unit.pk not in leased]
    slices, slices_free = sum(1 for unit in whole if unit.profile), sum(1 for unit in free if unit.profile)
    away = sum(1 for unit in whole if unit.health != Gpu.Health.OK)
    return CardsCount(cards=len(whole) - slices, free=len(free) - slices_free, slices=slices, slices_free=slices_free, away=away)


def gpus_of(*, lab: Lab) -> list[Gpu]:
    """The cards that the lab's present attempt holds, or held when it ended."""
    leases = lab.leases.select_related("gpu").filter(attempt=lab.attempt).order_by("gpu__index")
    return [lease.gpu for lease in leases]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a click would do: "now", "later" or "never", with the reasons, the place, when it would start and what it takes."""

    answer: str
    reasons: tuple[str, ...]
    place: int
    field: str
    wish: Wish
    held: Held
    limits: Limits
    estimate: Estimate | None = None
    more: Mapping[str, int] | None = None  # own limit -> what to ask for, so that it would be granted
    shares: tuple[Share, ...] = ()

    borrows: float = 0  # of its GPUs, how many are over the guarantee: while it is so, the lab may be taken back


def wish_preview(*, user: User, wish: Wish, now: datetime, floor: Floor | None = None) -> Preview:
    """Judge a wish without making it, by the same rules and the same plan as the click. A `floor` with the person's allowance, where at hand, is used."""
    floor = floor or floor_load(users=(user,), now=now)
    may = floor.may[user.pk]
    limits, held = may.limits, may.held
    wish = wish_whole(wish=wish, limits=limits)
    try:
        image = image_offered(image_id=wish.image_id, owner=user, now=now)
        wish_check(owner=user, wish=wish, image=image, limits=limits, shares=may.shares, now=now, nodes=floor.nodes)
    except Refused as refused:
        return Preview("never", (refused.words,), 0, refused.field, wish, held, limits, more=refused.more, shares=may.shares)
    waiting = wish_waiting(owner=user, wish=wish, image=image, now=now, nodes=floor.nodes)
    borrows = gpus_beyond_guarantee(user=user, limits=limits, units=waiting.asked.gpus * waiting.asked.gpu_share)
    placed, wait = would_wait(user=user, waiting=waiting, now=now, floor=floor)
    if placed or wait is None:
        return Preview("now", (), 0, "", wish, held, limits, shares=may.shares, borrows=borrows)
    left = beyond_left(waiting.asked, held, limits, may.shares)
    first = left[0].field if left else ""
    return Preview("later", wait.reasons, wait.place, first, wish, held, limits, wait.estimate, more_needed(left), may.shares, borrows)


def gpus_beyond_guarantee(*, user: User, limits: Limits, units: float) -> float:
    """How many of so many cards more would be over the guarantee, beside what the person's other labs hold inside it."""
    if limits.gpus_max <= limits.gpus:
        return 0
    leases = Lease.objects.filter(lab__owner=user, lab__meeting=None, lab__over_quota=False, closed_at=None)
    inside: float = leases.aggregate(share=Sum("gpu__share"))["share"] or 0.0
    return round(max(min(inside + units - limits.gpus, units), 0), 2)


def labs_on_cards(*, start: datetime, until: datetime) -> list[Lab]:
    """Labs that hold GPUs in the spell by what is known of their ends, the first to end first; for the calendar."""
    rows = Lab.objects.select_related("owner").filter(state__in=states.HOLDING, gpus__gt=0, ends_at__gt=start)
    return list(rows.exclude(started_at__gte=until).order_by("ends_at", "pk"))
