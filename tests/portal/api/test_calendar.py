"""The calendar by the API: everybody reads, teachers reserve."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from labs.timetable.models import Meeting, Reservation
from labs.timetable.services import maintenance_create, reservation_create
from tests.labs.timetable.conftest import BEFORE, TEN, course, student, teacher, wish_of  # noqa: F401  (fixtures)

pytestmark = pytest.mark.django_db
SPELL = {"since": BEFORE.isoformat(), "until": (TEN + timedelta(days=21)).isoformat()}


@pytest.fixture
def body(course: Any, image: Any, node: Any) -> dict[str, Any]:
    first = timezone.localdate() + timedelta(days=7)
    last = first + timedelta(days=6)
    return {
        "title": "Vision 101", "group": course.pk, "weekdays": [0, 1, 2, 3, 4, 5, 6], "from_time": "10:00", "to_time": "12:00",
        "first_day": first.isoformat(), "last_day": last.isoformat(), "without": [{"first": last.isoformat(), "last": last.isoformat()}],
        "image": image.pk, "cards": 2, "people": ["alice@example.edu"],
    }  # fmt: skip


def test_everybody_reads_what_is_set_aside(calls: Any, charlie: Any, root_admin: Any, wish_of: Any, node: Any) -> None:
    made = reservation_create(wish=wish_of(), actor=root_admin, now=BEFORE)
    spell = {"starts_at": TEN + timedelta(days=1), "ends_at": TEN + timedelta(days=2), "ends_labs": False, "now": BEFORE}
    maintenance_create(node=node, words="New disks", actor=root_admin, **spell)
    read = calls(charlie, "read").get("/calendar", **SPELL)
    assert read.status_code == 200
    items = read.json()["items"]
    assert [(item["kind"], item["title"]) for item in items[:2]] == [("class", "Vision 101"), ("maintenance", "New disks")]
    assert {item["series"] for item in items if item["kind"] == "class"} == {made.pk}
    assert items[0]["starts_at"] == "2026-11-24T10:00:00Z"


def test_a_spell_that_is_none_is_refused_in_words(calls: Any, charlie: Any) -> None:
    answer = calls(charlie).get("/calendar", since="2026-11-24T10:00:00", until="2027-11-24T10:00:00")
    assert answer.status_code == 422
    assert "62 days" in answer.json()["detail"]


def test_a_teacher_reserves_and_cancels(calls: Any, teacher: Any, alice: Any, body: dict[str, Any]) -> None:
    caller = calls(teacher)
    made = caller.post("/reservations", body)
    assert made.status_code == 201, made.content
    assert len(made.json()["meetings"]) == 6
    clash = caller.post("/reservations", body)
    assert clash.status_code == 422
    assert clash.json()["code"] == "clash"
    assert "Vision 101 holds 2" in clash.json()["detail"]
    assert caller.post(f"/reservations/{made.json()['id']}/cancel", None).json()["cancelled"]


def test_a_member_starts_their_lab_of_a_class_and_a_stranger_does_not(calls: Any, student: Any, charlie: Any, root_admin: Any, wish_of: Any) -> None:
    meeting = reservation_create(wish=wish_of(start="own"), actor=root_admin, now=BEFORE).meetings.first()
    assert meeting
    address = f"/classes/{meeting.pk}/lab"
    assert calls(student).post(address).status_code == 409
    Meeting.objects.filter(pk=meeting.pk).update(starts_at=timezone.now(), ends_at=timezone.now() + timedelta(hours=1))
    assert calls(charlie).post(address).status_code == 404
    made = calls(student).post(address)
    assert made.status_code == 201, made.content
    assert made.json()["name"] == "vision-101"
    assert calls(student).post(address).json()["detail"] == "You have a lab of Vision 101 already."


def test_others_neither_reserve_nor_cancel(calls: Any, teacher: Any, student: Any, alice: Any, body: dict[str, Any]) -> None:
    assert calls(student).post("/reservations", body).status_code == 422
    assert calls(teacher, "read").post("/reservations", body).status_code == 403
    made = calls(teacher).post("/reservations", body).json()
    assert calls(student).post(f"/reservations/{made['id']}/cancel", None).status_code == 404
    assert Reservation.objects.get().cancelled_at is None


@pytest.mark.parametrize(
    ("bad", "field"),
    [({"weekdays": [7]}, "weekdays"), ({"first_day": "2026-02-31"}, "first_day"), ({"image": 10**9}, "image"), ({"node": "nowhere"}, "node"),
     ({"group": 10**9}, "group"), ({"people": ["nobody@example.edu"]}, "people"), ({"first_day": "9999-12-31", "last_day": "9999-12-31"}, "first_day")],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_names_its_field(calls: Any, root_admin: Any, alice: Any, body: dict[str, Any], bad: dict[str, Any], field: str) -> None:
    answer = calls(root_admin).post("/reservations", body | bad)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert not Reservation.objects.exists()
