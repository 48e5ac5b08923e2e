"""Reserving, moving, cancelling; and giving back. What clashes with what is set aside already is refused in words."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from labs.bus.bus import publish
from labs.bus.doorbell import ring
from labs.fleet.models import Node
from labs.ledger.services import Actor, event_record
from labs.notices.services import notice_queue
from labs.people.errors import Refused
from labs.people.models import User
from labs.timetable.holdings import demand_of, house_zone, people_of
from labs.timetable.models import Maintenance, Meeting, Reservation
from labs.timetable.rules import Occurrence, spell_words
from labs.timetable.wishes import ClassWish, clash_refuse, right_check, times_clash, wish_check, wish_times

DAY, LONGEST_MAINTENANCE, FARTHEST = timedelta(days=1), timedelta(days=90), timedelta(days=2 * 366)
#: Changes that are nearer than this are told to the class's people.
NEWS = timedelta(days=7)
_FIELDS = ("title", "group", "image", "start", "unit", "cards", "gpu_model", "node", "gpus", "cpus", "memory_gib", "give_back_min")


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two classes that are reserved at once would not see each other: the nodes' rows are the lock."""
    with transaction.atomic():
        list(Node.objects.select_for_update().order_by("pk").values_list("pk"))
        yield


def reservation_create(*, wish: ClassWish, actor: User, now: datetime) -> Reservation:
    """Set cards aside for a class. Refused when it may not be, or when the cards do not suffice at one of its times."""
    wish_check(wish=wish, actor=actor)
    with _one_at_a_time():
        times = wish_times(wish=wish, now=now)
        clash_refuse(found=times_clash(wanted=[wish.demand(one) for one in times]))
        made = Reservation(created_by=actor, created_at=now)
        _write(made, wish)
        Meeting.objects.bulk_create(_meeting(made, one) for one in times)
        _tell(made, "created", f"{made} was reserved: {_wish_words(made, times)}.", actor, now)
    return made


def reservation_change(*, reservation: Reservation, wish: ClassWish, actor: User, now: datetime) -> Reservation:
    """Change the series. What has begun, was cancelled or was changed by itself stays as it is."""
    right_check(actor=actor, group=reservation.group)
    wish_check(wish=wish, actor=actor)
    with _one_at_a_time():
        row = Reservation.objects.select_for_update().get(pk=reservation.pk)
        stay = set(row.meetings.filter(_settled(now)).values_list("day", flat=True))
        times = [one for one in wish_times(wish=wish, now=now) if one.day not in stay]
        replaced = Q(reservation=row) & ~_settled(now)
        clash_refuse(found=times_clash(wanted=[wish.demand(one) for one in times], but=replaced))
        row.meetings.exclude(_settled(now)).delete()
        _write(row, wish)
        Meeting.objects.bulk_create(_meeting(row, one) for one in times)
        _tell(row, "changed", f"{row} was changed: {_wish_words(row, times)}.", actor, now)
    return row


def _settled(now: datetime) -> Q:
    return Q(starts_at__lte=now) | Q(by_hand=True) | Q(cancelled_at__isnull=False) | Q(prepared_at__isnull=False)


def _write(row: Reservation, wish: ClassWish) -> None:
    for name in _FIELDS:
        setattr(row, name, getattr(wish, name))
    hours = wish.hours
    row.title, row.weekdays = wish.title.strip()[:60], sorted(hours.weekdays)
    row.from_time, row.to_time, row.first_day, row.last_day = hours.from_time, hours.to_time, hours.first_day, hours.last_day
    row.without = [[first.isoformat(), last.isoformat()] for first, last in hours.without]
    row.save()
    row.people.set(wish.people)


def _meeting(row: Reservation, at: Occurrence) -> Meeting:
    return Meeting(reservation=row, day=at.day, starts_at=at.starts_at, ends_at=at.ends_at, cards=row.cards)


def reservation_cancel(*, reservation: Reservation, actor: User, now: datetime) -> None:
    """Give back all that is set aside. A meeting that goes on ends now, and its labs with it."""
    right_check(actor=actor, group=reservation.group)
    with transaction.atomic():
        Reservation.objects.filter(pk=reservation.pk, cancelled_at=None).update(cancelled_at=now)
        left = reservation.meetings.filter(ends_at__gt=now, cancelled_at=None)
        coming = left.first()
        left.update(cancelled_at=now)
        _tell(reservation, "cancelled", f"{reservation} was cancelled.", actor, now)
        if coming:
            _told_soon(coming, f"{reservation} does not take place any more", f"All its hours were cancelled, from {_when(coming)} on.", now)


def reservation_restore(*, reservation: Reservation, actor: User, now: datetime) -> None:
    """Undo a cancelling: its times that are still to come, if the cards are still there."""
    right_check(actor=actor, group=reservation.group)
    with _one_at_a_time():
        row = Reservation.objects.select_for_update().get(pk=reservation.pk)
        together = row.meetings.filter(cancelled_at=row.cancelled_at, ends_at__gt=now) if row.cancelled_at else row.meetings.none()
        clash_refuse(found=times_clash(wanted=[demand_of(meeting) for meeting in together.select_related("reservation")]))
        together.update(cancelled_at=None)
        Reservation.objects.filter(pk=row.pk).update(cancelled_at=None)
        _tell(row, "restored", f"{row} takes place after all.", actor, now)


def meeting_change(*, meeting: Meeting, starts_at: datetime, ends_at: datetime, cards: int, actor: User, now: datetime) -> Meeting:
    """Move one meeting, lengthen it, or give it more or fewer cards. Labs of one that goes on end when it ends."""
    with _one_at_a_time():
        row = _meeting_row(meeting, actor)
        _meeting_check(row, starts_at, ends_at, cards, now)
        was, ended = row.starts_at, row.ends_at
        row.starts_at, row.ends_at, row.cards, row.by_hand = starts_at, ends_at, cards, True
        _cards_check(row, cards, actor)
        clash_refuse(found=times_clash(wanted=[demand_of(row)], but=Q(pk=row.pk)))
        row.prepared_at = row.prepared_at if starts_at == was else None
        row.save()
        _tell(row.reservation, "moved", f"{row}: now {_when(row)}, with {_cards(row)}.", actor, now)
        if (was, ended) != (starts_at, ends_at):
            _told_soon(row, f"{row} was moved", f"It is now {_when(row)}; it was {spell_words(was, ended, house_zone())}.", now)
    return row


def _meeting_row(meeting: Meeting, actor: User) -> Meeting:
    row = Meeting.objects.select_for_update(of=("self",)).select_related("reservation__group", "reservation__node").get(pk=meeting.pk)
    right_check(actor=actor, group=row.reservation.group)
    return row


def _meeting_check(row: Meeting, starts_at: datetime, ends_at: datetime, cards: int, now: datetime) -> None:
    if not row.stands or row.ends_at <= now:
        raise Refused("It does not take place, or is over.", code="state")
    _spell_check(starts_at, ends_at, now, most=DAY)
    if row.starts_at <= now and starts_at != row.starts_at:
        raise Refused("It has begun: only its end and its cards can change.", field="starts_at")
    if starts_at != row.starts_at and starts_at < now:
        raise Refused("That is in the past.", field="starts_at")
    if cards < row.reservation.gpus:
        raise Refused(f"Each lab needs {row.reservation.gpus}.", field="cards")


def _spell_check(starts_at: datetime, ends_at: datetime, now: datetime, *, most: timedelta) -> None:
    if ends_at <= max(starts_at, now):
        raise Refused("It ends before it begins, or in the past.", field="ends_at")
    if ends_at - starts_at > most:
        raise Refused(f"It may last {most.days} day{'' if most.days == 1 else 's'} at most.", field="ends_at")
    if starts_at - now > FARTHEST:
        raise Refused("That is too far away: plan it when it is nearer.", field="starts_at")


def _cards_check(row: Meeting, cards: int, actor: User) -> None:
    """A teacher's limit holds for one meeting as for the series."""
    most = max(settings.CLASS_CARDS, row.reservation.cards)
    if cards > most and not actor.is_administrator:
        raise Refused(f"You may set aside {most} at once. Ask an administrator for more.", field="cards", code="over_limit")


def meeting_cancel(*, meeting: Meeting, actor: User, now: datetime) -> bool:
    """Leave one meeting out. False when it was cancelled already, or is over."""
    with transaction.atomic():
        row = _meeting_row(meeting, actor)
        if not Meeting.objects.filter(pk=row.pk, cancelled_at=None, released_at=None, ends_at__gt=now).update(cancelled_at=now):
            return False
        _tell(row.reservation, "meeting_cancelled", f"{row} on {_when(row)} was cancelled.", actor, now)
        _told_soon(row, f"{row} does not take place", f"The class of {_when(row)} was cancelled.", now)
    return True


def meeting_restore(*, meeting: Meeting, actor: User, now: datetime) -> None:
    """Let a cancelled meeting take place after all, if the cards are still there."""
    with _one_at_a_time():
        row = _meeting_row(meeting, actor)
        if row.cancelled_at is None or row.ends_at <= now:
            raise Refused("It was not cancelled, or is over.", code="state")
        clash_refuse(found=times_clash(wanted=[demand_of(row)]))
        Meeting.objects.filter(pk=row.pk).update(cancelled_at=None)
        _tell(row.reservation, "meeting_restored", f"{row} on {_when(row)} takes place after all.", actor, now)
        _told_soon(row, f"{row} takes place after all", f"The class of {_when(row)} was cancelled before, and is not any more.", now)


def meeting_release(*, meeting: Meeting, actor: User, now: datetime) -> bool:
    """End a meeting early: its cards go to the queue and its labs end. False when it does not go on."""
    with transaction.atomic():
        row = _meeting_row(meeting, actor)
        if not row.is_open(now) or not Meeting.objects.filter(pk=row.pk, released_at=None, cancelled_at=None).update(released_at=now):
            return False
        _tell(row.reservation, "released", f"{row} was ended early; {_cards(row)} went back to the queue.", actor, now)
    return True


def meeting_prepared(*, meeting_id: int, now: datetime) -> bool:
    """Note that images were asked for and people told; True for the one who noted it first."""
    return bool(Meeting.objects.filter(pk=meeting_id, prepared_at=None).update(prepared_at=now))


def meeting_give_back(*, meeting: Meeting, keep: int, now: datetime) -> bool:
    """Keep only so many cards: nobody used the others. False when it kept no more before."""
    with transaction.atomic():
        if not Meeting.objects.filter(pk=meeting.pk, cards__gt=keep).update(cards=keep):
            return False
        words = f"{meeting}: {meeting.cards - keep} of {_cards(meeting)} were not used and went back to the queue."
        _tell(meeting.reservation, "given_back", words, None, now)
    return True


def class_people_tell(*, meeting: Meeting, subject: str, words: str, key: str, now: datetime) -> None:
    """Tell the people of a class, each once for the same `key`; nothing of what is over when it could be sent."""
    for user in people_of(meeting.reservation):
        notice_queue(user=user, kind="class", subject=subject, words=words, url="/calendar/", key=f"{key}:{user.pk}", until=meeting.ends_at, now=now)


def maintenance_create(*, node: Node, starts_at: datetime, ends_at: datetime, words: str, ends_labs: bool, actor: User, now: datetime) -> Maintenance:
    """Close a node for a while. Refused when a class would then lack cards."""
    _administrator_check(actor)
    if not words.strip():
        raise Refused("Say what is done, so that people know why they wait.", field="words")
    _spell_check(starts_at, ends_at, now, most=LONGEST_MAINTENANCE)
    with _one_at_a_time():
        row = Maintenance(node=node, starts_at=starts_at, ends_at=ends_at, words=words.strip()[:200], ends_labs=ends_labs, created_by=actor, created_at=now)
        row.save()
        meetings = Meeting.objects.select_related("reservation").filter(
            ends_at__gt=max(starts_at, now), starts_at__lt=ends_at, cancelled_at=None, released_at=None
        )
        for meeting in meetings:
            clash_refuse(found=times_clash(wanted=[demand_of(meeting)], but=Q(pk=meeting.pk)))
        _tell_of(row, "created", f"Maintenance of {row}, {spell_words(starts_at, ends_at, house_zone())}.", actor, now)
    return row


def maintenance_cancel(*, maintenance: Maintenance, actor: User, now: datetime) -> bool:
    """Call it off, or end one that goes on. False when that was done already."""
    _administrator_check(actor)
    with transaction.atomic():
        if not Maintenance.objects.filter(pk=maintenance.pk, cancelled_at=None, ends_at__gt=now).update(cancelled_at=now):
            return False
        _tell_of(maintenance, "cancelled", f"Maintenance of {maintenance} is over or was called off.", actor, now)
    return True


def _administrator_check(actor: User) -> None:
    if not actor.is_administrator:
        raise Refused("Maintenance is planned by administrators.", code="role")


def _tell(row: Reservation, kind: str, words: str, actor: Actor | None, now: datetime) -> None:
    event_record(kind=f"reservation.{kind}", subject=row.subject, words=words, actor=actor, now=now)
    _announce()


def _tell_of(row: Maintenance, kind: str, words: str, actor: Actor, now: datetime) -> None:
    event_record(kind=f"maintenance.{kind}", subject=row.subject, words=words, actor=actor, now=now, node=row.node_id)
    _announce()


def _told_soon(row: Meeting, subject: str, words: str, now: datetime) -> None:
    """Changes of the next week are news; later ones are read on the calendar in time."""
    if row.starts_at - now < NEWS:
        class_people_tell(meeting=row, subject=subject, words=words, key=f"class:{row.pk}:{now.timestamp():.0f}", now=now)


def _announce() -> None:
    publish("queue", "timetable")
    ring("worker.schedule")


def _wish_words(row: Reservation, times: list[Occurrence]) -> str:
    first = spell_words(times[0].starts_at, times[0].ends_at, house_zone()) if times else "no other time"
    more = f" and {len(times) - 1} more times" if len(times) > 1 else ""
    return f"{row.cards} {row.get_unit_display()}, {first}{more}"


def _when(row: Meeting) -> str:
    return spell_words(row.starts_at, row.ends_at, house_zone())


def _cards(row: Meeting) -> str:
    return f"{row.cards} {row.reservation.get_unit_display()}"
