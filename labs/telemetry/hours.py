"""Minutes -> hours, ended labs -> summaries, and forgetting what is too old. Right however often and however late it runs."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Avg, Count, Max, Min, Sum
from django.db.models.functions import TruncHour

from labs.lifecycle import states
from labs.lifecycle.models import Lab
from labs.telemetry.models import GpuHour, GpuMinute, LabHour, LabMinute, LabSummary
from labs.telemetry.rollup import hour_of
from labs.telemetry.services import lab_minutes_close

#: An hour is rolled up once its last minute has surely been written, and again for a while, should a minute come late.
LATE = timedelta(minutes=3)
AGAIN = timedelta(hours=2)
#: At most so many hours in one go, so that a long pause is caught up in steps.
MOST_HOURS = 48
#: Ended labs without a summary are looked for this far back.
ENDED_WITHIN = timedelta(days=7)
SUMS: dict[str, Any] = {
    "cards": Sum("cards"),
    "cards_idle": Sum("cards_idle"),
    "gpu_pct_sum": Sum("gpu_pct_sum"),
    "gpu_pct_max": Max("gpu_pct_max"),
    "gpu_memory_mib_max": Max("gpu_memory_mib_max"),
    "cpu_pct_avg": Avg("cpu_pct_avg"),
    "memory_mib_max": Max("memory_mib_max"),
    "shm_mib_max": Max("shm_mib_max"),
}
GPU_SUMS: dict[str, Any] = {
    "minutes": Count("pk"),
    "gpu_pct_avg": Avg("gpu_pct_avg"),
    "memory_mib_max": Max("memory_mib_max"),
    "power_avg": Avg("power_avg"),
}


def hours_roll(*, now: datetime) -> int:
    """Write every hour that is over and not written yet; how many rows."""
    return _gpu_hours(_hours_from(GpuHour, GpuMinute, now), now) + _lab_hours(_hours_from(LabHour, LabMinute, now), now)


def summaries_write(*, now: datetime, limit: int = 100) -> int:
    """Write the summary of each lab that has ended without one, after its last minutes; how many."""
    ended = Lab.objects.filter(state__in=states.FINAL, ended_at__gt=now - ENDED_WITHIN, started_at__isnull=False, summary=None)
    made = [lab_summary_write(lab=lab) for lab in ended.order_by("ended_at")[:limit]]
    return len(made)


def lab_summary_write(*, lab: Lab) -> LabSummary:
    """The summary of an ended lab, from its minutes; written once."""
    lab_minutes_close(lab_id=lab.pk)
    with transaction.atomic():
        row, _ = LabSummary.objects.get_or_create(lab=lab, defaults=summary_of(lab=lab))
    return row


def summary_of(*, lab: Lab) -> dict[str, Any]:
    """The columns of a lab's summary, from the minutes that there are so far."""
    sums = LabMinute.objects.filter(lab=lab).aggregate(minutes=Count("pk"), **SUMS)
    memory = lab.leases.aggregate(most=Max("gpu__memory_mib"))["most"] or 0
    return {name: value or 0 if name in ("cards", "cards_idle", "gpu_pct_sum") else value for name, value in sums.items()} | {"gpu_memory_mib": memory}


def telemetry_prune(*, now: datetime) -> int:
    """Forget minutes and hours that are older than `telemetry.keep_…` says; how many rows."""
    keep = settings.DEFAULTS["telemetry"]
    minutes, hours = now - timedelta(days=keep["keep_minutes_days"]), now - timedelta(days=keep["keep_hours_days"])
    return sum(
        rows.delete()[0]
        for rows in (
            GpuMinute.objects.filter(minute__lt=minutes),
            LabMinute.objects.filter(minute__lt=minutes),
            GpuHour.objects.filter(hour__lt=hours),
            LabHour.objects.filter(hour__lt=hours),
        )
    )


def _hours_from(hours: type[GpuHour | LabHour], minutes: type[GpuMinute | LabMinute], now: datetime) -> datetime:
    """The first hour to write: a little before the first minute that is in no hour yet, or before the last hour written."""
    last = hours.objects.aggregate(at=Max("hour"))["at"]
    fresh = minutes.objects.filter(minute__gte=last + timedelta(hours=1)) if last else minutes.objects.all()
    return hour_of(fresh.aggregate(at=Min("minute"))["at"] or last or now) - AGAIN


def _span(since: datetime, now: datetime) -> dict[str, datetime]:
    until = min(hour_of(now - LATE), since + timedelta(hours=MOST_HOURS))
    return {"minute__gte": since, "minute__lt": until}


def _gpu_hours(since: datetime, now: datetime) -> int:
    found = (
        GpuMinute.objects.filter(**_span(since, now)).order_by().annotate(hour=TruncHour("minute", tzinfo=UTC)).values("gpu_id", "hour").annotate(**GPU_SUMS)
    )
    rows = [GpuHour(**row) for row in found]
    GpuHour.objects.bulk_create(rows, update_conflicts=True, unique_fields=["gpu", "hour"], update_fields=list(GPU_SUMS), batch_size=500)
    return len(rows)


def _lab_hours(since: datetime, now: datetime) -> int:
    found = (
        LabMinute.objects.filter(**_span(since, now))
        .order_by()
        .annotate(hour=TruncHour("minute", tzinfo=UTC))
        .values("lab_id", "hour")
        .annotate(minutes=Count("pk"), **SUMS)
    )
    rows = [LabHour(**row) for row in found]
    LabHour.objects.bulk_create(rows, update_conflicts=True, unique_fields=["lab", "hour"], update_fields=["minutes", *SUMS], batch_size=500)
    return len(rows)
