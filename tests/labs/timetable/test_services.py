"""Reserving: who may, what clashes, one time or all of them, and back again."""

import threading
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from labs.ledger.queries import events_of
from labs.notices.models import Notice
from labs.people.errors import Refused
from labs.people.models import Role
from labs.people.services import group_create
from labs.policy.services import group_limits_set
from labs.timetable.models import Maintenance, Meeting, Reservation
from labs.timetable.queries import class_preview, holds_between, reservation_for_editor
from labs.timetable.services import (
    maintenance_cancel,
    maintenance_create,
    meeting_cancel,
    meeting_change,
    meeting_release,
    meeting_restore,
    reservation_cancel,
    reservation_change,
    reservation_create,
    reservation_restore,
)
from tests.labs.timetable.conftest import BEFORE, TEN, TUESDAY

pytestmark = pytest.mark.django_db
WEEK = timedelta(days=7)


def test_a_class_of_four_weeks_meets_four_times(reserved):
    found = reserved()
    assert [one.starts_at for one in found.meetings.all()] == [TEN + WEEK * n for n in range(4)]
    assert "was reserved" in events_of(subject=found.subject)[0].words


def test_a_teacher_reserves_for_their_own_course(wish_of, teacher):
    assert reservation_create(wish=wish_of(), actor=teacher, now=BEFORE).created_by == teacher


def test_a_teacher_does_not_reserve_for_others(wish_of, teacher, team):
    with pytest.raises(Refused, match="courses and teams that you are in"):
        reservation_create(wish=wish_of(group=team), actor=teacher, now=BEFORE)


@pytest.mark.parametrize("who", ["alice", "student"])
def test_only_teachers_and_administrators_reserve(wish_of, who, request):
    with pytest.raises(Refused, match="Only teachers"):
        reservation_create(wish=wish_of(), actor=request.getfixturevalue(who), now=BEFORE)


def test_a_teacher_has_a_limit_and_an_administrator_none(wish_of, teacher, root_admin, monkeypatch):
    monkeypatch.setattr(settings, "CLASS_CARDS", 1)
    with pytest.raises(Refused, match="A teacher may set aside 1 at once; 2 are 1 more"):
        reservation_create(wish=wish_of(), actor=teacher, now=BEFORE)
    assert reservation_create(wish=wish_of(), actor=root_admin, now=BEFORE).cards == 2


def test_the_cap_of_a_course_binds_its_classes_too(wish_of, course, root_admin):
    group_limits_set(group=course, values={"gpus": 1}, actor=root_admin, now=BEFORE)
    with pytest.raises(Refused, match="Deep Learning may hold 1 GPUs together, and 2 are 1 more"):
        reservation_create(wish=wish_of(), actor=root_admin, now=BEFORE)
    reservation_create(wish=wish_of(cards=1), actor=root_admin, now=BEFORE)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"title": " "}, "Give it a name"),
        ({"group": None}, "Choose the course"),
        ({"gpus": 3}, "at least 3"),
        ({"cpus": 0}, "at least 1"),
        ({"unit": "slice"}, "No node has 1 such slice"),
        ({"gpu_model": "Imaginary"}, "No node has 1 such card"),
        ({"weekdays": ()}, "at least one day"),
        ({"last_day": TUESDAY - WEEK}, "before the first"),
        ({"last_day": TUESDAY + timedelta(days=400)}, "a year at most"),
        ({"first_day": date(2026, 11, 25), "last_day": date(2026, 11, 26)}, "It never happens"),
        ({"first_day": date(2025, 11, 25), "last_day": date(2025, 12, 26)}, "It never happens"),
    ],
    ids=str,
)
def test_what_can_never_be_is_refused_in_words(wish_of, root_admin, bad, words):
    with pytest.raises(Refused, match=words):
        reservation_create(wish=wish_of(**bad), actor=root_admin, now=BEFORE)
    assert not Reservation.objects.exists()


def test_two_classes_cannot_hold_more_cards_than_there_are(reserved, wish_of, teacher):
    reserved(cards=1)
    with pytest.raises(Refused) as refused:
        reservation_create(wish=wish_of(title="Other", cards=2), actor=teacher, now=BEFORE)
    assert "Tue 24 Nov, 10:00–12:00: 2 are asked for and 1 is left. Vision 101 holds 1." in refused.value.words
    assert "And 1 more times." in refused.value.words
    assert Reservation.objects.count() == 1


def test_a_preview_says_the_same_without_making_it(reserved, wish_of, teacher, student):
    reserved(cards=1)
    seen = class_preview(wish=wish_of(cards=2), actor=teacher, now=BEFORE)
    assert (len(seen.times), seen.people, seen.labs) == (4, 2, 2)
    assert "Vision 101 holds 1" in seen.refusals[0]
    assert not class_preview(wish=wish_of(cards=1), actor=teacher, now=BEFORE).refusals


def test_a_changed_series_leaves_what_was_changed_by_itself(reserved, wish_of, root_admin):
    found = reserved()
    _first, second, third, _ = found.meetings.all()
    meeting_change(meeting=second, starts_at=second.starts_at + timedelta(hours=1), ends_at=second.ends_at, cards=1, actor=root_admin, now=BEFORE)
    meeting_cancel(meeting=third, actor=root_admin, now=BEFORE)
    reservation_change(reservation=found, wish=wish_of(cards=1, from_time=TEN.time().replace(hour=9)), actor=root_admin, now=BEFORE)
    assert [(one.starts_at.hour, one.cards, one.stands) for one in found.meetings.all()] == [(9, 1, True), (11, 1, True), (10, 2, False), (9, 1, True)]


def test_a_changed_series_does_not_clash_with_itself(reserved, wish_of, root_admin):
    found = reserved(cards=2)
    reservation_change(reservation=found, wish=wish_of(title="Vision 102"), actor=root_admin, now=BEFORE)
    assert Reservation.objects.get().title == "Vision 102"


def test_a_cancelled_meeting_frees_its_cards_and_can_be_taken_back_while_they_are_free(meeting_of, reserved, root_admin):
    meeting = meeting_of()
    assert meeting_cancel(meeting=meeting, actor=root_admin, now=BEFORE)
    assert not meeting_cancel(meeting=meeting, actor=root_admin, now=BEFORE)
    meeting_restore(meeting=meeting, actor=root_admin, now=BEFORE)
    assert meeting_cancel(meeting=meeting, actor=root_admin, now=BEFORE)
    reserved(title="Other", last_day=TUESDAY)
    with pytest.raises(Refused, match="Other holds 2"):
        meeting_restore(meeting=meeting, actor=root_admin, now=BEFORE)


def test_a_cancelled_series_comes_back_but_for_what_was_cancelled_before(reserved, root_admin):
    found = reserved()
    meeting_cancel(meeting=found.meetings.all()[1], actor=root_admin, now=BEFORE)
    reservation_cancel(reservation=found, actor=root_admin, now=BEFORE + timedelta(minutes=1))
    assert not holds_between(start=BEFORE, until=TEN + WEEK * 4)
    reservation_restore(reservation=found, actor=root_admin, now=BEFORE + timedelta(minutes=2))
    assert [one.stands for one in found.meetings.all()] == [True, False, True, True]


def test_people_are_told_of_what_changes_soon_and_not_of_what_is_far(reserved, student, root_admin):
    meetings = list(reserved().meetings.all())
    meeting_cancel(meeting=meetings[3], actor=root_admin, now=BEFORE)
    assert not Notice.objects.exists()
    meeting_cancel(meeting=meetings[0], actor=root_admin, now=BEFORE)
    assert Notice.objects.get(user=student).subject == "Vision 101 does not take place"


def test_a_meeting_that_has_begun_can_be_lengthened_and_not_moved(meeting_of, root_admin):
    meeting, now = meeting_of(), TEN + timedelta(minutes=30)
    with pytest.raises(Refused, match="It has begun"):
        meeting_change(meeting=meeting, starts_at=TEN + timedelta(hours=1), ends_at=meeting.ends_at, cards=2, actor=root_admin, now=now)
    longer = meeting_change(meeting=meeting, starts_at=TEN, ends_at=TEN + timedelta(hours=3), cards=2, actor=root_admin, now=now)
    assert longer.length == timedelta(hours=3)


def test_a_teacher_ends_their_class_early_and_once(meeting_of, teacher, student):
    meeting = meeting_of()
    assert not meeting_release(meeting=meeting, actor=teacher, now=BEFORE)
    assert meeting_release(meeting=meeting, actor=teacher, now=TEN)
    assert not meeting_release(meeting=meeting, actor=teacher, now=TEN)
    assert not holds_between(start=TEN, until=TEN + timedelta(hours=1))
    with pytest.raises(Refused):
        meeting_release(meeting=meeting, actor=student, now=TEN)


def test_what_a_person_may_not_change_does_not_exist_for_them(reserved, teacher, student, root_admin):
    found = reserved()
    assert reservation_for_editor(user=teacher, reservation_id=found.pk) == found
    assert reservation_for_editor(user=root_admin, reservation_id=found.pk) == found
    with pytest.raises(Reservation.DoesNotExist):
        reservation_for_editor(user=student, reservation_id=found.pk)


def test_a_demoted_teacher_changes_nothing_any_more(reserved, teacher):
    found = reserved()
    teacher.role = Role.STUDENT
    teacher.save()
    with pytest.raises(Refused):
        reservation_cancel(reservation=found, actor=teacher, now=BEFORE)


def test_the_scheduler_sees_what_is_set_aside(reserved, node, root_admin):
    found = reserved(cards=1, last_day=TUESDAY, node=node)
    maintenance_create(node=node, starts_at=TEN + WEEK, ends_at=TEN + WEEK * 2, words="New disks", ends_labs=False, actor=root_admin, now=BEFORE)
    hold, closure = holds_between(start=BEFORE, until=TEN + WEEK * 2)
    meeting = found.meetings.get()
    assert (hold.id, hold.words, hold.gpus, hold.node_id) == (meeting.hold_id, "Vision 101 until Tue 24 Nov 12:00", 1, node.pk)
    assert (hold.start, hold.until) == (TEN - timedelta(minutes=10), TEN + timedelta(hours=2))
    assert closure.closes and closure.node_id == node.pk and "New disks" in closure.words
    assert holds_between(start=TEN, until=TEN + timedelta(hours=1))[0].words == "Vision 101 until 12:00"


def test_maintenance_does_not_take_a_classs_cards(reserved, node, root_admin, teacher):
    reserved(last_day=TUESDAY)
    spell = {"node": node, "words": "New disks", "ends_labs": False, "now": BEFORE}
    with pytest.raises(Refused, match="n1 is under maintenance"):
        maintenance_create(starts_at=TEN, ends_at=TEN + timedelta(hours=1), actor=root_admin, **spell)
    assert not Maintenance.objects.exists()
    with pytest.raises(Refused, match="administrators"):
        maintenance_create(starts_at=TEN + WEEK, ends_at=TEN + WEEK * 2, actor=teacher, **spell)


def test_a_class_does_not_take_the_cards_of_a_node_in_maintenance(wish_of, node, root_admin):
    window = maintenance_create(node=node, starts_at=TEN, ends_at=TEN + timedelta(hours=1), words="New disks", ends_labs=False, actor=root_admin, now=BEFORE)
    with pytest.raises(Refused, match="n1 is under maintenance"):
        reservation_create(wish=wish_of(), actor=root_admin, now=BEFORE)
    assert maintenance_cancel(maintenance=window, actor=root_admin, now=BEFORE)
    assert not maintenance_cancel(maintenance=window, actor=root_admin, now=BEFORE)
    reservation_create(wish=wish_of(), actor=root_admin, now=BEFORE)


@pytest.mark.django_db(transaction=True)
def test_two_who_reserve_at_once_do_not_both_get_the_last_card(wish_of: Callable, root_admin):
    wishes = [wish_of(title=f"Class {n}", cards=2, last_day=TUESDAY) for n in range(4)]
    answers: list[str] = []

    def go(wish) -> None:
        try:
            reservation_create(wish=wish, actor=root_admin, now=BEFORE)
            answers.append("yes")
        except Refused:
            answers.append("no")
        finally:
            connection.close()

    threads = [threading.Thread(target=go, args=(wish,)) for wish in wishes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["no", "no", "no", "yes"]
    assert Meeting.objects.count() == 1


def test_an_image_that_is_not_for_all_of_the_class_is_refused_by_name(wish_of: Any, root_admin: Any, student: Any, course: Any, team: Any, image: Any) -> None:
    image.groups.set([course])
    assert reservation_create(wish=wish_of(), actor=root_admin, now=BEFORE)
    other = group_create(kind="organisation", name="Others", slug="others", parent=None, actor=root_admin, now=BEFORE)
    image.groups.set([other])
    with pytest.raises(Refused, match=f"not for everybody of the class: {student}") as refused:
        reservation_create(wish=wish_of(title="Again"), actor=root_admin, now=BEFORE)
    assert refused.value.field == "image"
