"""What a lab uses now, in the numbers that Home and its own page begin with; the stream carries on from there."""

from dataclasses import dataclass
from datetime import datetime

from labs.telemetry.queries import lab_usage_latest


@dataclass(frozen=True, slots=True)
class Use:
    """None is a number that nobody measured."""

    cpu_pct: float | None
    memory_mib: int | None
    shm_mib: int | None
    gpu_pct: float | None
    gpu_memory: str


def use_of(*, lab_id: str, now: datetime) -> Use | None:
    """The newest sample, or None where there is no fresh one."""
    sample = lab_usage_latest(lab_id=lab_id, now=now)
    if sample is None:
        return None
    busy = [card["gpu_pct"] for card in sample["gpus"] if card.get("gpu_pct") is not None]
    used, total = (sum(card.get(name) or 0 for card in sample["gpus"]) / 1024 for name in ("memory_used_mib", "memory_total_mib"))
    return Use(
        cpu_pct=sample["cpu_pct"],
        memory_mib=sample["memory_mib"],
        shm_mib=sample["shm_mib"],
        gpu_pct=sum(busy) / len(busy) if busy else None,
        gpu_memory=f"{used:.1f} of {total:.1f} GiB" if total else "",
    )
