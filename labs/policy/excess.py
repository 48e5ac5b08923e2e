"""What several people hold together, and by how much somebody holds more than they may. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from labs.policy.rules import Caps, Held, Limits

#: What is held -> the person's limit, the group's cap, and what it is called.
MEASURES = (
    ("gpus", "gpus_max", "gpus", "GPUs"),
    ("labs", "labs", "labs", "labs"),
    ("pending", "pending", "pending", "waiting labs"),
    ("cpus", "cpus", "cpus", "CPU cores"),
    ("memory_gib", "memory_gib", "memory_gib", "GiB of memory"),
    ("gpu_hours_week", "gpu_hours_week", "gpu_hours_week", "GPU-hours in seven days"),
    ("gpu_hours_month", "gpu_hours_month", "gpu_hours_month", "GPU-hours in thirty days"),
    ("disk_gib", "disk_gib", "disk_gib", "GiB of workspace"),
)


@dataclass(frozen=True, slots=True)
class Excess:
    """`has` of something, of which `cap` is allowed."""

    held_name: str
    words: str
    has: float
    cap: int

    @property
    def by(self) -> float:
        """How much too many."""
        return round(self.has - self.cap, 1)


def excesses(held: Held, limits: Limits | Caps) -> tuple[Excess, ...]:
    """Everything of which more is held than allowed."""
    found = []
    for name, limit, cap, words in MEASURES:
        most = getattr(limits, limit if isinstance(limits, Limits) else cap)
        has = round(held.memory_mib / 1024, 1) if name == "memory_gib" else round(getattr(held, name), 1)
        if most is not None and has > most:
            found.append(Excess(name, words, has, most))
    return tuple(found)


def held_together(rows: Iterable[Held]) -> Held:
    """The sum of what each of them holds."""
    rows = list(rows)
    return Held(
        gpus=round(sum(row.gpus for row in rows), 2),
        labs=sum(row.labs for row in rows),
        pending=sum(row.pending for row in rows),
        cpus=sum(row.cpus for row in rows),
        memory_mib=sum(row.memory_mib for row in rows),
        gpu_hours_week=sum(row.gpu_hours_week for row in rows),
        gpu_hours_month=sum(row.gpu_hours_month for row in rows),
        disk_gib=round(sum(row.disk_gib for row in rows), 2),
    )
