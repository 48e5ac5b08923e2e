"""When a lab counts as idle, when its owner is warned, and when it is stopped. Pure.

In use is a lab of which any sign says so, or of which a sign cannot be read: nobody's work ends because a sensor is silent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

#: Percent of the limit at which the owner is warned.
WARNINGS = (50, 75, 92)
#: After the last warning has arrived, its reader has at least so long.
LEAST_NOTICE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Rules:
    """Below which use a lab is idle (percent of each card, percent of its cores), and for how many minutes it may be."""

    gpu_pct_below: float = 5
    cpu_pct_below: float = 2
    limit_min: int = 60
    crowded_limit_min: int = 30
    crowded_pct: float = 80
    keep_hours: int = 4
    keeps: int = 2


@dataclass(frozen=True, slots=True)
class Signs:
    """What was seen of one lab. None is what could not be read. `cpu_pct` counts one core as 100."""

    gpus: int
    cpus: int
    gpu_pct: float | None
    cpu_pct: float | None
    jupyter: bool
    kernels: int = 0
    kernels_busy: int = 0
    kernel_at: datetime | None = None
    terminals: int = 0
    terminal_at: datetime | None = None
    ssh: int | None = None


@dataclass(frozen=True, slots=True)
class Sign:
    """One sign in words; `in_use` says that the lab is used now."""

    code: str
    title: str
    words: str
    in_use: bool


class Do(StrEnum):
    """What is to be done with an idle lab."""

    NOTHING = "nothing"
    WARN = "warn"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Warned:
    """Up to which percentage its owner was warned in this idle spell, and when the last warning arrived."""

    percent: int = 0
    delivered_at: datetime | None = None


def signs_told(signs: Signs, rules: Rules) -> tuple[Sign, ...]:
    """Every sign that is looked at, in words for the page."""
    made = [_gpu(signs, rules)] if signs.gpus else []
    return (*made, _cpu(signs, rules), *_jupyter(signs), _ssh(signs))


def used_at(signs: Signs, told: Sequence[Sign], *, before: datetime, now: datetime) -> datetime:
    """When the lab was last used: now, or when a kernel or terminal last was, and never earlier than was known before."""
    if any(sign.in_use for sign in told):
        return now
    moments = [moment for moment in (signs.kernel_at, signs.terminal_at) if moment is not None and moment <= now]
    return max([before, *moments])


def limit_now(*, taken_pct: float | None, rules: Rules) -> timedelta:
    """How long a lab may be idle: less while most of the cards are taken. Zero switches the rule off."""
    crowded = taken_pct is not None and taken_pct >= rules.crowded_pct
    return timedelta(minutes=rules.crowded_limit_min if crowded else rules.limit_min)


def due(*, used: datetime, now: datetime, limit: timedelta, warned: Warned) -> tuple[Do, int]:
    """What is due, and the percentage of a warning. A lab is stopped only when its last warning has arrived and was there to read."""
    if not limit:
        return Do.NOTHING, 0
    idle = now - used
    reached = max((percent for percent in WARNINGS if idle >= limit * percent / 100), default=0)
    if reached > warned.percent:
        return Do.WARN, reached
    last = warned.percent == WARNINGS[-1] and warned.delivered_at is not None
    if last and idle >= limit and now - warned.delivered_at >= LEAST_NOTICE:  # type: ignore[operator]
        return Do.STOP, 0
    return Do.NOTHING, 0


def _gpu(signs: Signs, rules: Rules) -> Sign:
    if signs.gpu_pct is None:
        return Sign("gpu", "GPU", "its use is not measured, so it counts as used", in_use=True)
    return Sign("gpu", "GPU", f"{signs.gpu_pct:.0f}% (idle below {rules.gpu_pct_below:g}%)", in_use=signs.gpu_pct >= rules.gpu_pct_below)


def _cpu(signs: Signs, rules: Rules) -> Sign:
    if signs.cpu_pct is None:
        return Sign("cpu", "CPU", "not measured yet, so it counts as used", in_use=True)
    share = signs.cpu_pct / max(signs.cpus, 1)
    return Sign("cpu", "CPU", f"{share:.1f}% of its cores (idle below {rules.cpu_pct_below:g}%)", in_use=share >= rules.cpu_pct_below)


def _jupyter(signs: Signs) -> tuple[Sign, ...]:
    if not signs.jupyter:
        return (Sign("kernels", "Notebooks", "Jupyter does not answer, so they count as used", in_use=True),)
    kernels = f"{signs.kernels_busy} of {signs.kernels} kernels at work" if signs.kernels else "no kernel"
    terminals = _count(signs.terminals, "terminal") + (" open" if signs.terminals else "")
    return (
        Sign("kernels", "Notebooks", kernels, in_use=signs.kernels_busy > 0),
        Sign("terminals", "Terminals", terminals, in_use=False),
    )


def _ssh(signs: Signs) -> Sign:
    if signs.ssh is None:
        return Sign("ssh", "SSH", "not known, so it counts as used", in_use=True)
    return Sign("ssh", "SSH", _count(signs.ssh, "connection"), in_use=signs.ssh > 0)


def _count(count: int, one: str) -> str:
    return f"{count or 'no'} {one}{'' if count <= 1 else 's'}"
