"""The idle clock as pages show it, and the rules in force."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from labs.idleness.models import Idleness
from labs.idleness.rules import WARNINGS, Rules
from labs.lifecycle.models import Lab


@dataclass(frozen=True, slots=True)
class IdleClock:
    """`stops_at` is when the lab is stopped if nobody uses it, None where it will not be; `urgent` once its owner was warned."""

    row: Idleness
    stops_at: datetime | None
    urgent: bool
    keeps_left: int
    keep_hours: int


def rules_now() -> Rules:
    """The house's rules."""
    idle = settings.DEFAULTS["idle"]
    return Rules(
        gpu_pct_below=idle["gpu_pct_below"],
        cpu_pct_below=idle["cpu_pct_below"],
        limit_min=settings.IDLE_MIN,
        crowded_limit_min=min(settings.IDLE_CROWDED_MIN, settings.IDLE_MIN),
        keep_hours=idle["keep_hours"],
        keeps=idle["keep_max_times"],
    )


def idle_clock(*, lab: Lab, now: datetime) -> IdleClock | None:
    """The clock of a running lab; None before its node has looked, and where the rule is off or not for it."""
    row = Idleness.objects.filter(lab=lab).first()
    if row is None or not row.limit_min or lab.meeting_id:
        return None
    rules = rules_now()
    kept = row.keep_until is not None and row.keep_until > now
    stops_at = max(row.used_at, row.keep_until or row.used_at) + timedelta(minutes=row.limit_min)
    return IdleClock(row, stops_at, urgent=not kept and row.warned >= WARNINGS[0], keeps_left=max(rules.keeps - row.keeps, 0), keep_hours=rules.keep_hours)
