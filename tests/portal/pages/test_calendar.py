"""The calendar: who sees what, who may reserve, and what the pages say before and after a click."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_assign, lab_ready
from labs.timetable.models import Maintenance, Meeting, Reservation
from labs.timetable.services import maintenance_create, meeting_cancel, reservation_create
from tests.labs.timetable.conftest import course, student, teacher, wish_of  # noqa: F401  (fixtures)

pytestmark = pytest.mark.django_db


@pytest.fixture
def as_teacher(teacher: Any) -> Client:
    client = Client()
    client.force_login(teacher, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


@pytest.fixture
def as_student(student: Any) -> Client:
    client = Client()
    client.force_login(student, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


@pytest.fixture
def meeting(wish_of: Callable[..., Any], root_admin: Any) -> Meeting:
    """A class that goes on now, for an hour more."""
    now = timezone.now()
    day = timezone.localdate()
    made = reservation_create(
        wish=wish_of(start="own", weekdays=tuple(range(7)), first_day=day, last_day=day + timedelta(days=1)),
        actor=root_admin,
        now=now - timedelta(days=1),
    )
    first = made.meetings.first()
    assert first
    Meeting.objects.filter(pk=first.pk).update(starts_at=now - timedelta(minutes=5), ends_at=now + timedelta(hours=1))
    return Meeting.objects.get(pk=first.pk)


def posted(course: Any, picture: Any, /, **more: object) -> dict[str, object]:
    """What the form sends."""
    first = timezone.localdate() + timedelta(days=7)
    return {
        "title": "Vision 101", "group": course.pk, "people": "", "weekdays": list(range(7)), "from_time": "10:00", "to_time": "12:00",
        "first_day": first.isoformat(), "last_day": (first + timedelta(days=6)).isoformat(), "without": "", "image": picture.pk, "start": "prepared",
        "cards": 2, "unit": "card", "gpu_model": "", "node": "", "gpus": 1, "cpus": 2, "memory_gib": 4, "give_back_min": 15,
    } | more  # fmt: skip


def test_an_empty_week_says_what_would_stand_there(as_alice: Client, as_root: Client) -> None:
    assert "Nothing is set aside this week" in as_alice.get(reverse("calendar")).content.decode()
    assert "Reserve for a class" not in as_alice.get(reverse("calendar")).content.decode()
    assert "Reserve for a class" in as_root.get(reverse("calendar")).content.decode()


def test_strangers_are_asked_to_sign_in(client: Client) -> None:
    assert client.get(reverse("calendar")).status_code == 302


def test_everybody_sees_a_class_and_its_members_a_button(as_charlie: Client, as_student: Client, meeting: Meeting) -> None:
    for_stranger, for_member = as_charlie.get(reverse("calendar")).content.decode(), as_student.get(reverse("calendar")).content.decode()
    assert "Vision 101" in for_stranger
    assert "Start my lab" not in for_stranger
    assert "Start my lab" in for_member
    page = as_charlie.get(reverse("meeting", args=[meeting.pk])).content.decode()
    assert "Start my lab" not in page
    assert "Only this time" not in page


@pytest.mark.parametrize("week", ["2026-11-25", "nonsense", "0001-01-01", "9999-12-31", "2026-02-30", ""])
def test_any_week_in_the_address_is_a_page(as_alice: Client, week: str) -> None:
    assert as_alice.get(reverse("calendar"), {"week": week}).status_code == 200


def test_a_running_lab_is_named_to_its_owner_and_to_nobody_else(as_alice: Client, as_charlie: Client, as_root: Client, alice: Any, lab_of: Any) -> None:
    lab, now = lab_of(alice, gpus=1, name="secret-plan", hours=2), timezone.now()
    lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=["GPU-00000000-test"], now=now)
    lab_ready(lab_id=lab.pk, attempt=1, verified={}, not_held=[], now=now)
    assert "secret-plan" in as_alice.get(reverse("calendar")).content.decode()
    page = as_charlie.get(reverse("calendar")).content.decode()
    assert "secret-plan" not in page
    assert "somebody's lab" in page
    assert "of Alice" in as_root.get(reverse("calendar")).content.decode()


def test_a_teacher_reserves_and_lands_on_the_first_time(as_teacher: Client, course: Any, image: Any, node: Any) -> None:
    answer = as_teacher.post(reverse("reserve"), posted(course, image), follow=True)
    assert answer.status_code == 200
    assert "Vision 101 is reserved" in answer.content.decode()
    assert Reservation.objects.get().meetings.count() == 7


def test_a_student_does_not_reserve(as_student: Client, course: Any, image: Any, node: Any) -> None:
    assert as_student.get(reverse("reserve")).status_code == 403
    assert as_student.post(reverse("reserve"), posted(course, image)).status_code == 403
    assert not Reservation.objects.exists()


def test_a_teacher_is_offered_their_own_course_alone(as_teacher: Client, course: Any, team: Any, image: Any, node: Any) -> None:
    assert [group for group, _ in as_teacher.get(reverse("reserve")).context["form"].fields["group"].choices] == ["", course.pk]
    answer = as_teacher.post(reverse("reserve"), posted(course, image, group=team.pk))
    assert answer.status_code == 422
    assert not Reservation.objects.exists()


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"title": ""}, "required"), ({"weekdays": []}, "required"), ({"weekdays": [9]}, "9"), ({"first_day": "soon"}, "valid date"),
        ({"cards": 0}, "greater than or equal to 1"), ({"cards": 9}, "A teacher may set aside 8"), ({"cards": 3}, "3 are asked for and 2 are left"),
        ({"gpus": 4}, "at least 4"), ({"without": "24.12."}, "Write days as"), ({"without": "2026-02-31"}, "no day"),
        ({"without": "2027-01-02 – 2027-01-01"}, "ends before it begins"), ({"people": "nobody@example.edu"}, "Nobody here has the address"),
        ({"image": 999}, "valid choice"), ({"node": "x"}, "valid choice"), ({"gpu_model": "Imaginary"}, "valid choice"), ({"memory_gib": 10**30}, "less than"),
        ({"to_time": "10:00"}, "ends when it begins"), ({"start": "never"}, "valid choice"),
    ],
    ids=str,
)  # fmt: skip
def test_bad_input_is_told_beside_the_control_and_changes_nothing(as_teacher: Client, course: Any, image: Any, node: Any, bad: dict, words: str) -> None:
    answer = as_teacher.post(reverse("reserve"), posted(course, image, **bad))
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not Reservation.objects.exists()


def test_the_form_says_before_the_click_what_clashes(as_teacher: Client, course: Any, image: Any, node: Any) -> None:
    wish = posted(course, image)
    assert "Can be reserved" in as_teacher.get(reverse("reserve_verdict"), wish).content.decode()
    as_teacher.post(reverse("reserve"), wish)
    page = as_teacher.get(reverse("reserve_verdict"), wish).content.decode()
    assert "Vision 101 holds 2" in page
    assert "disabled" in page
    assert not Reservation.objects.exclude(title="Vision 101").exists()


def test_the_form_says_when_there_are_more_people_than_labs(as_teacher: Client, course: Any, student: Any, image: Any, node: Any) -> None:
    assert "2 people and room for 1 lab at once" in as_teacher.get(reverse("reserve_verdict"), posted(course, image, cards=1)).content.decode()


def test_a_series_is_changed_cancelled_and_taken_back(as_teacher: Client, course: Any, image: Any, node: Any) -> None:
    as_teacher.post(reverse("reserve"), posted(course, image))
    row = Reservation.objects.get()
    address = reverse("reservation", args=[row.pk])
    assert "Can be reserved" in as_teacher.get(address).content.decode()
    assert as_teacher.post(address, posted(course, image, title="Vision 102", without=row.first_day.isoformat())).status_code == 302
    assert (Reservation.objects.get().title, Meeting.objects.count()) == ("Vision 102", 6)
    page = as_teacher.post(reverse("reservation_off", args=[row.pk]), follow=True).content.decode()
    assert "Take the series back" in page
    as_teacher.post(reverse("reservation_on", args=[row.pk]))
    assert all(meeting.stands for meeting in Meeting.objects.all())


def test_what_one_may_not_change_does_not_exist(as_student: Client, as_charlie: Client, meeting: Meeting) -> None:
    row = meeting.reservation
    for client in (as_student, as_charlie):
        assert client.get(reverse("reservation", args=[row.pk])).status_code == 404
        for name, pk in [("reservation_off", row.pk), ("reservation_on", row.pk)]:
            assert client.post(reverse(name, args=[pk])).status_code == 404
        for name in ("meeting_edit", "meeting_off", "meeting_on", "meeting_end"):
            assert client.post(reverse(name, args=[meeting.pk])).status_code == 404
    assert Meeting.objects.get(pk=meeting.pk).stands


def test_one_meeting_is_changed_left_out_and_brought_back(as_teacher: Client, meeting: Meeting) -> None:
    later = timezone.localtime(meeting.ends_at + timedelta(hours=1))
    sent = {"starts_at": timezone.localtime(meeting.starts_at).isoformat(), "ends_at": f"{later:%Y-%m-%dT%H:%M}", "cards": 1}
    answer = as_teacher.post(reverse("meeting_edit", args=[meeting.pk]), sent | {"ends_at": "2001-01-01T10:00"})
    assert answer.status_code == 422
    assert as_teacher.post(reverse("meeting_off", args=[meeting.pk]), follow=True).status_code == 200
    assert not Meeting.objects.get(pk=meeting.pk).stands
    as_teacher.post(reverse("meeting_on", args=[meeting.pk]))
    assert Meeting.objects.get(pk=meeting.pk).stands


def test_a_member_starts_their_lab_with_one_click(as_student: Client, as_charlie: Client, meeting: Meeting) -> None:
    assert as_charlie.post(reverse("meeting_lab", args=[meeting.pk])).status_code == 404
    answer = as_student.post(reverse("meeting_lab", args=[meeting.pk]))
    lab = Lab.objects.get()
    assert answer["Location"] == reverse("lab", args=[lab.pk])
    assert (lab.meeting, lab.gpus, lab.name) == (meeting, 1, "vision-101")
    assert "already" in as_student.post(reverse("meeting_lab", args=[meeting.pk]), follow=True).content.decode()
    assert "is your lab of this class" in as_student.get(reverse("meeting", args=[meeting.pk])).content.decode()


def test_a_teacher_sees_who_is_there_and_a_student_does_not(as_teacher: Client, as_student: Client, meeting: Meeting) -> None:
    as_student.post(reverse("meeting_lab", args=[meeting.pk]))
    page = as_teacher.get(reverse("meeting", args=[meeting.pk])).content.decode()
    assert "Who is there" in page
    assert "none yet" in page
    assert "Who is there" not in as_student.get(reverse("meeting", args=[meeting.pk])).content.decode()


def test_a_teacher_ends_the_class_and_the_page_says_so(as_teacher: Client, meeting: Meeting) -> None:
    assert "End it now" in as_teacher.get(reverse("meeting", args=[meeting.pk])).content.decode()
    assert "ended early" in as_teacher.post(reverse("meeting_end", args=[meeting.pk]), follow=True).content.decode()


def test_a_cancelled_class_stays_on_the_calendar_struck_out(as_charlie: Client, meeting: Meeting, root_admin: Any) -> None:
    meeting_cancel(meeting=meeting, actor=root_admin, now=timezone.now())
    assert "block-off" in as_charlie.get(reverse("calendar")).content.decode()


def test_maintenance_is_read_by_everybody_and_planned_by_administrators(as_root: Client, as_alice: Client, as_teacher: Client, node: Any) -> None:
    start = timezone.localtime() + timedelta(hours=2)
    sent = {"node": node.pk, "starts_at": f"{start:%Y-%m-%dT%H:%M}", "ends_at": f"{start + timedelta(hours=1):%Y-%m-%dT%H:%M}", "words": "New disks"}
    for client in (as_alice, as_teacher):
        assert client.post(reverse("maintenance_add"), sent).status_code == 403
    assert as_root.post(reverse("maintenance_add"), sent | {"words": ""}).status_code == 422
    assert as_root.post(reverse("maintenance_add"), sent, follow=True).status_code == 200
    assert "New disks" in as_alice.get(reverse("maintenance")).content.decode()
    assert "n1 closed" in as_alice.get(reverse("calendar"), {"week": f"{start:%Y-%m-%d}"}).content.decode()
    row = Maintenance.objects.get()
    assert as_alice.post(reverse("maintenance_off", args=[row.pk])).status_code == 403
    as_root.post(reverse("maintenance_off", args=[row.pk]))
    assert "New disks" not in as_alice.get(reverse("maintenance")).content.decode()


def test_the_calendar_costs_few_queries_however_full_it_is(
    as_charlie: Client, meeting: Meeting, wish_of: Any, root_admin: Any, node: Any, django_assert_max_num_queries: Any
) -> None:
    day, now = timezone.localdate(), timezone.now()
    for hour in range(0, 20, 2):
        times = {"from_time": now.time().replace(hour=hour, minute=0, microsecond=0), "to_time": now.time().replace(hour=hour + 1, minute=0, microsecond=0)}
        spell = {"weekdays": tuple(range(7)), "first_day": day + timedelta(days=2), "last_day": day + timedelta(days=8)}
        reservation_create(wish=wish_of(**spell, **times), actor=root_admin, now=now)
    start = now + timedelta(days=20)
    maintenance_create(node=node, starts_at=start, ends_at=start + timedelta(hours=1), words="x", ends_labs=False, actor=root_admin, now=now)
    with django_assert_max_num_queries(20):
        as_charlie.get(reverse("calendar"))
