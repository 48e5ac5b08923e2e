"""Asking for more, granting it for a time, declining it, and what it comes to."""

from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, transaction

from labs.ledger.models import Event
from labs.notices.models import Notice
from labs.people.errors import Refused
from labs.people.models import Group, Membership, User
from labs.people.services import person_create
from labs.policy.asking import grants_end, request_create, request_decline, request_grant, request_withdraw
from labs.policy.models import LimitOverride, QuotaRequest
from labs.policy.queries import limits_of, requests_to_answer
from labs.policy.services import override_clear, override_set

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def teacher(team: Group, now: datetime) -> User:
    """A teacher of alice's and bob's team."""
    return person_create(email="tess@example.edu", display_name="Tess", role="teacher", group=team, actor=None, now=now)


@pytest.fixture
def asked(bob: User, now: datetime) -> QuotaRequest:
    """bob asks for three GPUs and more hours for a week."""
    return request_create(user=bob, asked={"gpus_max": 3, "hours_max": 24, "labs": None}, until=now + 7 * DAY, why="Thesis", now=now)


def _grant(asked: QuotaRequest, actor: User, now: datetime, **values: int) -> LimitOverride:
    return request_grant(request_id=asked.pk, values=values or asked.asked, until=now + 7 * DAY, answer="Good luck", actor=actor, now=now)


def test_a_grant_holds_at_once_and_ends_by_itself(asked: QuotaRequest, bob: User, root_admin: User, now: datetime) -> None:
    _grant(asked, root_admin, now)
    during, after = limits_of(user=bob, now=now), limits_of(user=bob, now=now + 8 * DAY)
    assert (during.gpus_max, during.hours_max, during.gpus) == (3, 24, 1)
    assert (after.gpus_max, after.hours_max) == (1, 12)


def test_a_grant_stands_beside_an_administrators_own_exception(asked: QuotaRequest, bob: User, root_admin: User, now: datetime) -> None:
    override_set(user=bob, values={"gpus_max": 2, "memory_gib": 64}, until=None, note="", actor=root_admin, now=now)
    grant = _grant(asked, root_admin, now)
    assert (limits_of(user=bob, now=now).gpus_max, limits_of(user=bob, now=now).memory_gib) == (3, 64)
    override_set(user=bob, values={"gpus_max": 2}, until=None, note="", actor=root_admin, now=now)
    assert LimitOverride.objects.filter(pk=grant.pk).exists(), "a new exception leaves the grant alone"
    override_clear(override_id=grant.pk, actor=root_admin, now=now)
    assert limits_of(user=bob, now=now).gpus_max == 2


def test_a_grant_never_narrows(asked: QuotaRequest, bob: User, root_admin: User, now: datetime) -> None:
    _grant(asked, root_admin, now)
    override_set(user=bob, values={"gpus_max": 6}, until=None, note="", actor=root_admin, now=now)
    assert limits_of(user=bob, now=now).gpus_max == 6


def test_less_than_asked_for_may_be_granted(asked: QuotaRequest, bob: User, root_admin: User, now: datetime) -> None:
    _grant(asked, root_admin, now, gpus_max=2)
    assert (limits_of(user=bob, now=now).gpus_max, limits_of(user=bob, now=now).hours_max) == (2, 12)


def test_a_teacher_answers_for_their_people_alone(asked: QuotaRequest, teacher: User, charlie: User, alice: User, now: datetime) -> None:
    stranger = request_create(user=charlie, asked={"gpus_max": 8}, until=now + DAY, why="More", now=now)
    assert list(requests_to_answer(user=teacher)) == [asked]
    assert not requests_to_answer(user=alice).exists() and not requests_to_answer(user=charlie).exists()
    for actor in (teacher, alice, charlie):
        with pytest.raises(QuotaRequest.DoesNotExist):
            request_decline(request_id=stranger.pk, answer="No", actor=actor, now=now)
    _grant(asked, teacher, now)
    assert Event.objects.get(kind="quota.granted").actor_name == "Tess"


def test_a_teacher_gives_no_more_than_they_may_have(asked: QuotaRequest, teacher: User, bob: User, now: datetime) -> None:
    with pytest.raises(Refused, match="at most what you may have yourself: 4 GPUs at once"):
        _grant(asked, teacher, now, gpus_max=5)
    assert limits_of(user=bob, now=now).gpus_max == 1 and QuotaRequest.objects.get().state == "open"


def test_a_teacher_does_not_answer_themselves(teacher: User, now: datetime) -> None:
    own = request_create(user=teacher, asked={"gpus_max": 8}, until=now + DAY, why="More", now=now)
    with pytest.raises(QuotaRequest.DoesNotExist):
        _grant(own, teacher, now)


def test_a_teacher_of_the_whole_house_is_none(alice: User, team: Group, now: datetime) -> None:
    dean = person_create(email="dean@example.edu", display_name="Dean", role="teacher", group=team.parent, actor=None, now=now)
    request_create(user=alice, asked={"gpus_max": 8}, until=now + DAY, why="More", now=now)
    assert not requests_to_answer(user=dean).exists()


def test_teachers_and_administrators_are_told_and_so_is_who_asked(asked: QuotaRequest, teacher: User, bob: User, root_admin: User, now: datetime) -> None:
    request_withdraw(user=bob, request_id=asked.pk, now=now)
    again = request_create(user=bob, asked={"gpus_max": 3}, until=now + DAY, why="Thesis", now=now)
    assert set(Notice.objects.filter(kind="quota_asked", queued_at=again.created_at).values_list("user_id", flat=True)) == {teacher.pk, root_admin.pk}
    request_grant(request_id=again.pk, values={"gpus_max": 2}, until=now + DAY, answer="Use it well", actor=teacher, now=now)
    told = Notice.objects.get(user=bob, kind="quota")
    assert told.words.startswith("You may have 2 GPUs at once until ") and "Use it well" in told.words


def test_the_end_of_a_grant_is_told_once(asked: QuotaRequest, bob: User, root_admin: User, now: datetime) -> None:
    _grant(asked, root_admin, now)
    later = now + 7 * DAY + timedelta(minutes=1)
    assert grants_end(now=now + DAY, since=now) == 0
    assert [grants_end(now=later, since=now), grants_end(now=later, since=now)] == [1, 0]
    assert Notice.objects.filter(user=bob, subject="A grant has ended").count() == 1


def test_a_request_is_answered_once(asked: QuotaRequest, root_admin: User, bob: User, now: datetime) -> None:
    _grant(asked, root_admin, now)
    with pytest.raises(Refused, match="granted already"):
        request_decline(request_id=asked.pk, answer="No", actor=root_admin, now=now)
    with pytest.raises(Refused, match="granted already"):
        request_withdraw(user=bob, request_id=asked.pk, now=now)
    assert LimitOverride.objects.count() == 1


def test_a_no_needs_words(asked: QuotaRequest, root_admin: User, now: datetime) -> None:
    with pytest.raises(Refused, match="Say why not"):
        request_decline(request_id=asked.pk, answer="  ", actor=root_admin, now=now)
    request_decline(request_id=asked.pk, answer="The cluster is full.", actor=root_admin, now=now)
    asked.refresh_from_db()
    assert (asked.state, asked.answer, asked.answered_by) == ("declined", "The cluster is full.", root_admin)


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"asked": {"gpus_max": 1}}, "may have that already"),
        ({"asked": {}}, "may have that already"),
        ({"asked": {"weight": 9}}, "cannot be asked for"),
        ({"asked": {"gpus_max": -4}}, "cannot be asked for"),
        ({"asked": {"gpus_max": 10**12}}, "cannot be asked for"),
        ({"until": -DAY}, "lies in the future"),
        ({"until": 800 * DAY}, "at most a year"),
        ({"why": " "}, "what it is for"),
    ],
    ids=str,
)
def test_a_request_that_is_none_is_refused_in_words(bob: User, now: datetime, wish: dict[str, object], words: str) -> None:
    full = {"asked": {"gpus_max": 2}, "until": DAY, "why": "Thesis"} | wish
    with pytest.raises(Refused, match=words):
        request_create(user=bob, asked=full["asked"], until=now + full["until"], why=full["why"], now=now)  # type: ignore[arg-type,operator]


def test_one_request_is_open_at_once(asked: QuotaRequest, bob: User, now: datetime) -> None:
    with pytest.raises(Refused, match="asked for something already"):
        request_create(user=bob, asked={"gpus_max": 2}, until=now + DAY, why="Again", now=now)
    request_withdraw(user=bob, request_id=asked.pk, now=now)
    request_create(user=bob, asked={"gpus_max": 2}, until=now + DAY, why="Again", now=now)


@pytest.mark.parametrize("bad", [{"until": None}, {"user": None}], ids=str)
def test_the_database_refuses_a_grant_without_person_or_end(asked: QuotaRequest, bob: User, team: Group, now: datetime, bad: dict[str, object]) -> None:
    fields = {"request": asked, "user": bob, "until": now + DAY, "created_at": now} | bad
    if fields["user"] is None:
        fields["group"] = team
    with pytest.raises(IntegrityError), transaction.atomic():
        LimitOverride.objects.create(**fields)


def test_the_database_refuses_a_second_standing_exception(bob: User, now: datetime) -> None:
    LimitOverride.objects.create(user=bob, created_at=now)
    with pytest.raises(IntegrityError), transaction.atomic():
        LimitOverride.objects.create(user=bob, created_at=now)


def test_who_left_the_course_is_no_longer_answered_by_its_teacher(asked: QuotaRequest, teacher: User, bob: User, now: datetime) -> None:
    Membership.objects.filter(user=bob).delete()
    assert not requests_to_answer(user=teacher).exists()


def test_granted_cards_are_guaranteed_only_where_the_grant_says_so(asked: QuotaRequest, teacher: User, bob: User, now: datetime) -> None:
    with pytest.raises(Refused, match="at most what you may have yourself: 2 GPUs guaranteed"):
        _grant(asked, teacher, now, gpus_max=3, gpus=3)
    _grant(asked, teacher, now, gpus_max=3, gpus=2)
    limits = limits_of(user=bob, now=now)
    assert (limits.gpus, limits.gpus_max) == (2, 3)


def test_a_guarantee_cannot_be_asked_for(bob: User, now: datetime) -> None:
    with pytest.raises(Refused, match="cannot be asked for"):
        request_create(user=bob, asked={"gpus": 2}, until=now + DAY, why="Thesis", now=now)
