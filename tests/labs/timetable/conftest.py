"""A course with a teacher and students, and wishes to reserve for it."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

import pytest

from labs.catalogue.models import Image
from labs.fleet.models import Node
from labs.people.models import Group, Membership, User
from labs.people.services import group_create, person_create
from labs.timetable.models import Meeting, Reservation
from labs.timetable.rules import Hours
from labs.timetable.services import reservation_create
from labs.timetable.wishes import ClassWish

#: A Tuesday.
TUESDAY = date(2026, 11, 24)
TEN = datetime(2026, 11, 24, 10, tzinfo=UTC)
BEFORE = TEN - timedelta(days=2)


@pytest.fixture
def course(team: Group, root_admin: User, now: datetime) -> Group:
    """Deep Learning, with bob in it."""
    return group_create(kind="course", name="Deep Learning", slug="dl", parent=team.parent, actor=root_admin, now=now)


@pytest.fixture
def teacher(course: Group, now: datetime) -> User:
    """Who teaches it."""
    return person_create(email="tina@example.edu", display_name="Tina", role="teacher", group=course, actor=None, now=now, password="correct-horse-battery-9")


@pytest.fixture
def student(course: Group, bob: User) -> User:
    """bob, who is in the course."""
    Membership.objects.create(user=bob, group=course)
    return bob


@pytest.fixture
def wish_of(course: Group, image: Image, node: Node) -> Callable[..., ClassWish]:
    """`wish_of(cards=2)`: Tuesdays from ten to twelve for four weeks."""

    def make(**more: object) -> ClassWish:
        hours = {"weekdays": (1,), "from_time": time(10), "to_time": time(12), "first_day": TUESDAY, "last_day": TUESDAY + timedelta(days=21)}
        hours |= {name: more.pop(name) for name in list(more) if name in {*hours, "without"}}
        full = {
            "title": "Vision 101", "group": course, "people": (), "image": image, "start": "prepared", "unit": "card", "cards": 2, "gpu_model": "",
            "node": None, "gpus": 1, "cpus": 2, "memory_gib": 4, "give_back_min": 15, "hours": Hours(**hours),  # type: ignore[arg-type]
        } | more  # fmt: skip
        return ClassWish(**full)  # type: ignore[arg-type]

    return make


@pytest.fixture
def reserved(wish_of: Callable[..., ClassWish], root_admin: User) -> Callable[..., Reservation]:
    """`reserved(cards=1)`: by an administrator, two days before the first time."""
    return lambda **more: reservation_create(wish=wish_of(**more), actor=root_admin, now=BEFORE)


@pytest.fixture
def meeting_of(reserved: Callable[..., Reservation]) -> Callable[..., Meeting]:
    """The first meeting of a new reservation."""

    def make(**more: object) -> Meeting:
        found = reserved(**more).meetings.first()
        assert found is not None
        return found

    return make
