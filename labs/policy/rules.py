"""Judging a wish against what is held and what is allowed, by the person and by their groups. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum

from labs.policy.words import UNITS, amount_over, amount_over_group, budget_gone, disk_full, gib, left, whole


@dataclass(frozen=True, slots=True)
class Wider:
    """A limit that the time of day or a quiet house widens now: usually `usual`, now `value`, in words."""

    limit: str
    usual: int
    value: int
    until: datetime | None
    words: str


@dataclass(frozen=True, slots=True)
class Later:
    """A limit that will be `value` at another time of the week or in a quieter house, in words."""

    limit: str
    value: int
    words: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What a person may have, after role, exceptions and the time of day. None is no limit. Sizes in GiB."""

    gpus: int
    gpus_max: int
    labs: int
    pending: int
    cpus: int
    memory_gib: int
    shm_gib: int
    pids: int
    hours_max: int
    gpu_hours_week: int | None
    disk_gib: int
    weight: int
    gpu_hours_month: int | None = None
    wider: tuple[Wider, ...] = ()
    later: tuple[Later, ...] = ()

    def at_best(self, name: str) -> int:
        """The limit at its widest time of the week."""
        value: int = getattr(self, name)
        return max([value, *(later.value for later in self.later if later.limit == name)])


LIMIT_NAMES = tuple(field.name for field in fields(Limits) if field.name not in ("wider", "later"))
#: Limits that may be empty: no limit.
BUDGETS = ("gpu_hours_week", "gpu_hours_month")


@dataclass(frozen=True, slots=True)
class Held:
    """What a person or a group holds: in labs that are placed, and how many wait. `…_back_at`: when a used-up budget returns.

    `disk_gib` is what workspaces held when they were measured, at `disk_at`; None before the first time.
    """

    gpus: float = 0
    labs: int = 0
    pending: int = 0
    cpus: int = 0
    memory_mib: int = 0
    gpu_hours_week: float = 0.0
    gpu_hours_month: float = 0.0
    week_back_at: datetime | None = None
    month_back_at: datetime | None = None
    disk_gib: float = 0.0
    disk_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Caps:
    """What a whole group may have. Counts are over all its members together; shm and hours are of each of their labs. None is no cap."""

    gpus: int | None = None
    labs: int | None = None
    pending: int | None = None
    cpus: int | None = None
    memory_gib: int | None = None
    shm_gib: int | None = None
    hours_max: int | None = None
    gpu_hours_week: int | None = None
    gpu_hours_month: int | None = None
    disk_gib: int | None = None


CAP_NAMES = tuple(field.name for field in fields(Caps))


@dataclass(frozen=True, slots=True)
class Share:
    """A group that a person belongs to, as the judge sees it: `words` such as "team Vision", its caps, and what all members hold."""

    group_id: int
    words: str
    caps: Caps
    held: Held = Held()


@dataclass(frozen=True, slots=True)
class Asked:
    """What one lab asks for. `gpu_share` is what one of its GPUs counts for: less than 1 for a slice of a card."""

    gpus: int
    cpus: int
    memory_mib: int
    shm_mib: int
    hours: int
    gpu_share: float = 1.0


class Answer(StrEnum):
    """What the rules say."""

    NOW = "now"
    LATER = "later"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Reason:
    """One limit that says no: which field, the words with limit, excess and what would fit, and how much of which own limit would be `needed`."""

    field: str
    words: str
    limit: str = ""
    needed: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer and every reason for it."""

    answer: Answer
    reasons: tuple[Reason, ...] = ()


#: Budget -> its name among what is held, and its span in words.
SPANS = {"gpu_hours_week": ("week_back_at", "seven days"), "gpu_hours_month": ("month_back_at", "thirty days")}


def judge(asked: Asked, held: Held, limits: Limits, shares: tuple[Share, ...] = ()) -> Verdict:
    """NEVER when the wish alone passes a limit at its widest, LATER when it does so only now or with what is held now."""
    alone = beyond_cap(asked, limits, shares)
    if alone:
        return Verdict(Answer.NEVER, alone)
    together = beyond_left(asked, held, limits, shares)
    return Verdict(Answer.LATER, together) if together else Verdict(Answer.NOW)


def beyond_cap(asked: Asked, limits: Limits, shares: tuple[Share, ...] = ()) -> tuple[Reason, ...]:
    """The limits, of the person and of their groups, that the wish passes in itself."""
    found: list[Reason] = []
    for field, wish in _wishes(asked):
        unit = UNITS[field]
        cap = limits.at_best(unit.limit)
        if wish > cap:
            found.append(Reason(field, amount_over(wish, getattr(limits, unit.limit), cap, unit), unit.limit, whole(wish)))
        for share in shares:
            most = getattr(share.caps, unit.cap)
            if most is not None and wish > most:
                found.append(Reason(field, amount_over_group(wish, most, unit, share.words)))
    if asked.shm_mib > asked.memory_mib:
        found.append(Reason("shm_gib", f"Shared memory counts inside the memory limit: at most {gib(asked.memory_mib):g} GiB here."))
    return tuple(found)


def beyond_left(asked: Asked, held: Held, limits: Limits, shares: tuple[Share, ...] = ()) -> tuple[Reason, ...]:
    """The limits that the wish passes together with what is held now, or only at this time of the day."""
    return (*_beyond_own(asked, held, limits), *beyond_groups(asked, shares))


def beyond_groups(asked: Asked, shares: tuple[Share, ...]) -> tuple[Reason, ...]:
    """The caps of groups alone that the wish passes together with what their members hold."""
    return tuple(reason for share in shares for reason in _beyond_group(asked, share))


def more_needed(reasons: tuple[Reason, ...]) -> dict[str, int]:
    """Own limit -> how much of it would be needed: what to ask for. A group's caps are not among them."""
    return {reason.limit: reason.needed for reason in reasons if reason.limit}


def budget_spent(held: Held, limits: Limits | Caps, shares: tuple[Share, ...] = ()) -> str:
    """Words when a budget, one's own or a group's, is used up; empty while something is left."""
    reasons = (*_budgets(held, limits, "You have", "your"), *(reason for share in shares for reason in _budgets_group(share)))
    return reasons[0].words if reasons else ""


def _beyond_own(asked: Asked, held: Held, limits: Limits) -> Iterator[Reason]:
    for field, wish in _wishes(asked):
        unit = UNITS[field]
        cap, have = getattr(limits, unit.limit), _have(held, field)
        if wish and have + wish > cap:
            wider = "".join(f" {later.words}" for later in limits.later if later.limit == unit.limit and later.value >= have + wish)
            words = left(wish, have, cap, unit) if wish <= cap else f"Your limit is {cap:g} {unit.many} now, and this needs {wish:g}."
            yield Reason(field, words + wider, unit.limit, whole(have + wish))
    if asked.gpus:
        yield from _budgets(held, limits, "You have", "your")
        yield from _disk(held, limits)


def _beyond_group(asked: Asked, share: Share) -> Iterator[Reason]:
    for field, wish in _wishes(asked):
        unit = UNITS[field]
        cap, have = getattr(share.caps, unit.cap), _have(share.held, field)
        if wish and cap is not None and have + wish > cap:
            yield Reason(field, f"Your {share.words} holds {have:g} of its {cap:g} {unit.many}, and this needs {wish:g}.")
    if asked.gpus:
        yield from _budgets_group(share)
        yield from _disk(share.held, share.caps, share.words)


def _budgets_group(share: Share) -> Iterator[Reason]:
    yield from _budgets(share.held, share.caps, f"Your {share.words} has", "its")


def _budgets(held: Held, limits: Limits | Caps, who: str, whose: str) -> Iterator[Reason]:
    """Used-up budgets, each with the time when hours return if nothing more is used."""
    for name, (back, span) in SPANS.items():
        budget, used, back_at = getattr(limits, name), getattr(held, name), getattr(held, back)
        if budget is not None and used >= budget:
            words = budget_gone(who, used, whose, budget, span, back_at)
            yield Reason(name, words, name if isinstance(limits, Limits) else "", whole(used) + 1)


def _disk(held: Held, limits: Limits | Caps, group: str = "") -> Iterator[Reason]:
    """A full workspace holds up labs with GPUs alone: whoever has to delete files needs a lab for it."""
    if limits.disk_gib is not None and held.disk_gib > limits.disk_gib:
        yield Reason("disk_gib", disk_full(held.disk_gib, limits.disk_gib, group), "" if group else "disk_gib", whole(held.disk_gib))


def _wishes(asked: Asked) -> tuple[tuple[str, float], ...]:
    """Field and amount of all that a wish counts for."""
    return (
        ("gpus", round(asked.gpus * asked.gpu_share, 2)),
        ("cpus", asked.cpus),
        ("memory_gib", gib(asked.memory_mib)),
        ("shm_gib", gib(asked.shm_mib)),
        ("hours", asked.hours),
        ("labs", 1),
    )


def _have(held: Held, field: str) -> float:
    """What is held of a field; shm and hours are of one lab and do not add up."""
    if field in ("shm_gib", "hours"):
        return 0
    value: float = gib(held.memory_mib) if field == "memory_gib" else getattr(held, field)
    return value
