"""Who used how much, as the usage page shows it."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field

from labs.usage.figures import Figures
from labs.usage.queries import first_day, usage_of, zone
from labs.usage.scopes import scope_for_viewer, scopes_for_viewer
from portal.api.auth import caller, is_admin

router = Router(tags=["usage"])
#: The longest that is looked at, in days: what telemetry keeps.
LONGEST = 400


class UsageScope(Schema):
    """Whose figures can be asked for."""

    of: str = Field(description="What `of` of /usage takes.")
    title: str


class UsageFigures(Schema):
    """What was held in a span, and what was made of it. Null where nothing was measured or nobody waited."""

    start: date = Field(description="The first day of the span.")
    gpu_hours: float = Field(description="From the cards' leases; a MIG slice counts for its share of a card.")
    idle_share: float | None = Field(description="The part of the measured time in which the GPUs stood idle: 0 to 1.")
    gpu_busy_pct: float | None
    labs: int = Field(description="Labs that got their GPUs.")
    wait_median_s: float | None = Field(description="From the request to the GPUs.")
    wait_p95_s: float | None
    gpus_at_once: float = Field(description="The most that were held at once.")
    gpu_memory_mib_max: int | None = Field(description="The most that a lab held on one card.")
    memory_mib_max: int | None
    shm_mib_max: int | None


class UsageShare(Schema):
    """One person's part."""

    person: str = Field(description="The e-mail address.")
    name: str
    figures: UsageFigures


class Usage(Schema):
    """The usage of one scope."""

    of: str
    title: str
    zone: str = Field(description="The house's time zone, in which days begin.")
    since: datetime
    until: datetime
    total: UsageFigures
    rows: list[UsageFigures] = Field(description="Oldest first.")
    people: list[UsageShare] = Field(description="Who used what, by GPU-hours; only for administrators, and for teachers in their courses.")
    scopes: list[UsageScope]


@router.get("/usage", response=Usage, summary="Look at usage")
def usage_look(
    request: HttpRequest,
    of: Annotated[str, Query(default="me", max_length=40, description='"me", "group-<id>", or, for administrators, "house" and "person-<id>".')],
    days: Annotated[int, Query(default=30, ge=1, le=LONGEST, description="How many days, today among them.")],
    by: Annotated[Literal["day", "week"], Query(default="day", description="One row a day or a week.")],
) -> Any:
    """One's own, a team's for its members, a course's for its teachers; everything with an administrator's token of scope admin."""
    administers, now = is_admin(request), timezone.now()
    scope = scope_for_viewer(viewer=caller(request), code=of, administers=administers)
    found = usage_of(scope=scope, first=first_day(days=days, now=now), weeks=by == "week", until=now)
    return {
        "of": scope.code,
        "title": scope.title,
        "zone": str(zone()),
        "since": found.since,
        "until": found.until,
        "total": _figures(found.total),
        "rows": [_figures(row) for row in found.rows],
        "people": [{"person": share.user.email, "name": str(share.user), "figures": _figures(share.figures)} for share in found.people],
        "scopes": [{"of": code, "title": title} for code, title in scopes_for_viewer(viewer=caller(request), administers=administers)],
    }


def _figures(row: Figures) -> dict[str, Any]:
    return {
        "start": row.start,
        "gpu_hours": round(row.gpu_hours, 3),
        "idle_share": row.busy.idle_share,
        "gpu_busy_pct": row.busy.gpu_pct,
        "labs": row.labs,
        "wait_median_s": row.wait_median_s,
        "wait_p95_s": row.wait_p95_s,
        "gpus_at_once": row.gpus_peak,
        "gpu_memory_mib_max": row.busy.gpu_memory_mib_max,
        "memory_mib_max": row.busy.memory_mib_max,
        "shm_mib_max": row.busy.shm_mib_max,
    }
