"""Judging a wish against what is held and what is allowed. Pure."""

from dataclasses import dataclass, fields
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Limits:
    """What a person may have, after role and overrides. None is no limit. Sizes in GiB."""

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


LIMIT_NAMES = tuple(field.name for field in fields(Limits))


@dataclass(frozen=True, slots=True)
class Held:
    """What a person holds: in labs that are placed, and how many wait."""

    gpus: int = 0
    labs: int = 0
    pending: int = 0
    cpus: int = 0
    memory_mib: int = 0
    gpu_hours_week: float = 0.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What one lab asks for."""

    gpus: int
    cpus: int
    memory_mib: int
    shm_mib: int
    hours: int


class Answer(StrEnum):
    """What the rules say."""

    NOW = "now"
    LATER = "later"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Reason:
    """One limit that says no: which field, and the words with limit, excess and what would fit."""

    field: str
    words: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer and every reason for it."""

    answer: Answer
    reasons: tuple[Reason, ...] = ()


def judge(asked: Asked, held: Held, limits: Limits) -> Verdict:
    """NEVER when the wish alone passes a limit, LATER when it does so only with what is held now."""
    alone = beyond_cap(asked, limits)
    if alone:
        return Verdict(Answer.NEVER, alone)
    together = beyond_left(asked, held, limits)
    return Verdict(Answer.LATER, together) if together else Verdict(Answer.NOW)


def beyond_cap(asked: Asked, limits: Limits) -> tuple[Reason, ...]:
    """The limits that the wish passes in itself."""
    rows = (
        ("gpus", asked.gpus, limits.gpus_max, "GPU", "GPUs"),
        ("cpus", asked.cpus, limits.cpus, "CPU core", "CPU cores"),
        ("memory_gib", _gib(asked.memory_mib), limits.memory_gib, "GiB of memory", "GiB of memory"),
        ("shm_gib", _gib(asked.shm_mib), limits.shm_gib, "GiB of shared memory", "GiB of shared memory"),
        ("hours", asked.hours, limits.hours_max, "hour", "hours"),
        ("labs", 1, limits.labs, "lab", "labs"),
    )
    found = [Reason(field, _over(wish, cap, one, many)) for field, wish, cap, one, many in rows if wish > cap]
    if asked.shm_mib > asked.memory_mib:
        found.append(Reason("shm_gib", f"Shared memory counts inside the memory limit: at most {_gib(asked.memory_mib):g} GiB here."))
    return tuple(found)


def beyond_left(asked: Asked, held: Held, limits: Limits) -> tuple[Reason, ...]:
    """The limits that the wish passes together with what is held now."""
    rows = (
        ("gpus", asked.gpus, held.gpus, limits.gpus_max, "GPU", "GPUs"),
        ("cpus", asked.cpus, held.cpus, limits.cpus, "CPU core", "CPU cores"),
        ("memory_gib", _gib(asked.memory_mib), _gib(held.memory_mib), limits.memory_gib, "GiB of memory", "GiB of memory"),
        ("labs", 1, held.labs, limits.labs, "lab", "labs"),
    )
    found = [Reason(field, _left(wish, have, cap, one, many)) for field, wish, have, cap, one, many in rows if wish and have + wish > cap]
    if asked.gpus and limits.gpu_hours_week is not None and held.gpu_hours_week >= limits.gpu_hours_week:
        words = f"You have used {held.gpu_hours_week:.0f} of your {limits.gpu_hours_week} GPU-hours of the last seven days."
        found.append(Reason("gpu_hours_week", words))
    return tuple(found)


def _over(wish: float, cap: float, one: str, many: str) -> str:
    return f"You asked for {wish:g} {one if wish == 1 else many}; your limit is {cap:g}, so that is {wish - cap:g} too many. Up to {cap:g} would fit."


def _left(wish: float, have: float, cap: float, one: str, many: str) -> str:
    left = max(cap - have, 0)
    return f"You hold {have:g} of your {cap:g} {one if cap == 1 else many}, so {left:g} {'is' if left == 1 else 'are'} left and this needs {wish:g}."


def _gib(mib: int) -> float:
    return round(mib / 1024, 2)
