"""How limits are called, and what passes them, in words. Pure."""

import math
from datetime import datetime
from typing import NamedTuple


class Unit(NamedTuple):
    """How a field of a wish is limited and counted: the person's limit, the group's cap, one of it and many."""

    limit: str
    cap: str
    one: str
    many: str


UNITS = {
    "gpus": Unit("gpus_max", "gpus", "GPU", "GPUs"),
    "cpus": Unit("cpus", "cpus", "CPU core", "CPU cores"),
    "memory_gib": Unit("memory_gib", "memory_gib", "GiB of memory", "GiB of memory"),
    "shm_gib": Unit("shm_gib", "shm_gib", "GiB of shared memory", "GiB of shared memory"),
    "hours": Unit("hours_max", "hours_max", "hour", "hours"),
    "labs": Unit("labs", "labs", "lab", "labs"),
}


def amount_over(wish: float, now: float, cap: float, unit: Unit) -> str:
    """A wish alone is above the limit."""
    limit = f"{cap:g}" if now == cap else f"{now:g} now and {cap:g} at its widest"
    return f"You asked for {_amount(wish, unit)}; your limit is {limit}, so that is {wish - cap:g} too many. Up to {cap:g} would fit."


def amount_over_group(wish: float, cap: float, unit: Unit, group: str) -> str:
    """A wish alone is above what a group may have."""
    together = "" if unit.cap in ("shm_gib", "hours_max") else " for all its members together"
    return f"You asked for {_amount(wish, unit)}; your {group} may have {cap:g}{together}."


def left(wish: float, have: float, cap: float, unit: Unit) -> str:
    """A wish is above what is left."""
    rest = max(cap - have, 0)
    return f"You hold {have:g} of your {_amount(cap, unit)}, so {rest:g} {'is' if rest == 1 else 'are'} left and this needs {wish:g}."


def budget_gone(who: str, used: float, whose: str, budget: int, span: str, back_at: datetime | None) -> str:
    """A budget of GPU-hours is used up."""
    returns = f" New hours return from {back_at:%a %d %b, %H:%M} on." if back_at else ""
    return f"{who} used {used:.0f} of {whose} {budget} GPU-hours of the last {span}.{returns}"


def disk_full(have: float, cap: float, group: str = "") -> str:
    """A workspace, or those of a whole group, hold more than they may."""
    excess = math.ceil(round((have - cap) * 10, 2)) / 10
    if group:
        return f"The workspaces of your {group} hold {have:g} of their {cap:g} GiB: first {excess:g} GiB have to be deleted, in a lab without GPUs."
    return f"Your workspace holds {have:g} of your {cap:g} GiB: delete {excess:g} GiB first, in a lab without GPUs."


def gib(mib: int) -> float:
    """MiB as GiB."""
    return round(mib / 1024, 2)


def whole(amount: float) -> int:
    """The next whole number: limits are whole."""
    return math.ceil(amount)


def _amount(count: float, unit: Unit) -> str:
    return f"{count:g} {unit.one if count == 1 else unit.many}"
