"""Labs of classes: asked for by their people or prepared for them, on the class's cards and until its end."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from labs.ledger.services import Actor
from labs.lifecycle import states
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_announce, lab_end
from labs.lifecycle.occupancy import ANY_SLICE
from labs.lifecycle.services import lab_request
from labs.lifecycle.wishes import Wish
from labs.people.errors import Refused
from labs.people.models import User
from labs.timetable.holdings import house_zone, people_of
from labs.timetable.models import Meeting
from labs.timetable.rules import lab_hours, until_words
from labs.timetable.services import meeting_give_back


def class_wish(*, meeting: Meeting, now: datetime, name: str = "") -> Wish:
    """What each lab of the class asks for."""
    held = meeting.reservation
    return Wish(
        image_id=held.image_id,
        gpus=held.gpus,
        cpus=held.cpus,
        memory_gib=held.memory_gib,
        hours=lab_hours(now, meeting.ends_at),
        gpu_model=held.gpu_model,
        name=name,
        may_borrow=False,
        wants_slice=ANY_SLICE if held.is_slice else "",
    )


def class_lab_request(*, owner: User, meeting: Meeting, now: datetime, actor: Actor | None) -> Lab:
    """A lab on the class's cards for one of its people: one at a time. Refused when the class is not open, or gave its cards back."""
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=owner.pk)
        row = Meeting.objects.select_for_update(of=("self",)).select_related("reservation").get(pk=meeting.pk)
        _open_check(row, owner, now)
        name = _name(row, owner)
        return lab_request(owner=owner, wish=class_wish(meeting=row, now=now, name=name), now=now, actor=actor, meeting=row)


def _open_check(meeting: Meeting, owner: User, now: datetime) -> None:
    if not people_of(meeting.reservation).filter(pk=owner.pk).exists():
        raise Refused(f"{meeting} is not one of your classes.", code="role")
    if meeting.stands and now < meeting.opens_at:
        raise Refused(f"Labs of {meeting} can be started from {until_words(meeting.opens_at, now, house_zone())} on.", code="state")
    if not meeting.is_open(now):
        raise Refused(f"{meeting} is over, or was cancelled.", code="state")
    if meeting.cards < meeting.reservation.gpus:
        raise Refused(f"{meeting} gave its GPUs back because nobody used them. Launch a lab of your own.", code="state")
    if meeting.labs.filter(owner=owner, state__in=states.LIVE).exists():
        raise Refused(f"You have a lab of {meeting} already.", code="state")


def _name(meeting: Meeting, owner: User) -> str:
    """`vision-101`, or a name of ours where that is taken or is none."""
    name = re.sub(r"[^a-z0-9]+", "-", meeting.reservation.title.lower()).lstrip("-0123456789")[:32].rstrip("-")
    taken = Lab.objects.filter(owner=owner, name=name, state__in=states.LIVE).exists()
    return "" if taken else name


def class_people_without(*, meeting: Meeting) -> list[User]:
    """Its people for whom no lab was asked yet; whoever ended theirs gets no other by itself."""
    return list(people_of(meeting.reservation).exclude(labs__meeting=meeting))


def class_roster(*, meeting: Meeting) -> list[tuple[User, Lab | None]]:
    """Everybody of the class with their newest lab of it; for whoever teaches it."""
    newest = {lab.owner_id: lab for lab in Lab.objects.filter(meeting=meeting).order_by("requested_at")}
    return [(user, newest.get(user.pk)) for user in people_of(meeting.reservation).order_by("display_name", "pk")]


def class_labs_follow(*, meeting: Meeting) -> int:
    """Let its labs end when it ends, also after it was moved or lengthened; how many did not yet."""
    with transaction.atomic():
        labs = list(Lab.objects.filter(meeting=meeting, state__in=states.LIVE).exclude(ends_at=meeting.ends_at))
        Lab.objects.filter(pk__in=[lab.pk for lab in labs]).update(ends_at=meeting.ends_at)
        for lab in labs:
            lab_announce(lab=lab)
    return len(labs)


def class_labs_end(*, meetings: Iterable[Meeting], code: str, now: datetime) -> int:
    """End what still waits or runs of these classes."""
    labs = Lab.objects.filter(meeting__in=meetings, state__in=(states.QUEUED, states.STARTING, states.RUNNING))
    return sum(lab_end(lab_id=lab_id, code=code, now=now) for lab_id in labs.values_list("pk", flat=True))


def classes_over(*, now: datetime) -> list[Meeting]:
    """Classes that are over, ended early or cancelled while labs of theirs still wait or run."""
    over = Q(ends_at__lte=now) | Q(released_at__isnull=False) | Q(cancelled_at__isnull=False)
    return list(Meeting.objects.filter(over, labs__state__in=(states.QUEUED, states.STARTING, states.RUNNING)).distinct())


def class_labs_unused(*, meeting: Meeting, since: datetime) -> list[Lab]:
    """Running labs of the class that have been there since before the moment, and into which nobody has come."""
    return list(Lab.objects.filter(meeting=meeting, state=states.RUNNING, entered_at=None, started_at__lte=since))


def class_give_back(*, meeting: Meeting, grace: timedelta, now: datetime) -> bool:
    """Give back what the class does not need; under its lock, so that nobody asks for a lab meanwhile."""
    with transaction.atomic():
        row = Meeting.objects.select_for_update(of=("self",)).select_related("reservation").get(pk=meeting.pk)
        return meeting_give_back(meeting=row, keep=_cards_needed(row, grace, now), now=now)


def _cards_needed(meeting: Meeting, grace: timedelta, now: datetime) -> int:
    """Those of each person whose lab lives, or ended not longer ago than the grace."""
    lately = Q(ended_at__gt=now - grace) & ~Q(reason_code="class_unused")
    people = Lab.objects.filter(Q(state__in=states.LIVE) | lately, meeting=meeting).values("owner_id").distinct().count()
    return min(people * meeting.reservation.gpus, meeting.cards)
