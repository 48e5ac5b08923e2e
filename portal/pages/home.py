"""Home: my labs, one click to start one, my quota."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from labs.catalogue.queries import images_offered
from labs.fleet.queries import gpus_all, runtimes
from labs.lifecycle import states
from labs.lifecycle.allowances import Allowance, allowance_of
from labs.lifecycle.models import Lab
from labs.lifecycle.queries import cards_count, gpus_beyond_guarantee, labs_of, leases_open
from labs.lifecycle.queueing import QueueEntry, card_free_at, waits_of
from labs.sharing.queries import shares_with
from portal.pages.access import PersonRequest, person_required
from portal.pages.calendar import classes_open
from portal.pages.presets import presets
from portal.pages.quota import bars
from portal.pages.use import Use, use_of

RECENT = 5


@dataclass(frozen=True, slots=True)
class Line:
    """A lab on Home, with its place in the queue if it waits and its numbers if it runs."""

    lab: Lab
    wait: QueueEntry | None
    use: Use | None


@require_safe
@person_required
def home(request: PersonRequest) -> HttpResponse:
    """The whole page."""
    now = timezone.now()
    offered = list(images_offered(runtimes=runtimes(), user=request.user))
    may = allowance_of(user=request.user, now=now)
    moving, limits = _labs_context(request, may, now), may.limits
    context = moving | {
        "open_classes": classes_open(user=request.user, now=now),
        "presets": presets(images=offered, limits=limits, borrows=gpus_beyond_guarantee(user=request.user, limits=limits, units=1) > 0),
        "key": secrets.token_urlsafe(16),
        "shared": shares_with(user=request.user, now=now),
        "greeting": _greeting(request),
        "first": not (moving["lines"] or moving["recent"]) and bool(offered),
    }
    return render(request, "home/home.html", context)


@require_safe
@person_required
def home_labs(request: PersonRequest) -> HttpResponse:
    """The part that moves: labs, free cards, quota."""
    now = timezone.now()
    return render(request, "home/_labs.html", _labs_context(request, allowance_of(user=request.user, now=now), now))


def _labs_context(request: PersonRequest, may: Allowance, now: datetime) -> dict[str, Any]:
    live = list(labs_of(user=request.user, live=True))
    waits = waits_of(user=request.user, now=now) if any(lab.waits for lab in live) else {}
    return {
        "lines": [Line(lab, waits.get(lab.pk), use_of(lab_id=lab.pk, now=now) if lab.state == states.RUNNING else None) for lab in live],
        "recent": list(labs_of(user=request.user, live=False)[:RECENT]),
        "bars": bars(held=may.held, limits=may.limits, shares=may.shares),
        "count": cards_count(units=gpus_all(), leased=leases_open()),
        "card_free_at": card_free_at(now=now),
    }


def _greeting(request: PersonRequest) -> str:
    return f"Hello, {request.user.display_name.split(' ')[0]}" if request.user.display_name else "Hello"
