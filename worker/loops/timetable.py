"""Classes and maintenance: images ahead, labs one after another, what is unused goes back, and the end."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from labs.fleet.services import image_bring
from labs.lifecycle import states
from labs.lifecycle.classes import (
    class_give_back,
    class_lab_request,
    class_labs_end,
    class_labs_follow,
    class_labs_unused,
    class_people_without,
    classes_over,
)
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_end
from labs.notices.services import notice_queue
from labs.people.errors import Refused
from labs.people.models import User
from labs.timetable.holdings import house_zone, people_of
from labs.timetable.models import Maintenance, Meeting, Reservation
from labs.timetable.queries import maintenance_shown, meetings_at_hand
from labs.timetable.rules import due, spell_words, until_words
from labs.timetable.services import class_people_tell, meeting_prepared

#: Labs asked for in one round and class: starting is the engine's work, and thirty at once are slower than thirty in a row.
AT_ONCE = 5
#: People on a node are told of its maintenance so long ahead.
TOLD_BEFORE = timedelta(hours=24)


def tick(*, now: datetime) -> None:
    """One round. Each step is done once, however many workers do it: the database lets one win."""
    for meeting in classes_over(now=now):
        class_labs_end(meetings=[meeting], code="class_over", now=now)
    for meeting in meetings_at_hand(now=now):
        _prepare(meeting, now)
        if meeting.is_open(now):
            class_labs_follow(meeting=meeting)
            _start(meeting, now)
            _give_back(meeting, now)
    for row in maintenance_shown(start=now, until=now + TOLD_BEFORE):
        _maintain(row, now)


def _prepare(meeting: Meeting, now: datetime) -> None:
    """Ask the nodes for its image and tell its people: all of it once, or none of it."""
    with transaction.atomic():
        if meeting_prepared(meeting_id=meeting.pk, now=now):
            _announce(meeting, now)


def _announce(meeting: Meeting, now: datetime) -> None:
    held = meeting.reservation
    image_bring(image=held.image, actor=None, now=now, node_ids=[held.node_id] if held.node_id else None)
    starts, opens = until_words(meeting.starts_at, now, house_zone()), until_words(meeting.opens_at, now, house_zone())
    prepared = held.start == Reservation.Start.PREPARED
    what = "Your lab is started for you shortly before." if prepared else f"From {opens} on you can start your lab on the calendar with one click."
    class_people_tell(meeting=meeting, subject=f"{held} begins at {starts}", words=what, key=f"class:{meeting.pk}:{meeting.starts_at:%Y%m%d%H%M}", now=now)


def _start(meeting: Meeting, now: datetime) -> None:
    """Ask for the labs that are due, a few at a time."""
    if meeting.reservation.start != Reservation.Start.PREPARED:
        return
    without, people = class_people_without(meeting=meeting), people_of(meeting.reservation).count()
    wanted = due(people, meeting.starts_at, now) - (people - len(without))
    for owner in without[: max(min(wanted, AT_ONCE), 0)]:
        try:
            class_lab_request(owner=owner, meeting=meeting, actor=None, now=now)
        except Refused as refused:
            _tell_teacher(meeting, owner, refused.words, now)


def _tell_teacher(meeting: Meeting, owner: User, words: str, now: datetime) -> None:
    """A lab that could not be prepared is news for whoever reserved, once a person."""
    subject = f"No lab of {meeting} could be prepared for {owner}"
    key = f"class-refused:{meeting.pk}:{owner.pk}"
    address = f"/calendar/classes/{meeting.pk}/"
    notice_queue(user=meeting.reservation.created_by, kind="class", subject=subject, words=words, url=address, key=key, until=meeting.ends_at, now=now)


def _give_back(meeting: Meeting, now: datetime) -> None:
    """Some time into the class, cards of labs into which nobody came, and cards that nobody took, go to the queue."""
    grace = timedelta(minutes=meeting.reservation.give_back_min)
    if now < meeting.starts_at + grace:
        return
    for lab in class_labs_unused(meeting=meeting, since=now - grace):
        lab_end(lab_id=lab.pk, code="class_unused", now=now)
    class_give_back(meeting=meeting, grace=grace, now=now)


def _maintain(row: Maintenance, now: datetime) -> None:
    """Tell those whose labs would still run; end the labs where that was planned."""
    for lab in _labs_in_the_way(row):
        if row.starts_at > now:
            _warn(row, lab, now)
        elif row.ends_labs:
            lab_end(lab_id=lab.pk, code="maintenance", now=now, detail=row.words)


def _labs_in_the_way(row: Maintenance) -> list[Lab]:
    late = Q(ends_at=None) | Q(ends_at__gt=row.starts_at)
    return list(Lab.objects.select_related("owner").filter(late, node_id=row.node_id, state__in=states.HOLDING, target=Lab.Target.RUNNING))


def _warn(row: Maintenance, lab: Lab, now: datetime) -> None:
    what = "It will be stopped then. Save your work; files in /workspace stay." if row.ends_labs else "It may be disturbed then. Save your work before."
    notice_queue(
        user=lab.owner,
        kind="maintenance",
        subject=f"Maintenance of {row.node}, where {lab.name} runs",
        words=f"{spell_words(row.starts_at, row.ends_at, house_zone())}: {row.words} {what}",
        url=f"/labs/{lab.pk}/",
        key=f"maintenance:{row.pk}:{lab.pk}",
        until=row.ends_at,
        now=now,
    )
