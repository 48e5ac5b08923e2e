"""Counting what people hold and what is free, from labs and leases, never from a counter."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q, Sum

from labs.lifecycle import states
from labs.lifecycle.models import Lab, Lease
from labs.people.models import User
from labs.policy.rules import Held

WEEK = timedelta(days=7)


def held_by(*, user: User, now: datetime) -> Held:
    """What one person holds now."""
    return held_by_people(user_ids=[user.pk], now=now)[user.pk]


def held_by_people(*, user_ids: Iterable[int], now: datetime) -> dict[int, Held]:
    """What each of them holds now, in three queries however many there are."""
    ids = list(user_ids)
    labs = {row["owner_id"]: row for row in _placed_and_pending(ids)}
    gpus = dict(Lease.objects.filter(lab__owner_id__in=ids, closed_at=None).values_list("lab__owner_id").annotate(n=Count("id")))
    hours = gpu_hours_since(user_ids=ids, since=now - WEEK, now=now)
    return {
        user_id: Held(
            gpus=gpus.get(user_id, 0),
            labs=row.get("placed") or 0,
            pending=row.get("pending") or 0,
            cpus=row.get("cpus") or 0,
            memory_mib=row.get("memory") or 0,
            gpu_hours_week=hours.get(user_id, 0.0),
        )
        for user_id in ids
        for row in [labs.get(user_id, {})]
    }


def gpu_hours_since(*, user_ids: Iterable[int], since: datetime, now: datetime) -> dict[int, float]:
    """GPU-hours by person from the leases that overlap [since, now]."""
    hours: dict[int, float] = {}
    leases = Lease.objects.filter(Q(closed_at=None) | Q(closed_at__gt=since), lab__owner_id__in=list(user_ids))
    for owner_id, opened, closed in leases.values_list("lab__owner_id", "opened_at", "closed_at"):
        spell = min(closed or now, now) - max(opened, since)
        hours[owner_id] = hours.get(owner_id, 0.0) + max(spell.total_seconds(), 0.0) / 3600
    return hours


def _placed_and_pending(ids: list[int]) -> list[dict[str, Any]]:
    placed = Q(state__in=states.HOLDING)
    rows = (
        Lab.objects.filter(owner_id__in=ids, state__in=states.LIVE)
        .order_by()
        .values("owner_id")
        .annotate(
            placed=Count("id", filter=placed),
            pending=Count("id", filter=Q(state=states.QUEUED) | Q(next_gpus__isnull=False)),
            cpus=Sum("cpus", filter=placed),
            memory=Sum("memory_mib", filter=placed),
        )
    )
    return [dict(row) for row in rows]
