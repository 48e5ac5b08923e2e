"""The queue: who waits, in which order, and why."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from labs.lifecycle.waiting import queue_view
from portal.pages.access import PersonRequest, person_required


@require_safe
@person_required
def queue(request: PersonRequest) -> HttpResponse:
    """The whole page."""
    return render(request, "queue/queue.html", _context())


@require_safe
@person_required
def queue_rows(request: PersonRequest) -> HttpResponse:
    """The rows alone."""
    return render(request, "queue/_rows.html", _context())


def _context() -> dict[str, Any]:
    return {"entries": queue_view(now=timezone.now())}
