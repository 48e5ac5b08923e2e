"""Who used how much: from leases and from the minutes and hours of telemetry, never from a counter."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Any, TypeVar

from django.db.models import Avg, Max, Q, QuerySet, Sum
from django.db.models.functions import ExtractHour, TruncDay
from django.utils import timezone

from labs.fleet.models import Gpu
from labs.lifecycle import states
from labs.lifecycle.holdings import gpu_hours_since
from labs.lifecycle.models import Lab, Lease
from labs.people.models import User
from labs.policy.budgets import WEEK
from labs.telemetry.hours import summary_of
from labs.telemetry.models import GpuHour, LabHour, LabMinute, LabSummary
from labs.usage.efficiency import Efficiency, Used, efficiency_of
from labs.usage.figures import Busy, Figures, Held, Wait, edges_of, figures_of, held_by_hour, total_of
from labs.usage.scopes import Scope

T = TypeVar("T")
SUMS: dict[str, Any] = {
    "n": Sum("cards"),
    "idle": Sum("cards_idle"),
    "pct": Sum("gpu_pct_sum"),
    "pct_max": Max("gpu_pct_max"),
    "gpu_memory": Max("gpu_memory_mib_max"),
    "memory": Max("memory_mib_max"),
    "shm": Max("shm_mib_max"),
}

SUMMED = (
    "minutes", "cards", "cards_idle", "gpu_pct_sum", "gpu_pct_max", "gpu_memory_mib_max", "cpu_pct_avg", "memory_mib_max", "shm_mib_max", "gpu_memory_mib",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Share:
    """One person's part of a scope."""

    user: User
    figures: Figures


@dataclass(frozen=True, slots=True)
class HeatRow:
    """A card and how much of each hour of the day, 0 to 23, it was busy (the house) or held (everybody else): 0 to 1, None unknown."""

    gpu: Gpu
    cells: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Usage:
    """What a scope used: day by day or week by week, in all, and by person where the viewer may see that."""

    scope: Scope
    since: datetime
    until: datetime
    rows: list[Figures]
    total: Figures
    people: list[Share]


def gpu_hours(*, user: User, since: datetime, now: datetime) -> float:
    """GPU-hours of one person in [since, now]."""
    return gpu_hours_since(user_ids=[user.pk], since=since, now=now).get(user.pk, 0.0)


def gpu_hours_week(*, user: User, now: datetime) -> float:
    """GPU-hours of the last seven days."""
    return gpu_hours(user=user, since=now - WEEK, now=now)


def first_day(*, days: int, now: datetime) -> date:
    """The first of the last `days` days in the house's time zone, today among them."""
    return timezone.localtime(now, zone()).date() - timedelta(days=days - 1)


def zone() -> tzinfo:
    """The house's time zone."""
    return timezone.get_default_timezone()


def usage_of(*, scope: Scope, first: date, weeks: bool, until: datetime) -> Usage:
    """A scope's usage from the beginning of the day (or of its week) `first` until a moment. Eight queries at most, however long."""
    edges = edges_of(first, until, zone(), weeks=weeks)
    since = edges[0]
    held, waits = _leases(scope, since, until)
    rows = figures_of(held=held, waits=waits, busy=_busy_by_day(scope, since, until), edges=edges, zone=zone(), now=until)
    people = _people(scope, held, waits, since, until) if scope.by_person else []
    return Usage(scope, since, until, rows, total_of(rows=rows, waits=waits), people)


def heat_of(*, usage: Usage) -> list[HeatRow]:
    """Cards by hour of the day: how busy for the house, how long held for everybody else. Only cards that say anything."""
    cells = _busy_by_hour(usage) if usage.scope.is_house else _held_by_hour(usage)
    cards = Gpu.objects.select_related("node").filter(pk__in=list(cells)).order_by("node__name", "index")
    return [HeatRow(gpu, cells[gpu.pk]) for gpu in cards]


def efficiency_for(*, lab: Lab) -> Efficiency | None:
    """The line of an ended lab, or None where it is not known. Before its summary is written, from the minutes that there are."""
    if lab.state not in states.FINAL:
        return None
    row = LabSummary.objects.filter(lab=lab).first()
    sums: dict[str, Any] = {name: getattr(row, name) for name in SUMMED} if row else summary_of(lab=lab)
    used = Used(
        minutes=sums["minutes"],
        gpus=lab.gpus,
        cpus=lab.cpus,
        memory_mib=lab.memory_mib,
        shm_mib=lab.shm_mib,
        gpu_memory_mib=sums["gpu_memory_mib"],
        gpu_pct=sums["gpu_pct_sum"] / sums["cards"] if sums["cards"] else None,
        gpu_pct_max=sums["gpu_pct_max"],
        idle_share=sums["cards_idle"] / sums["cards"] if sums["cards"] else None,
        gpu_memory_mib_max=sums["gpu_memory_mib_max"],
        cpu_pct=sums["cpu_pct_avg"],
        memory_mib_max=sums["memory_mib_max"],
        shm_mib_max=sums["shm_mib_max"],
    )
    return efficiency_of(used, slices=Gpu.objects.filter(parent__isnull=False).exists())


def _leases(scope: Scope, since: datetime, until: datetime) -> tuple[list[Held], list[Wait]]:
    """What was held in the span, and the waits of labs that had their first cards in it.

    One that took a card later waited while it ran: that is no wait.
    """
    rows = Lease.objects.filter(Q(closed_at=None) | Q(closed_at__gt=since), _of(scope, "lab__owner_id__in"), opened_at__lt=until)
    held: list[Held] = []
    waits: dict[str, Wait] = {}
    columns = ("lab__owner_id", "gpu_id", "opened_at", "closed_at", "gpu__share", "attempt", "lab_id", "lab__requested_at")
    for owner, card, opened, closed, share, attempt, lab, asked in rows.values_list(*columns):
        held.append(Held(owner, card, opened, closed, share))
        if attempt == 1 and opened >= since:
            waits[lab] = Wait(owner, asked, min(opened, waits[lab].placed) if lab in waits else opened)
    return held, list(waits.values())


def _busy_by_day(scope: Scope, since: datetime, until: datetime) -> dict[date, Busy]:
    found: dict[date, Busy] = {}
    for rows, moment in _uses(scope, since, until):
        for row in rows.annotate(day=TruncDay(moment, tzinfo=zone())).values("day").annotate(**SUMS):
            day = row["day"].astimezone(zone()).date()
            found[day] = found.get(day, Busy()) + _busy(row)
    return found


def _uses(scope: Scope, since: datetime, until: datetime) -> list[tuple[QuerySet[Any], str]]:
    """Hours that are rolled up, and the minutes of those that are not yet."""
    last = LabHour.objects.aggregate(at=Max("hour"))["at"]
    fresh = max(last + timedelta(hours=1), since) if last else since
    inside = _of(scope, "lab__owner_id__in")
    return [
        (LabHour.objects.filter(inside, hour__gte=since, hour__lt=until).order_by(), "hour"),
        (LabMinute.objects.filter(inside, minute__gte=fresh, minute__lt=until).order_by(), "minute"),
    ]


def _busy(row: dict[str, Any]) -> Busy:
    return Busy(row["n"] or 0, row["idle"] or 0, row["pct"] or 0.0, row["pct_max"], row["gpu_memory"], row["memory"], row["shm"])


def _people(scope: Scope, held: Sequence[Held], waits: Sequence[Wait], since: datetime, until: datetime) -> list[Share]:
    """Everybody who held a card, by GPU-hours."""
    busy: dict[int, Busy] = {}
    for rows, _ in _uses(scope, since, until):
        for row in rows.values("lab__owner_id").annotate(**SUMS):
            owner = row["lab__owner_id"]
            busy[owner] = busy.get(owner, Busy()) + _busy(row)
    by_owner, waits_of = _grouped(held, lambda one: one.owner_id), _grouped(waits, lambda one: one.owner_id)
    shares = []
    for user in User.objects.filter(pk__in=list(by_owner)):
        mine = waits_of.get(user.pk, [])
        spans = figures_of(held=by_owner[user.pk], waits=mine, busy={}, edges=[since, until], zone=zone(), now=until)
        total = total_of(rows=spans, waits=mine)
        shares.append(
            Share(user, Figures(total.start, total.gpu_hours, total.labs, total.wait_median_s, total.wait_p95_s, total.gpus_peak, busy.get(user.pk, Busy())))
        )
    return sorted(shares, key=lambda share: -share.figures.gpu_hours)


def _busy_by_hour(usage: Usage) -> dict[str, tuple[float | None, ...]]:
    rows = GpuHour.objects.filter(hour__gte=usage.since, hour__lt=usage.until).order_by()
    found: dict[str, list[float | None]] = {}
    for row in rows.annotate(at=ExtractHour("hour", tzinfo=zone())).values("gpu_id", "at").annotate(busy=Avg("gpu_pct_avg")):
        found.setdefault(row["gpu_id"], [None] * 24)[row["at"]] = None if row["busy"] is None else row["busy"] / 100
    return {gpu: tuple(cells) for gpu, cells in found.items()}


def _held_by_hour(usage: Usage) -> dict[str, tuple[float | None, ...]]:
    held, _ = _leases(usage.scope, usage.since, usage.until)
    return {gpu: tuple(cells) for gpu, cells in held_by_hour(held, usage.since, usage.until, zone()).items()}


def _of(scope: Scope, field: str) -> Q:
    return Q() if scope.user_ids is None else Q(**{field: scope.user_ids})


def _grouped(rows: Iterable[T], key: Callable[[T], int]) -> dict[int, list[T]]:
    groups: dict[int, list[T]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups
