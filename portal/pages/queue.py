"""The queue: who waits, in which order, why, and until when; and an administrator's hand in it."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from labs.lifecycle.ordering import queue_move, queue_move_undo
from labs.lifecycle.queries import lab_for_viewer
from labs.lifecycle.queueing import card_free_at, estimates_score, queue_view
from portal.pages.access import PersonRequest, administrator_required, person_required
from portal.pages.forms.queue import MoveForm
from portal.pages.telling import first_error, try_or_tell

#: Rows of a page; a longer queue is counted.
ROWS = 100


@require_safe
@person_required
def queue(request: PersonRequest) -> HttpResponse:
    """The whole page."""
    return render(request, "queue/queue.html", _context(request))


@require_safe
@person_required
def queue_rows(request: PersonRequest) -> HttpResponse:
    """The rows alone."""
    return render(request, "queue/_queue.html", _context(request))


@require_POST
@administrator_required
def queue_lab_move(request: PersonRequest, lab_id: str) -> HttpResponse:
    """Put a lab first or last, with a reason that its owner reads."""
    lab = lab_for_viewer(user=request.user, lab_id=lab_id)
    form = MoveForm(request.POST)
    if not form.is_valid():
        messages.error(request, first_error(form))
        return redirect("queue")
    first, reason = form.cleaned_data["to"] == "first", form.cleaned_data["reason"]
    done = f"{lab.name} goes {'first' if first else 'last'}. {lab.owner} reads why."
    try_or_tell(request, lambda: queue_move(lab=lab, first=first, reason=reason, actor=request.user, now=timezone.now()), done=done)
    return redirect("queue")


@require_POST
@administrator_required
def queue_lab_move_undo(request: PersonRequest, lab_id: str) -> HttpResponse:
    """Give a lab its own place back."""
    lab = lab_for_viewer(user=request.user, lab_id=lab_id)
    queue_move_undo(lab=lab, actor=request.user, now=timezone.now())
    messages.success(request, f"{lab.name} is back at its own place.")
    return redirect("queue")


def _context(request: PersonRequest) -> dict[str, Any]:
    """The front of the queue, and one's own labs wherever they are."""
    now = timezone.now()
    entries = queue_view(now=now)
    shown = [entry for number, entry in enumerate(entries) if number < ROWS or entry.lab.owner_id == request.user.pk]
    return {"entries": shown, "more": len(entries) - len(shown), "score": estimates_score(now=now), "card_free_at": card_free_at(now=now)}
