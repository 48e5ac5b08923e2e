"""Who used how much: figures by day or week, waits, a heat map of the cards, people where the viewer may see them, and a file."""

import csv
import io
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from labs.lifecycle import states
from labs.lifecycle.models import Lab
from labs.usage.efficiency import Efficiency
from labs.usage.figures import Figures
from labs.usage.queries import HeatRow, Usage, efficiency_for, first_day, heat_of, usage_of
from labs.usage.scopes import scope_for_viewer, scopes_for_viewer
from portal.pages.access import PersonRequest, person_required
from portal.pages.forms.usage import UsageForm
from portal.pages.spreadsheet import cell

COLUMNS = (
    "from", "gpu_hours", "idle_share", "gpu_busy_pct", "labs_started", "wait_median_s", "wait_p95_s", "gpus_at_once",
    "gpu_memory_mib_max", "memory_mib_max", "shm_mib_max",
)  # fmt: skip
LABS_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Judged:
    """An ended lab with its line."""

    lab: Lab
    efficiency: Efficiency


@require_safe
@person_required
def usage(request: PersonRequest) -> HttpResponse:
    """The page."""
    found, form = _asked(request)
    heat = heat_of(usage=found)
    context = {
        "form": form,
        "usage": found,
        "heat": heat,
        "heat_top": _top(found, heat),
        "hours": [f"{hour:02}" for hour in range(24)],
        "chart": _chart(found.rows),
        "judged": _judged(found),
        "query": request.GET.urlencode(),
        "by_week": form.data.get("by") == "week",
    }
    return render(request, "usage/usage.html", context)


@require_safe
@person_required
def usage_csv(request: PersonRequest) -> HttpResponse:
    """The rows of the page as a file, or with `people=1` the people, where the viewer may see them."""
    found, _ = _asked(request)
    out = io.StringIO()
    writer = csv.writer(out)
    if request.GET.get("people") and found.scope.by_person:
        writer.writerow(("person", "e-mail address", *COLUMNS[1:]))
        for share in found.people:
            writer.writerow([cell(str(share.user)), cell(share.user.email), *_cells(share.figures)])
    else:
        writer.writerow(COLUMNS)
        for row in found.rows:
            writer.writerow([row.start.isoformat(), *_cells(row)])
    headers = {"Content-Disposition": f'attachment; filename="gpulab-usage-{found.scope.code}.csv"'}
    return HttpResponse(out.getvalue(), content_type="text/csv; charset=utf-8", headers=headers)


def _asked(request: PersonRequest) -> tuple[Usage, UsageForm]:
    """What the address asks for; nonsense in it counts as not said, what may not be seen as not there."""
    administers, now = request.user.is_administrator, timezone.now()
    scope = scope_for_viewer(viewer=request.user, code=request.GET.get("of", ""), administers=administers)
    offered = scopes_for_viewer(viewer=request.user, administers=administers)
    if scope.code not in dict(offered):
        offered.append((scope.code, scope.title))
    asked = UsageForm(request.GET, scopes=offered)
    asked.is_valid()
    days, by = asked.cleaned_data.get("days") or 30, asked.cleaned_data.get("by") or "day"
    shown = UsageForm({"of": scope.code, "days": days, "by": by}, scopes=offered)
    return usage_of(scope=scope, first=first_day(days=days, now=now), weeks=by == "week", until=now), shown


def _cells(row: Figures) -> list[Any]:
    busy = row.busy
    figures = (row.gpu_hours, busy.idle_share, busy.gpu_pct, row.labs, row.wait_median_s, row.wait_p95_s, row.gpus_peak)
    peaks = (busy.gpu_memory_mib_max, busy.memory_mib_max, busy.shm_mib_max)
    return ["" if value is None else round(value, 3) for value in (*figures, *peaks)]


def _top(found: Usage, heat: list[HeatRow]) -> float:
    """What the darkest colour stands for: always busy for the house; what was held most for others, whose part may be small."""
    return 1.0 if found.scope.is_house else max((cell or 0.0 for row in heat for cell in row.cells), default=0.0) or 1.0


def _chart(rows: list[Figures]) -> dict[str, list[Any]]:
    """The rows in columns, for the plots. Hours in which nobody measured count as busy: they are not called idle."""
    return {
        "labels": [f"{row.start.day} {row.start:%b}" for row in rows],
        "hours": [round(row.gpu_hours, 2) for row in rows],
        "busy": [round(row.gpu_hours if row.busy_hours is None else row.busy_hours, 2) for row in rows],
        "median": [None if row.wait_median_s is None else round(row.wait_median_s / 60, 2) for row in rows],
        "p95": [None if row.wait_p95_s is None else round(row.wait_p95_s / 60, 2) for row in rows],
    }


def _judged(found: Usage) -> list[Judged]:
    """The newest ended labs of one person with what they made of what they held."""
    if found.scope.user_ids is None or len(found.scope.user_ids) != 1 or found.scope.code.startswith("group"):
        return []
    ended = Lab.objects.filter(owner__in=found.scope.user_ids, state__in=states.FINAL, ended_at__gte=found.since, started_at__isnull=False)
    labs = ended.select_related("owner").order_by("-ended_at")[:LABS_SHOWN]
    return [Judged(lab, line) for lab in labs if (line := efficiency_for(lab=lab))]
