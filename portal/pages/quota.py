"""A person's use beside their limit, as the pages draw it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from labs.lifecycle.allowances import allowance_of
from labs.people.models import User
from labs.policy.rules import Caps, Held, Limits, Share


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: `used` of `limit`, and what the wish that is being considered would `add`. No limit is None.

    `measured_at` is for what is not counted but measured now and then.
    """

    name: str
    used: float
    limit: int | None
    unit: str = ""
    add: float = 0
    note: str = ""
    measured_at: datetime | None = None

    @property
    def after(self) -> float:
        """Used once the wish is granted."""
        return self.used + self.add

    @property
    def over(self) -> bool:
        """Would the wish pass the limit together with what is held?"""
        return self.limit is not None and self.after > self.limit

    @property
    def full(self) -> bool:
        """Is nothing left?"""
        return self.limit is not None and self.after >= self.limit


def bars(*, held: Held, limits: Limits, shares: tuple[Share, ...] = (), gpus: float = 0, cpus: int = 0, memory_gib: int = 0, labs: int = 0) -> list[Bar]:
    """The bars of what is held, with a wish on top of it; then the caps of the person's groups."""
    wider = {one.limit: f"It is {one.words}." for one in limits.wider}
    own = [
        Bar("GPUs", held.gpus, limits.gpus_max, add=gpus, note=wider.get("gpus_max", "")),
        *_budgets(held, limits, ""),
        Bar("CPU cores", held.cpus, limits.cpus, add=cpus, note=wider.get("cpus", "")),
        Bar("Memory", round(held.memory_mib / 1024, 1), limits.memory_gib, "GiB", add=memory_gib, note=wider.get("memory_gib", "")),
        Bar("Labs", held.labs, limits.labs, add=labs, note=wider.get("labs", "")),
        Bar("Workspace", held.disk_gib, limits.disk_gib, "GiB", note="" if held.disk_at else "Not measured yet.", measured_at=held.disk_at),
    ]
    return own + [bar for share in shares for bar in bars_of_group(share, of=f" of {share.words}", gpus=gpus, cpus=cpus, memory_gib=memory_gib, labs=labs)]


def bars_of_group(share: Share, *, of: str = "", gpus: float = 0, cpus: int = 0, memory_gib: int = 0, labs: int = 0) -> list[Bar]:
    """The caps that a group has, with what all its members hold of each; `of` ends their names."""
    held, caps = share.held, share.caps
    rows = [
        Bar(f"GPUs{of}", held.gpus, caps.gpus, add=gpus),
        *_budgets(held, caps, of),
        Bar(f"CPU cores{of}", held.cpus, caps.cpus, add=cpus),
        Bar(f"Memory{of}", round(held.memory_mib / 1024, 1), caps.memory_gib, "GiB", add=memory_gib),
        Bar(f"Labs{of}", held.labs, caps.labs, add=labs),
        Bar(f"Waiting labs{of}", held.pending, caps.pending),
        Bar(f"Workspaces{of}", held.disk_gib, caps.disk_gib, "GiB"),
    ]
    return [row for row in rows if row.limit is not None]


def bars_of(*, user: User, now: datetime) -> list[Bar]:
    """The bars of one person as things are."""
    may = allowance_of(user=user, now=now)
    return bars(held=may.held, limits=may.limits, shares=may.shares)


def _budgets(held: Held, limits: Limits | Caps, of: str) -> Iterator[Bar]:
    """The week always, a month only where there is a budget for it; when used up, when hours return."""
    yield Bar(f"GPU-hours in seven days{of}", round(held.gpu_hours_week, 1), limits.gpu_hours_week, "h", note=_returns(held.week_back_at))
    if limits.gpu_hours_month is not None:
        yield Bar(f"GPU-hours in thirty days{of}", round(held.gpu_hours_month, 1), limits.gpu_hours_month, "h", note=_returns(held.month_back_at))


def _returns(moment: datetime | None) -> str:
    return f"Hours return from {timezone.localtime(moment):%a %d %b, %H:%M %Z} on." if moment else ""
