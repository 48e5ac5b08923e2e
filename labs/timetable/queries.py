"""Reading the timetable. Everybody sees what is reserved; who may change it is in the name of the loader."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from labs.people.errors import Refused
from labs.people.models import Group, Role, User
from labs.scheduler.snapshot import Hold
from labs.timetable.holdings import house_zone, maintenance_between, meetings_between, meetings_standing, people_of
from labs.timetable.models import Maintenance, Meeting, Reservation
from labs.timetable.rules import OPEN_BEFORE, PREPARE_BEFORE, Occurrence, until_words
from labs.timetable.wishes import ClassWish, clashes_told, right_check, times_clash, wish_check, wish_times


def holds_between(*, start: datetime, until: datetime) -> tuple[Hold, ...]:
    """What is set aside between the moments, as the scheduler takes it. Cards that a class's own labs use are counted in."""
    meetings = [_hold(meeting, start) for meeting in meetings_standing(start=start, until=until + OPEN_BEFORE)]
    return (*meetings, *(_closure(row, start) for row in maintenance_between(start=start, until=until)))


def _hold(meeting: Meeting, now: datetime) -> Hold:
    held = meeting.reservation
    return Hold(
        id=meeting.hold_id,
        words=f"{held} until {until_words(meeting.ends_at, now, house_zone())}",
        start=meeting.opens_at,
        until=meeting.ends_at,
        node_id=held.node_id or "",
        model=held.gpu_model,
        gpus=0 if held.is_slice else meeting.cards,
        slices=meeting.cards if held.is_slice else 0,
    )


def _closure(row: Maintenance, now: datetime) -> Hold:
    words = f"maintenance until {until_words(row.ends_at, now, house_zone())} ({row.words})"
    return Hold(id=f"maintenance:{row.pk}", words=words, start=row.starts_at, until=row.ends_at, node_id=row.node_id, closes=True)


def meetings_shown(*, start: datetime, until: datetime) -> list[Meeting]:
    """Classes and events of the calendar, those that were cancelled or ended early included: people look for them."""
    return list(meetings_between(start=start, until=until).filter(reservation__cancelled_at=None))


def maintenance_shown(*, start: datetime, until: datetime) -> list[Maintenance]:
    """Maintenance of the calendar."""
    return list(maintenance_between(start=start, until=until))


def maintenance_ahead(*, now: datetime) -> QuerySet[Maintenance]:
    """Maintenance that goes on or is to come."""
    return Maintenance.objects.select_related("node", "created_by").filter(ends_at__gt=now, cancelled_at=None)


def groups_reservable(*, user: User) -> QuerySet[Group]:
    """For whom the person may reserve: any group for administrators, their own for teachers."""
    if user.is_administrator:
        return Group.objects.all()
    return Group.objects.filter(memberships__user=user) if user.is_active and user.role == Role.TEACHER else Group.objects.none()


def may_reserve(*, user: User) -> bool:
    """Is there anybody for whom the person may reserve?"""
    return user.is_administrator or groups_reservable(user=user).exists()


def may_edit(*, user: User, reservation: Reservation) -> bool:
    """May the person change it?"""
    try:
        right_check(actor=user, group=reservation.group)
    except Refused:
        return False
    return True


def reservation_for_editor(*, user: User, reservation_id: int) -> Reservation:
    """A reservation that the person may change; DoesNotExist for every other."""
    found = Reservation.objects.select_related("group", "image", "node").get(pk=reservation_id, cancelled_at=None)
    if not may_edit(user=user, reservation=found):
        raise Reservation.DoesNotExist
    return found


def meeting_shown(*, meeting_id: int) -> Meeting:
    """One meeting, for everybody."""
    return Meeting.objects.select_related("reservation__group", "reservation__image", "reservation__node").get(pk=meeting_id)


def meeting_for_editor(*, user: User, meeting_id: int) -> Meeting:
    """A meeting that the person may change; DoesNotExist for every other."""
    found = meeting_shown(meeting_id=meeting_id)
    if not may_edit(user=user, reservation=found.reservation):
        raise Meeting.DoesNotExist
    return found


def meetings_of(*, reservation: Reservation, now: datetime) -> list[Meeting]:
    """The meetings of a series that are not over."""
    return list(reservation.meetings.filter(ends_at__gt=now))


def meeting_for_member(*, user: User, meeting_id: int) -> Meeting:
    """A meeting of one's own class; DoesNotExist for every other."""
    return Meeting.objects.select_related("reservation__image", "reservation__node").filter(_mine(user)).distinct().get(pk=meeting_id)


def meetings_open(*, user: User, now: datetime) -> list[Meeting]:
    """The person's classes whose labs may be started now."""
    rows = meetings_standing(start=now, until=now + OPEN_BEFORE).filter(_mine(user), starts_at__lte=now + OPEN_BEFORE, cards__gt=0)
    return list(rows.distinct())


def _mine(user: User) -> Q:
    return Q(reservation__group__memberships__user=user) | Q(reservation__people=user)


def meetings_at_hand(*, now: datetime) -> list[Meeting]:
    """Meetings that the hands look after now: they are about to begin, or go on."""
    return list(meetings_standing(start=now, until=now + PREPARE_BEFORE))


@dataclass(frozen=True, slots=True)
class ClassPreview:
    """What saving a reservation would do: its times, for how many people and labs, and what stands in the way."""

    times: tuple[Occurrence, ...] = ()
    people: int = 0
    labs: int = 0
    refusals: tuple[str, ...] = ()
    field: str = ""


def class_preview(*, wish: ClassWish, actor: User, now: datetime, instead_of: Reservation | None = None) -> ClassPreview:
    """Judge a wish to reserve without making it."""
    people = len(set(_members(wish)))
    try:
        wish_check(wish=wish, actor=actor)
        times = wish_times(wish=wish, now=now)
    except Refused as refused:
        return ClassPreview(people=people, refusals=(refused.words,), field=refused.field)
    but = Q(reservation=instead_of) if instead_of else None
    found = times_clash(wanted=[wish.demand(one) for one in times], but=but)
    return ClassPreview(tuple(times), people, wish.cards // wish.gpus, tuple(clashes_told(found=found)), "cards" if found else "")


def _members(wish: ClassWish) -> list[int]:
    named = [user.pk for user in wish.people if user.is_active]
    return named + list(User.objects.filter(memberships__group=wish.group, is_active=True).values_list("pk", flat=True) if wish.group else [])


def people_count(*, reservation: Reservation) -> int:
    """How many people are in it."""
    return people_of(reservation).count()
