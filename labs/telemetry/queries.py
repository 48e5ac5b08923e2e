"""Reading what cards and labs do now and did lately. Without Redis there is no now: the answers are empty."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import redis

from labs.fleet.models import Node
from labs.lifecycle.models import Lab
from labs.telemetry import shelf
from labs.telemetry.models import GpuMinute, LabMinute

log = logging.getLogger(__name__)
T = TypeVar("T")
#: A sample older than this is not "now".
STALE_S = 15.0


def latest(*, now: datetime) -> dict[str, dict[str, Any]]:
    """The newest sample of each node that gave one lately, by node id."""
    found = {node: _read(shelf.newest, shelf.node_key(node), default=None) for node in Node.objects.values_list("pk", flat=True)}
    return {node: sample for node, sample in found.items() if sample and is_fresh(sample, now=now)}


def latest_cards(*, now: datetime) -> dict[str, dict[str, Any]]:
    """The newest reading of each card, by UUID."""
    return {card["uuid"]: card for sample in latest(now=now).values() for card in sample["cards"]}


def is_fresh(sample: dict[str, Any], *, now: datetime) -> bool:
    """Does the sample tell of now?"""
    return now.timestamp() - float(sample["at"]) < STALE_S


def recent(*, node_id: str, count: int = shelf.CHART_SAMPLES) -> list[dict[str, Any]]:
    """A node's last samples, oldest first."""
    return _read(shelf.last, shelf.node_key(node_id), count, default=[])


def history(*, uuid: str, since: datetime) -> Sequence[GpuMinute]:
    """A card minute by minute since a moment, oldest first."""
    return list(GpuMinute.objects.filter(gpu_id=uuid, minute__gte=since).order_by("minute"))


def history_of_day(*, uuid: str, now: datetime) -> Sequence[GpuMinute]:
    """A card's last 24 hours."""
    return history(uuid=uuid, since=now - timedelta(hours=24))


def lab_usage_latest(*, lab_id: str, now: datetime) -> dict[str, Any] | None:
    """What a lab uses now (cpu_pct, memory_mib, shm_mib, gpus), or None where that is not known."""
    sample = _read(shelf.newest, shelf.lab_key(lab_id), default=None)
    return sample if sample and is_fresh(sample, now=now) else None


def lab_usage_recent(*, lab_id: str) -> list[dict[str, Any]]:
    """A lab's last samples, oldest first."""
    return _read(shelf.last, shelf.lab_key(lab_id), shelf.CHART_SAMPLES, default=[])


def lab_minutes_last(*, lab: Lab, count: int = 30) -> list[LabMinute]:
    """What the lab did in the last minutes that were measured, oldest first."""
    return list(LabMinute.objects.filter(lab=lab).order_by("-minute")[:count])[::-1]


def _read(read: Callable[..., T], *arguments: Any, default: T) -> T:
    try:
        return read(*arguments)
    except redis.RedisError as error:
        log.warning("telemetry cannot be read now: %s", error)
        return default
