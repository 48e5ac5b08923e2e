"""A person's use beside their limit, as the pages draw it."""

from dataclasses import dataclass
from datetime import datetime

from labs.lifecycle.holdings import held_by
from labs.people.models import User
from labs.policy.queries import limits_of
from labs.policy.rules import Held, Limits


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: `used` of `limit`, and what the wish that is being considered would `add`. No limit is None."""

    name: str
    used: float
    limit: int | None
    unit: str = ""
    add: float = 0

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


def bars(*, held: Held, limits: Limits, gpus: int = 0, cpus: int = 0, memory_gib: int = 0, labs: int = 0) -> list[Bar]:
    """The bars of what is held, with a wish on top of it."""
    return [
        Bar("GPUs", held.gpus, limits.gpus_max, add=gpus),
        Bar("GPU-hours in seven days", round(held.gpu_hours_week, 1), limits.gpu_hours_week, "h"),
        Bar("CPU cores", held.cpus, limits.cpus, add=cpus),
        Bar("Memory", round(held.memory_mib / 1024, 1), limits.memory_gib, "GiB", add=memory_gib),
        Bar("Labs", held.labs, limits.labs, add=labs),
    ]


def bars_of(*, user: User, now: datetime) -> list[Bar]:
    """The bars of one person as things are."""
    return bars(held=held_by(user=user, now=now), limits=limits_of(user=user, now=now))
