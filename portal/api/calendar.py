"""The calendar: what is set aside, for everybody; reserving, for teachers and administrators."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Schema
from ninja.responses import Status
from pydantic import Field

from labs.catalogue.queries import images_offered
from labs.fleet.models import Node
from labs.fleet.queries import runtimes
from labs.lifecycle.classes import class_lab_request
from labs.lifecycle.wishes import MOST
from labs.people.errors import Refused
from labs.people.models import Group, User
from labs.timetable.holdings import house_zone
from labs.timetable.models import Maintenance, Meeting, Reservation
from labs.timetable.queries import groups_reservable, maintenance_shown, meeting_for_member, meetings_shown, reservation_for_editor
from labs.timetable.rules import Hours
from labs.timetable.services import reservation_cancel, reservation_create
from labs.timetable.wishes import ClassWish
from portal.api.auth import caller, may_launch
from portal.api.labs import lab_view
from portal.api.pagination import Cursor, Limit, PageOf, page_of
from portal.api.schemas import EXACT, Lab, Number, Strict

router = Router(tags=["calendar"])
#: What one request may look at.
LONGEST = timedelta(days=62)
YEARS = (2000, 2100)
DAY, CLOCK = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", r"^([01][0-9]|2[0-3]):[0-5][0-9]$"


class CalendarEntry(Schema):
    """A class or event, or a node that is closed."""

    kind: Literal["class", "maintenance"]
    id: int = Field(description="Of the class's one meeting, or of the maintenance.")
    series: int | None = Field(description="The reservation that a meeting belongs to.")
    title: str
    state: Literal["planned", "cancelled", "ended early"]
    starts_at: datetime
    ends_at: datetime
    cards: int = Field(description="GPUs (or slices) set aside; 0 for a closed node, which has none.")
    unit: Literal["card", "slice"] | None
    gpu_model: str
    node: str | None


class Calendar(PageOf):
    """What happens in a spell, in order of beginning."""

    items: list[CalendarEntry]
    zone: str = Field(description="The house's time zone, in which weekly hours are.")


class Spell(Strict):
    """Days that are left out, both ends included."""

    first: str = Field(pattern=DAY)
    last: str = Field(pattern=DAY)


class ReservationWish(Strict):
    """A class to reserve for. Hours are in the house's time zone."""

    title: str = Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f]*$")
    group: int | None = Field(None, ge=1, le=EXACT, description="The id of a course or team of yours.")
    people: list[str] = Field(default=[], description="E-mail addresses of others.", max_length=200)
    weekdays: list[int] = Field(description="Monday is 0.", max_length=7)
    from_time: str = Field(pattern=CLOCK)
    to_time: str = Field(pattern=CLOCK)
    first_day: str = Field(pattern=DAY)
    last_day: str = Field(pattern=DAY)
    without: list[Spell] = Field(default=[], max_length=50)
    image: int = Field(ge=1, le=EXACT, description="The `id` of an image.")
    start: Literal["prepared", "own"] = Field("own", description="`prepared`: a lab is started for everybody; `own`: each starts theirs.")
    cards: int = Field(ge=1, le=MOST, description="Set aside for the whole class.")
    unit: Literal["card", "slice"] = "card"
    gpu_model: str = Field("", max_length=96, pattern=r"^[ -~]*$")
    node: str = Field("", max_length=40, pattern=r"^[-a-zA-Z0-9_]*$")
    gpus: int = Field(1, ge=1, le=MOST, description="Of each lab.")
    cpus: int = Field(4, ge=1, le=MOST)
    memory_gib: int = Field(16, ge=1, le=MOST)
    give_back_min: int = Field(15, ge=1, le=MOST, description="Minutes after which cards that nobody uses go back to the queue.")


class ReservationView(Schema):
    """A reservation with its times."""

    id: int
    title: str
    group: int | None
    cancelled: bool
    meetings: list[CalendarEntry]


@router.get("/calendar", response=Calendar, summary="Look at the calendar")
def calendar_list(
    request: HttpRequest,
    since: Annotated[datetime | None, Query(default=None, description="From this moment; now if left out.")],
    until: Annotated[datetime | None, Query(default=None, description="To this moment; a week later if left out, two months later at most.")],
    cursor: Cursor,
    limit: Limit,
) -> Any:
    """Classes, events and maintenance that share a moment with the spell."""
    start = _moment(since, "since") if since else timezone.now()
    end = _moment(until, "until") if until else start + timedelta(days=7)
    if not start <= end <= start + LONGEST:
        raise Refused(f"`until` lies after `since`, by {LONGEST.days} days at most.", field="until", code="invalid")
    items = [_meeting(one) for one in meetings_shown(start=start, until=end)] + [_maintenance(one) for one in maintenance_shown(start=start, until=end)]
    items.sort(key=lambda item: (item["starts_at"], item["kind"], item["id"]))
    found = page_of(request, items, name=lambda item: (item["kind"], item["id"]), cursor=cursor, limit=limit, show=lambda item: item)
    return found | {"zone": house_zone().key}


@router.post("/reservations", response={201: ReservationView}, summary="Reserve for a class")
def reservation_make(request: HttpRequest, wish: ReservationWish) -> Status[Any]:
    """For teachers in their own courses, and administrators. 422 with the clash in words when the cards do not suffice."""
    may_launch(request)
    made = reservation_create(wish=_wish(caller(request), wish), actor=caller(request), now=timezone.now())
    return Status(201, _reservation(made))


@router.post("/reservations/{int:reservation_id}/cancel", response=ReservationView, summary="Cancel a class")
def reservation_end(request: HttpRequest, reservation_id: Number) -> Any:
    """Give back all that is set aside; 404 for a reservation that is not yours to change."""
    may_launch(request)
    row = reservation_for_editor(user=caller(request), reservation_id=reservation_id)
    reservation_cancel(reservation=row, actor=caller(request), now=timezone.now())
    return _reservation(Reservation.objects.get(pk=row.pk))


@router.post("/classes/{int:meeting_id}/lab", response={201: Lab}, summary="Start your lab of a class")
def class_lab(request: HttpRequest, meeting_id: Number) -> Status[Any]:
    """On the class's GPUs and until its end; 404 for a class that is not yours, 409 when it is not open."""
    may_launch(request)
    row = meeting_for_member(user=caller(request), meeting_id=meeting_id)
    lab = class_lab_request(owner=caller(request), meeting=row, actor=caller(request), now=timezone.now())
    return Status(201, lab_view(lab, None))


def _wish(user: User, asked: ReservationWish) -> ClassWish:
    spells = tuple((_day(spell.first, "without"), _day(spell.last, "without")) for spell in asked.without)
    weekdays = tuple(sorted(set(asked.weekdays)))
    if not set(weekdays) <= set(range(7)):
        raise Refused("Days of the week are 0 (Monday) to 6 (Sunday).", field="weekdays", code="invalid")
    from_time, to_time = time.fromisoformat(asked.from_time), time.fromisoformat(asked.to_time)
    names = ("title", "start", "unit", "cards", "gpu_model", "gpus", "cpus", "memory_gib", "give_back_min")
    return ClassWish(
        group=_group(user, asked.group),
        people=_people(asked.people),
        image=_one(images_offered(runtimes=runtimes()), asked.image, "image"),
        node=_one(Node.objects.all(), asked.node, "node") if asked.node else None,
        hours=Hours(weekdays, from_time, to_time, _day(asked.first_day, "first_day"), _day(asked.last_day, "last_day"), spells),
        **{name: getattr(asked, name) for name in names},
    )


def _group(user: User, group_id: int | None) -> Group | None:
    return _one(groups_reservable(user=user), group_id, "group") if group_id is not None else None


def _one(rows: Any, pk: Any, field: str) -> Any:
    found = rows.filter(pk=pk).first()
    if found is None:
        raise Refused(f"There is no such {field}, or it is not yours to choose.", field=field)
    return found


def _people(addresses: list[str]) -> tuple[User, ...]:
    wanted = {address.strip().lower() for address in addresses}
    found = {user.email.lower(): user for user in User.objects.filter(email__in=[one for one in wanted if "\x00" not in one])}
    if wanted - set(found):
        raise Refused("Nobody here has one of the addresses.", field="people")
    return tuple(found[address] for address in sorted(found))


def _day(words: str, field: str) -> date:
    try:
        return date.fromisoformat(words)
    except ValueError as error:
        raise Refused(f"{words} is no day.", field=field, code="invalid") from error


def _moment(moment: datetime, field: str) -> datetime:
    """Without a zone it is UTC; what lies beyond all calendars is refused."""
    if not YEARS[0] <= moment.year <= YEARS[1]:
        raise Refused(f"The calendar goes from {YEARS[0]} to {YEARS[1]}.", field=field, code="invalid")
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _reservation(row: Reservation) -> dict[str, Any]:
    meetings = [_meeting(one) for one in row.meetings.select_related("reservation__node")]
    return {"id": row.pk, "title": row.title, "group": row.group_id, "cancelled": row.cancelled_at is not None, "meetings": meetings}


def _meeting(one: Meeting) -> dict[str, Any]:
    held = one.reservation
    return {
        "kind": "class",
        "id": one.pk,
        "series": held.pk,
        "title": held.title,
        "state": "cancelled" if one.cancelled_at else "ended early" if one.released_at else "planned",
        "starts_at": one.starts_at,
        "ends_at": one.ends_at,
        "cards": one.cards,
        "unit": held.unit,
        "gpu_model": held.gpu_model,
        "node": held.node_id,
    }


def _maintenance(row: Maintenance) -> dict[str, Any]:
    return {
        "kind": "maintenance",
        "id": row.pk,
        "series": None,
        "title": row.words,
        "state": "planned",
        "starts_at": row.starts_at,
        "ends_at": row.ends_at,
        "cards": 0,
        "unit": None,
        "gpu_model": "",
        "node": row.node_id,
    }
