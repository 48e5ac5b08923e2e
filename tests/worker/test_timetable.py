"""Classes and maintenance by the clock alone: prepared, started, given back, over."""

import threading
from datetime import timedelta

import pytest
from django.db import connection

from labs.fleet.models import NodeImage
from labs.lifecycle.classes import class_lab_request
from labs.lifecycle.holdings import held_by
from labs.lifecycle.models import Lab, Lease
from labs.lifecycle.queueing import wait_of
from labs.lifecycle.services import lab_entered, lab_extend, lab_stop
from labs.notices.models import Notice
from labs.people.errors import Refused
from labs.timetable.models import Meeting
from labs.timetable.services import maintenance_create, meeting_cancel, meeting_change, meeting_release
from tests.labs.timetable.conftest import (  # noqa: F401  (fixtures)
    BEFORE,
    TEN,
    TUESDAY,
    course,
    meeting_of,
    reserved,
    student,
    teacher,
    wish_of,
)
from tests.support.hands import Round, round_of  # noqa: F401  (fixture)
from worker.loops import timetable

pytestmark = pytest.mark.django_db(transaction=True)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def day(node, round_of):
    """A house whose clock stands where the test puts it."""
    house: Round = round_of()
    node_of = type(node)

    def at(moment, rounds: int = 3) -> Round:
        house.now = moment
        for _ in range(rounds):
            node_of.objects.update(heartbeat_at=house.now)
            timetable.tick(now=house.now)
            house.tick()
            house.now += timedelta(seconds=1)
        return house

    return at


def lab_of_person(user) -> Lab:
    return Lab.objects.filter(owner=user).latest("requested_at")


def test_an_hour_ahead_the_image_is_asked_for_and_everybody_told_once(meeting_of, student, teacher, day, node):
    meeting = meeting_of()
    NodeImage.objects.update(state="absent")
    day(TEN - timedelta(minutes=61))
    assert not Notice.objects.exists()
    NodeImage.objects.update(state="failed", tries=3)
    day(TEN - timedelta(minutes=59))
    assert NodeImage.objects.get().tries == 0
    assert {(one.user, one.subject) for one in Notice.objects.all()} == {(person, "Vision 101 begins at 10:00") for person in (student, teacher)}
    assert Meeting.objects.get(pk=meeting.pk).prepared_at is not None


def test_labs_are_prepared_for_everybody_and_end_with_the_class(meeting_of, student, teacher, day):
    meeting = meeting_of()
    day(TEN - timedelta(minutes=3), rounds=6)
    labs = Lab.objects.filter(meeting=meeting)
    assert {lab.owner for lab in labs} == {student, teacher}
    assert {(lab.state, lab.ends_at, lab.name) for lab in labs} == {("running", meeting.ends_at, "vision-101")}
    for lab in labs:
        lab_entered(lab_id=lab.pk, now=TEN)
    day(TEN + timedelta(minutes=119))
    assert Lab.objects.filter(state="running").count() == 2
    day(meeting.ends_at)
    assert {(lab.state, lab.reason_code) for lab in labs.all()} == {("stopped", "class_over")}
    assert not Lease.objects.filter(closed_at=None).exists()


def test_two_workers_prepare_one_lab_each(meeting_of, student, teacher, day):
    meeting_of()
    for _ in range(5):
        timetable.tick(now=TEN)
        timetable.tick(now=TEN)
    assert sorted(Lab.objects.values_list("owner__email", flat=True)) == ["bob@example.edu", "tina@example.edu"]


def test_whoever_ended_their_lab_gets_no_other_unless_they_ask(meeting_of, student, teacher, day):
    meeting = meeting_of()
    day(TEN, rounds=6)
    lab_stop(lab=lab_of_person(student), actor=student, now=TEN)
    day(TEN + MINUTE, rounds=6)
    assert Lab.objects.filter(owner=student).count() == 1
    class_lab_request(owner=student, meeting=meeting, actor=student, now=TEN + MINUTE * 2)
    day(TEN + MINUTE * 2, rounds=4)
    assert lab_of_person(student).state == "running"


def test_a_stranger_waits_for_a_card_that_is_held_and_gets_it_when_it_is_given_back(meeting_of, lab_of, charlie, student, teacher, day):
    meeting = meeting_of(start="own")
    lab = lab_of(charlie, gpus=1)
    house = day(TEN - timedelta(minutes=5))
    assert Lab.objects.get(pk=lab.pk).state == "queued"
    entry = wait_of(lab=lab, now=house.now)
    assert entry is not None
    assert "held for Vision 101 until 12:00" in " ".join(entry.reasons)
    day(TEN + timedelta(minutes=14))
    assert Lab.objects.get(pk=lab.pk).state == "queued"
    day(TEN + timedelta(minutes=16))
    assert Meeting.objects.get(pk=meeting.pk).cards == 0
    assert Lab.objects.get(pk=lab.pk).state == "running"


def test_a_lab_that_would_still_run_when_the_class_begins_waits_and_a_short_one_does_not(meeting_of, lab_of, charlie, alice, day):
    meeting_of()
    long, short = lab_of(charlie, gpus=1, hours=4), lab_of(alice, gpus=1, hours=1)
    day(TEN - timedelta(hours=2))
    assert Lab.objects.get(pk=long.pk).state == "queued"
    assert Lab.objects.get(pk=short.pk).state == "running"


def test_a_lab_into_which_nobody_came_gives_its_card_back(meeting_of, student, teacher, day):
    meeting = meeting_of()
    day(TEN - timedelta(minutes=1), rounds=6)
    lab_entered(lab_id=lab_of_person(student).pk, now=TEN)
    day(TEN + timedelta(minutes=16), rounds=4)
    assert lab_of_person(student).state == "running"
    assert (lab_of_person(teacher).state, lab_of_person(teacher).reason_code) == ("stopped", "class_unused")
    assert Meeting.objects.get(pk=meeting.pk).cards == 1


def test_a_class_ended_early_frees_everything(meeting_of, lab_of, charlie, student, teacher, day):
    meeting = meeting_of()
    lab = lab_of(charlie, gpus=2)
    day(TEN, rounds=6)
    assert Lab.objects.get(pk=lab.pk).state == "queued"
    meeting_release(meeting=meeting, actor=teacher, now=TEN + MINUTE)
    day(TEN + MINUTE * 2, rounds=6)
    assert lab_of_person(student).reason_code == "class_over"
    assert Lab.objects.get(pk=lab.pk).state == "running"


def test_labs_follow_a_class_that_goes_on_longer(meeting_of, student, teacher, day):
    meeting = meeting_of()
    day(TEN, rounds=6)
    later = meeting.ends_at + timedelta(hours=1)
    meeting_change(meeting=meeting, starts_at=meeting.starts_at, ends_at=later, cards=2, actor=teacher, now=TEN + MINUTE)
    day(TEN + MINUTE * 2)
    assert set(Lab.objects.values_list("ends_at", flat=True)) == {later}


def test_a_lab_that_cannot_be_prepared_is_told_to_who_reserved_once(meeting_of, student, root_admin, image, day):
    meeting_of()
    type(image).objects.update(is_active=False)
    day(TEN, rounds=4)
    told = Notice.objects.filter(user=root_admin, subject__startswith="No lab of Vision 101")
    assert [(one.subject, one.words) for one in told] == [("No lab of Vision 101 could be prepared for Bob", "There is no such image.")]


def test_a_cancelled_class_starts_nothing(meeting_of, student, teacher, day):
    meeting_cancel(meeting=meeting_of(), actor=teacher, now=BEFORE)
    day(TEN, rounds=4)
    assert not Lab.objects.exists()


def test_a_class_lab_counts_for_the_class_and_not_for_the_person(meeting_of, lab_of, student, teacher, day, node):
    """bob's own limit is one GPU and forty GPU-hours: neither stops the class, nor does the class use them up."""
    meeting_of(cards=1, start="own")
    own = lab_of(student, gpus=1, hours=12)
    day(TEN - timedelta(minutes=9))
    class_lab_request(owner=student, meeting=Meeting.objects.first(), actor=student, now=TEN - timedelta(minutes=5))
    day(TEN - timedelta(minutes=4), rounds=4)
    assert Lab.objects.get(pk=own.pk).state == "running"
    assert lab_of_person(student).meeting is not None
    assert lab_of_person(student).state == "running"
    assert held_by(user=student, now=TEN).gpus == 1
    assert held_by(user=student, now=TEN).labs == 1


def test_many_clicks_at_once_make_one_lab(meeting_of, student):
    meeting = meeting_of(start="own")
    answers: list[str] = []

    def click() -> None:
        try:
            class_lab_request(owner=student, meeting=meeting, actor=student, now=TEN)
            answers.append("made")
        except Refused as refused:
            answers.append(refused.words)
        finally:
            connection.close()

    threads = [threading.Thread(target=click) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["You have a lab of Vision 101 already."] * 5 + ["made"]
    assert Lab.objects.count() == 1


def test_a_class_lab_is_refused_in_words(meeting_of, student, teacher, charlie, day):
    meeting = meeting_of(start="own")

    def refusal(owner, now) -> str:
        with pytest.raises(Refused) as refused:
            class_lab_request(owner=owner, meeting=meeting, actor=owner, now=now)
        return refused.value.words

    assert "from Tue 24 Nov 09:50 on" in refusal(student, BEFORE)
    assert "not one of your classes" in refusal(charlie, TEN)
    class_lab_request(owner=student, meeting=meeting, actor=student, now=TEN)
    assert "already" in refusal(student, TEN)
    assert "over" in refusal(teacher, TEN + timedelta(hours=2))
    Meeting.objects.filter(pk=meeting.pk).update(cards=0)
    assert "gave its GPUs back" in refusal(teacher, TEN)


def test_a_class_lab_is_not_extended_beyond_its_class(meeting_of, student, day):
    meeting_of()
    day(TEN, rounds=6)
    with pytest.raises(Refused, match="ends with it"):
        lab_extend(lab=lab_of_person(student), hours=4, actor=student, now=TEN)


def test_more_people_than_cards_wait_in_words_and_take_no_other_cards(meeting_of, student, teacher, day):
    meeting = meeting_of(cards=1)
    house = day(TEN, rounds=6)
    states = sorted(Lab.objects.filter(meeting=meeting).values_list("state", flat=True))
    assert states == ["queued", "running"]
    entry = wait_of(lab=Lab.objects.get(state="queued"), now=house.now)
    assert entry is not None
    assert "Vision 101" in " ".join(entry.reasons)


def test_people_on_a_node_are_told_of_its_maintenance_once_and_their_labs_end_where_that_was_planned(lab_of, alice, root_admin, node, day):
    lab = lab_of(alice, hours=24)
    day(TEN - timedelta(hours=3))
    spell = {"node": node, "words": "New disks.", "actor": root_admin, "now": TEN - timedelta(hours=2)}
    maintenance_create(starts_at=TEN, ends_at=TEN + timedelta(hours=1), ends_labs=True, **spell)
    day(TEN - timedelta(hours=1))
    assert Notice.objects.get(kind="maintenance").user == alice
    assert "10:00–11:00: New disks. It will be stopped then." in Notice.objects.get(kind="maintenance").words
    day(TEN + MINUTE, rounds=4)
    ended = Lab.objects.get(pk=lab.pk)
    assert (ended.state, ended.reason_code) == ("stopped", "maintenance")
    other = lab_of(alice)
    house = day(TEN + MINUTE * 2)
    entry = wait_of(lab=other, now=house.now)
    assert entry is not None
    assert "maintenance until 11:00" in " ".join(entry.reasons)
    day(TEN + timedelta(minutes=61))
    assert Lab.objects.get(pk=other.pk).state == "running"


def test_a_lab_is_not_extended_into_a_class_that_needs_its_cards(lab_of, charlie, meeting_of, day):
    lab = lab_of(charlie, gpus=1, hours=2)
    day(TEN - timedelta(hours=4))
    meeting_of()

    def extend(hours: int) -> None:
        lab_extend(lab=Lab.objects.get(pk=lab.pk), hours=hours, actor=charlie, now=TEN - timedelta(hours=3))

    with pytest.raises(Refused, match=r"It can run until 10:00: its GPUs are needed for a class then \(Vision 101 holds 2\)"):
        extend(5)
    extend(3)
    Meeting.objects.update(cards=1)
    extend(5)


def test_a_lab_is_not_extended_into_maintenance_of_its_node(lab_of, alice, root_admin, node, day):
    lab = lab_of(alice, hours=2)
    day(TEN - timedelta(hours=4))
    spell = {"node": node, "words": "New disks", "ends_labs": False, "actor": root_admin, "now": BEFORE}
    maintenance_create(starts_at=TEN, ends_at=TEN + timedelta(hours=1), **spell)
    with pytest.raises(Refused, match=r"until 10:00: n1 is under maintenance \(New disks\)"):
        lab_extend(lab=Lab.objects.get(pk=lab.pk), hours=5, actor=alice, now=TEN - timedelta(hours=3))


def test_a_class_on_slices_gives_each_a_slice(meeting_of, student, teacher, day, node):
    card = node.gpus.first()
    type(card).objects.filter(pk=card.pk).update(mig=True)
    for number in range(3):
        node.gpus.create(uuid=f"MIG-{number}", parent=card, index=0, model="NVIDIA H200", profile="1g.18gb", share=1 / 7, memory_mib=18000)
    meeting = meeting_of(unit="slice", cards=3)
    day(TEN, rounds=6)
    held = Lease.objects.filter(lab__meeting=meeting, closed_at=None)
    assert {lease.gpu_id[:4] for lease in held} == {"MIG-"}
    assert held.count() == 2
