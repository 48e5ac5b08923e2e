"""Samples -> one row a card a minute. Pure."""

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
