"""Samples -> one row a card and one a lab a minute; minutes -> hours. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Minute:
    """What one card did in one minute; None where it said nothing."""

    uuid: str
    gpu_pct_avg: float | None
    gpu_pct_max: int | None
    memory_mib_max: int | None
    temperature_max: int | None
    power_avg: float | None


@dataclass(frozen=True, slots=True)
class LabUse:
    """What one lab did in a span of time; the columns of `labs.telemetry.models.LabUse`."""

    cards: int = 0
    cards_idle: int = 0
    gpu_pct_sum: float = 0.0
    gpu_pct_max: int | None = None
    gpu_memory_mib_max: int | None = None
    cpu_pct_avg: float | None = None
    memory_mib_max: int | None = None
    shm_mib_max: int | None = None


def minute_of(at: float) -> datetime:
    """The beginning of the minute of an epoch second."""
    return datetime.fromtimestamp(at // 60 * 60, UTC)


def minutes_rolled(samples: Iterable[Mapping[str, Any]], minute: datetime) -> list[Minute]:
    """The rows of `minute` from samples {"at", "cards": [{"uuid", …}]}; those of other minutes are passed over."""
    cards: dict[str, list[Mapping[str, Any]]] = {}
    for sample in samples:
        if minute_of(sample["at"]) == minute:
            for card in sample["cards"]:
                cards.setdefault(card["uuid"], []).append(card)
    return [_rolled(uuid, readings) for uuid, readings in cards.items()]


def lab_minutes_rolled(samples: Iterable[Mapping[str, Any]], *, idle_below: float) -> dict[datetime, LabUse]:
    """Every minute of a lab's samples {"at", "cpu_pct", "memory_mib", "shm_mib", "gpus": [{"uuid", "gpu_pct", …}]}.

    A card is idle in a minute when it was busy less than `idle_below` percent on average. One that does not say how
    busy it is (a MIG slice) is neither busy nor idle.
    """
    minutes: dict[datetime, list[Mapping[str, Any]]] = {}
    for sample in samples:
        minutes.setdefault(minute_of(sample["at"]), []).append(sample)
    return {minute: _lab_rolled(rows, idle_below) for minute, rows in minutes.items()}


def _lab_rolled(samples: Sequence[Mapping[str, Any]], idle_below: float) -> LabUse:
    cards: dict[str, list[Mapping[str, Any]]] = {}
    for sample in samples:
        for card in sample["gpus"]:
            cards.setdefault(card["uuid"], []).append(card)
    busy = [average for readings in cards.values() if (average := _average(_values(readings, "gpu_pct"))) is not None]
    every = [card for readings in cards.values() for card in readings]
    return LabUse(
        cards=len(busy),
        cards_idle=sum(average < idle_below for average in busy),
        gpu_pct_sum=round(sum(busy), 1),
        gpu_pct_max=max(_values(every, "gpu_pct"), default=None),
        gpu_memory_mib_max=max(_values(every, "memory_used_mib"), default=None),
        cpu_pct_avg=_average(_values(samples, "cpu_pct")),
        memory_mib_max=max(_values(samples, "memory_mib"), default=None),
        shm_mib_max=max(_values(samples, "shm_mib"), default=None),
    )


def hour_of(moment: datetime) -> datetime:
    """The beginning of its hour."""
    return moment.replace(minute=0, second=0, microsecond=0)


def _rolled(uuid: str, readings: Sequence[Mapping[str, Any]]) -> Minute:
    return Minute(
        uuid=uuid,
        gpu_pct_avg=_average(_values(readings, "gpu_pct")),
        gpu_pct_max=max(_values(readings, "gpu_pct"), default=None),
        memory_mib_max=max(_values(readings, "memory_used_mib"), default=None),
        temperature_max=max(_values(readings, "temperature_c"), default=None),
        power_avg=_average(_values(readings, "power_w")),
    )


def _values(readings: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    return [one[name] for one in readings if one.get(name) is not None]


def _average(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 1) if values else None
