"""The audit log: search and export."""

import csv
from collections.abc import AsyncIterator
from datetime import datetime, time

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from labs.ledger.models import Event
from labs.ledger.queries import events_search
from portal.pages.access import PersonRequest, administrator_required
from portal.pages.forms.manage import AuditForm
from portal.pages.spreadsheet import cell

PAGE = 100
COLUMNS = ("at", "actor_name", "kind", "subject", "words")


@require_safe
@administrator_required
def manage_audit(request: PersonRequest) -> HttpResponse:
    """Events, newest first."""
    form = AuditForm(request.GET)
    page = Paginator(_found(form), PAGE).get_page(request.GET.get("page"))
    return render(request, "manage/audit.html", {"form": form, "page": page, "query": request.GET.urlencode()})


@require_safe
@administrator_required
def manage_audit_csv(request: PersonRequest) -> StreamingHttpResponse:
    """The same, as a file."""
    headers = {"Content-Disposition": 'attachment; filename="gpulab-audit.csv"'}
    return StreamingHttpResponse(_lines(_found(AuditForm(request.GET))), content_type="text/csv; charset=utf-8", headers=headers)


def _found(form: AuditForm) -> QuerySet[Event]:
    if not form.is_valid():
        return Event.objects.none()
    data = form.cleaned_data
    since = datetime.combine(data["since"], time(), timezone.get_default_timezone()) if data["since"] else None
    return events_search(text=data["text"], kind=data["kind"], since=since)


class _Echo:
    """A file that hands back what is written to it, so that rows stream."""

    def write(self, line: str) -> str:
        return line


async def _lines(events: QuerySet[Event]) -> AsyncIterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(COLUMNS)
    async for event in events.aiterator(chunk_size=1000):
        yield writer.writerow([event.at.isoformat(), *(cell(getattr(event, name)) for name in COLUMNS[1:])])
