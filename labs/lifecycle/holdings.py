"""Counting what people hold and what is free, from labs and leases, never from a counter.

Labs of a class run on the class's cards: they count for the class, not for the person.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, DateTimeField, DurationField, ExpressionWrapper, Q, Sum, Value
from django.db.models.functions import Coalesce, Greatest, Least

from labs.lifecycle import states
from labs.lifecycle.models import Lab, Lease
from labs.people.models import User
from labs.policy.budgets import MONTH, WEEK, Spell
from labs.policy.rules import Held
from labs.storage.queries import Disk, disk_held
from labs.timetable.models import Meeting


def held_by(*, user: User, now: datetime) -> Held:
    """What one person holds now."""
    return held_by_people(user_ids=[user.pk], now=now)[user.pk]


def held_by_people(*, user_ids: Iterable[int], now: datetime) -> dict[int, Held]:
    """What each of them holds now, in five queries however many there are."""
    ids = list(user_ids)
    labs = {row["owner_id"]: row for row in _placed_and_pending(ids)}
    gpus = dict(Lease.objects.filter(lab__owner_id__in=ids, lab__meeting=None, closed_at=None).values_list("lab__owner_id").annotate(n=Sum("gpu__share")))
    week, month = (gpu_hours_since(user_ids=ids, since=now - span, now=now) for span in (WEEK, MONTH))
    disks = disk_held(user_ids=ids)
    return {
        user_id: Held(
            gpus=round(gpus.get(user_id, 0), 2),
            labs=row.get("placed") or 0,
            pending=row.get("pending") or 0,
            cpus=row.get("cpus") or 0,
            memory_mib=row.get("memory") or 0,
            gpu_hours_week=week.get(user_id, 0.0),
            gpu_hours_month=month.get(user_id, 0.0),
            disk_gib=disk.gib,
            disk_at=disk.measured_at,
        )
        for user_id in ids
        for row, disk in [(labs.get(user_id, {}), disks.get(user_id, Disk()))]
    }


def gpu_hours_since(*, user_ids: Iterable[int], since: datetime, now: datetime) -> dict[int, float]:
    """GPU-hours by person from the leases that overlap [since, now]; a slice counts for its share of a card. Summed by the database."""
    start = Greatest("opened_at", Value(since, output_field=DateTimeField()))
    end = Least(Coalesce("closed_at", Value(now, output_field=DateTimeField())), Value(now, output_field=DateTimeField()))
    spell = ExpressionWrapper(end - start, output_field=DurationField())
    leases = Lease.objects.filter(Q(closed_at=None) | Q(closed_at__gt=since), opened_at__lt=now, lab__owner_id__in=list(user_ids), lab__meeting=None)
    found: dict[int, float] = {}
    for owner_id, share, held in leases.values_list("lab__owner_id", "gpu__share").annotate(held=Sum(spell)):
        found[owner_id] = found.get(owner_id, 0.0) + share * (held / timedelta(hours=1))
    return found


def spells_since(*, user_ids: Iterable[int], since: datetime) -> dict[int, list[Spell]]:
    """By person, every card or slice that was held after `since`, from its beginning. One query."""
    found: dict[int, list[Spell]] = {}
    leases = Lease.objects.filter(Q(closed_at=None) | Q(closed_at__gt=since), lab__owner_id__in=list(user_ids), lab__meeting=None)
    for owner_id, opened, closed, share in leases.values_list("lab__owner_id", "opened_at", "closed_at", "gpu__share"):
        found.setdefault(owner_id, []).append(Spell(opened, closed, share))
    return found


def _placed_and_pending(ids: list[int]) -> list[dict[str, Any]]:
    placed = Q(state__in=states.HOLDING)
    rows = (
        Lab.objects.filter(owner_id__in=ids, meeting=None, state__in=states.LIVE)
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


def class_has_room(*, meeting_id: int, gpus: int, now: datetime) -> bool:
    """Has the class so many cards left for one more lab? Call it in a transaction: the meeting is locked until its end."""
    meeting = Meeting.objects.select_for_update().get(pk=meeting_id)
    used = Lease.objects.filter(lab__meeting_id=meeting_id, closed_at=None).count()
    return meeting.is_open(now) and used + gpus <= meeting.cards
