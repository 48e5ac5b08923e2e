"""What the house has, and what of it is set aside when. The house's time zone is Django's default one."""

from collections import Counter
from datetime import datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Q, QuerySet

from labs.fleet.models import Gpu
from labs.people.models import User
from labs.timetable.models import Maintenance, Meeting, Reservation
from labs.timetable.rules import Closure, Demand, Pool


def house_zone() -> ZoneInfo:
    """The time zone in which classes have their hours."""
    return ZoneInfo(settings.TIME_ZONE)


def pools() -> Counter[Pool]:
    """Cards and slices by node and model, but for those that were taken out of service. A card in MIG mode is its slices."""
    units = Gpu.objects.exclude(health=Gpu.Health.DRAINED).filter(mig=False).values_list("node_id", "model", "profile")
    return Counter(Pool(node_id, model, bool(profile)) for node_id, model, profile in units)


def meetings_between(*, start: datetime, until: datetime) -> QuerySet[Meeting]:
    """Meetings that share a moment with the spell, cancelled and released ones included."""
    rows = Meeting.objects.select_related("reservation__group", "reservation__node", "reservation__image")
    return rows.filter(ends_at__gt=start, starts_at__lt=until)


def meetings_standing(*, start: datetime, until: datetime) -> QuerySet[Meeting]:
    """Those of them that hold cards."""
    return meetings_between(start=start, until=until).filter(cancelled_at=None, released_at=None)


def maintenance_between(*, start: datetime, until: datetime) -> QuerySet[Maintenance]:
    """Maintenance that shares a moment with the spell and was not called off."""
    return Maintenance.objects.select_related("node").filter(ends_at__gt=start, starts_at__lt=until, cancelled_at=None)


def demands_between(*, start: datetime, until: datetime, but: Q | None = None) -> list[Demand]:
    """What is set aside in the spell; `but` are meetings that do not count."""
    rows = meetings_standing(start=start, until=until)
    return [demand_of(meeting) for meeting in (rows.exclude(but) if but is not None else rows)]


def demand_of(meeting: Meeting) -> Demand:
    """A meeting's cards as the rules take them."""
    held = meeting.reservation
    words = f"{held} holds {meeting.cards}"
    return Demand(words, meeting.starts_at, meeting.ends_at, meeting.cards, held.is_slice, held.node_id or "", held.gpu_model)


def closures_between(*, start: datetime, until: datetime) -> list[Closure]:
    """When which node is away."""
    rows = maintenance_between(start=start, until=until)
    return [Closure(row.node_id, f"{row.node} is under maintenance ({row.words})", row.starts_at, row.ends_at) for row in rows]


def people_of(reservation: Reservation) -> QuerySet[User]:
    """The active members of its group, and those who were named."""
    named = Q(reservations=reservation)
    if reservation.group_id:
        named |= Q(memberships__group_id=reservation.group_id)
    return User.objects.filter(named, is_active=True).order_by("pk").distinct()
