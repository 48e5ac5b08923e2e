"""The calendar: a week of classes, maintenance, one's own labs, and when cards come free."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from labs.lifecycle.models import Lab
from labs.lifecycle.queries import labs_on_cards
from labs.lifecycle.queueing import QueueEntry, queue_view
from labs.people.models import User
from labs.timetable.holdings import house_zone
from labs.timetable.models import Maintenance, Meeting
from labs.timetable.queries import maintenance_shown, may_reserve, meetings_open, meetings_shown
from portal.pages.access import PersonRequest, person_required
from portal.pages.forms.calendar import WeekForm
from portal.pages.week import Item, monday_of, spell_of, week_of

#: Years around now that can be looked at: beyond them there is nothing to see.
FARTHEST = timedelta(days=3 * 366)
#: Coming ends that are listed below the week.
MOST_LISTED = 20


@require_safe
@person_required
def calendar(request: PersonRequest) -> HttpResponse:
    """The whole page: the week that the address names, or this one."""
    return render(request, "calendar/calendar.html", _context(request))


@require_safe
@person_required
def calendar_week(request: PersonRequest) -> HttpResponse:
    """The part that moves."""
    return render(request, "calendar/_week.html", _context(request))


def _context(request: PersonRequest) -> dict[str, Any]:
    now, zone, user = timezone.now(), house_zone(), request.user
    today = now.astimezone(zone).date()
    monday = _monday(request, today)
    start, until = spell_of(monday, zone)
    labs, waits = labs_on_cards(start=max(start, now), until=until), queue_view(now=now)
    items = [*_classes(start, until), *_maintenance(start, until), *_own_labs(user, labs, now), *_own_waits(user, waits)]
    return {
        "week": week_of([item for item in items if item.until > start and item.start < until], monday, zone, now),
        "monday": monday,
        "sunday": monday + timedelta(days=6),
        "this_week": monday_of(today),
        "before": monday - timedelta(days=7),
        "after": monday + timedelta(days=7),
        "zone": zone.key,
        "may_reserve": may_reserve(user=user),
        "open_classes": classes_open(user=user, now=now),
        "ends": [lab for lab in labs if lab.ends_at and lab.ends_at < until][:MOST_LISTED],
        "waits": [entry for entry in waits if entry.estimate and start <= entry.estimate.soonest < until][:MOST_LISTED],
    }


def _monday(request: PersonRequest, today: date) -> date:
    """Nonsense in the address is this week."""
    form = WeekForm(request.GET)
    asked = form.cleaned_data["week"] if form.is_valid() else None
    return monday_of(asked if asked and abs(asked - today) < FARTHEST else today)


def classes_open(*, user: User, now: datetime) -> list[tuple[Meeting, Lab | None]]:
    """The person's classes that go on, with their lab there."""
    return [(meeting, meeting.labs.filter(owner=user).order_by("-requested_at").first()) for meeting in meetings_open(user=user, now=now)]


def _classes(start: datetime, until: datetime) -> Iterator[Item]:
    for meeting in meetings_shown(start=start, until=until):
        yield Item(
            kind="class" if meeting.stands else "off",
            title=str(meeting),
            start=meeting.starts_at,
            until=meeting.ends_at,
            words=class_words(meeting),
            url=reverse("meeting", args=[meeting.pk]),
        )


def class_words(meeting: Meeting) -> str:
    """What the week shows of a class beside its name."""
    if meeting.cancelled_at:
        return "cancelled"
    if meeting.released_at:
        return "ended early"
    unit = "slice" if meeting.reservation.is_slice else "GPU"
    return f"{meeting.cards} {unit}{'' if meeting.cards == 1 else 's'}" if meeting.cards else "GPUs given back"


def _maintenance(start: datetime, until: datetime) -> Iterator[Item]:
    for row in maintenance_shown(start=start, until=until):
        yield Item("maintenance", f"{row.node} closed", row.starts_at, row.ends_at, row.words, _maintenance_url(row))


def _maintenance_url(row: Maintenance) -> str:
    return reverse("maintenance") + f"#maintenance-{row.pk}"


def _own_labs(user: User, labs: list[Lab], now: datetime) -> Iterator[Item]:
    for lab in labs:
        if lab.owner_id == user.pk and lab.ends_at:
            yield Item("lab", lab.name, lab.started_at or now, lab.ends_at, "your lab, by its limit", reverse("lab", args=[lab.pk]))


def _own_waits(user: User, waits: list[QueueEntry]) -> Iterator[Item]:
    for entry in waits:
        if entry.lab.owner_id == user.pk and entry.estimate:
            soonest, latest = entry.estimate.soonest, entry.estimate.latest
            yield Item("wait", entry.lab.name, soonest, max(latest, soonest + timedelta(minutes=1)), "expected to start", reverse("lab", args=[entry.lab.pk]))
