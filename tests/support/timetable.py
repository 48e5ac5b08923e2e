"""A week with classes and a closed node, for the furnished house."""

from datetime import date, datetime, time, timedelta

from django.utils import timezone

from labs.catalogue.models import Image
from labs.fleet.models import Node
from labs.people.models import Group, User
from labs.timetable.models import Reservation
from labs.timetable.rules import Hours
from labs.timetable.services import maintenance_create, meeting_cancel, reservation_create
from labs.timetable.wishes import ClassWish


def next_monday() -> date:
    """The first day of the week that is furnished."""
    today = timezone.localdate()
    return today + timedelta(days=7 - today.weekday())


def timetable_furnish(*, root: User, now: datetime) -> Reservation:
    """Two series, one meeting of which is cancelled, and maintenance on the weekend; the first series."""
    monday, node = next_monday(), Node.objects.get()
    course, team = Group.objects.get(slug="dl-101"), Group.objects.get(slug="vision")

    def reserve(title: str, group: Group, days: tuple[int, ...], hours: tuple[int, int], cards: int) -> Reservation:
        spell = Hours(days, time(hours[0]), time(hours[1]), monday, monday + timedelta(weeks=12))
        wish = ClassWish(title, group, (), Image.objects.get(slug="pytorch"), "prepared", "card", cards, "", None, 1, 4, 16, 15, spell)
        return reservation_create(wish=wish, actor=root, now=now)

    first = reserve("Deep Learning 101", course, (1, 3), (10, 12), 3)
    lab = reserve("Vision seminar", team, (1, 2, 4), (11, 13), 1)
    meeting_cancel(meeting=lab.meetings.all()[2], actor=root, now=now)
    start = timezone.make_aware(datetime.combine(monday + timedelta(days=5), time(14)))
    maintenance_create(node=node, starts_at=start, ends_at=start + timedelta(hours=20), words="New disks.", ends_labs=True, actor=root, now=now)
    return first
