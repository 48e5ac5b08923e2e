"""Colleagues who start at the same moment never pass what their groups may hold together; on PostgreSQL, through real connections."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from django.db import connection

from labs.fleet.models import Gpu
from labs.ledger.models import Event
from labs.lifecycle.models import Lease
from labs.lifecycle.moves import lab_assign, lab_end, lab_gone
from labs.lifecycle.services import lab_request
from labs.lifecycle.wishes import Wish
from labs.people.errors import Refused
from labs.people.models import Group, Membership, Role, User
from labs.policy.asking import request_create, request_grant
from labs.policy.models import LimitOverride
from labs.policy.services import group_limits_set, override_set
from tests.conftest import need
from tests.support.racing import Race, racing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres, pytest.mark.timeout(120)]
RACERS, ROUNDS = 16, 10


@pytest.fixture(autouse=True)
def _postgres() -> None:
    need("GPULAB_TEST_DATABASE_URL", "PostgreSQL")
    assert connection.vendor == "postgresql"


@pytest.fixture
def at_once() -> Iterator[Race]:
    """16 threads."""
    with racing(RACERS) as race:
        yield race


@pytest.fixture
def colleagues(team: Group, root_admin: User, node: Any, now: datetime) -> list[User]:
    """16 researchers of a team and a course, which half of them joined in the other order; 16 cards; three GPUs for the team, two for the course."""
    Gpu.objects.bulk_create(Gpu(uuid=f"GPU-race-{n}", node=node, index=10 + n, model="NVIDIA H200") for n in range(RACERS))
    course = Group.objects.create(kind="course", name="Vision 101", slug="v101", parent=team.parent)
    people = User.objects.bulk_create(
        User(username=f"r{n}", email=f"r{n}@example.edu", display_name=f"R{n}", role=Role.RESEARCHER, uid=30000 + n, passes_not_before=now)
        for n in range(RACERS)
    )
    for n, user in enumerate(people):
        for group in (team, course) if n % 2 else (course, team):
            Membership.objects.create(user=user, group=group)
    group_limits_set(group=team, values={"gpus": 3, "pending": RACERS}, actor=root_admin, now=now)
    group_limits_set(group=course, values={"gpus": 2}, actor=root_admin, now=now)
    return people


def _wish(image: Any) -> Wish:
    return Wish(image_id=image.pk, gpus=1, cpus=1, memory_gib=1, hours=1)


def test_sixteen_colleagues_never_hold_more_than_their_groups_together(colleagues: list[User], image: Any, now: datetime, at_once: Race) -> None:
    labs = at_once(lambda n: lab_request(owner=colleagues[n], wish=_wish(image), now=now, actor=colleagues[n]).pk, RACERS)
    for round_ in range(ROUNDS):
        won = at_once(lambda n: lab_assign(lab_id=labs[n], node_id="n1", gpu_uuids=[f"GPU-race-{n}"], now=now), RACERS)
        assert (won.count(True), Lease.objects.filter(closed_at=None).count()) == (2, 2), f"round {round_}"
        for n in range(RACERS):
            if won[n]:
                lab_end(lab_id=labs[n], code="asked", now=now)
                lab_gone(lab_id=labs[n], now=now)
                labs[n] = lab_request(owner=colleagues[n], wish=_wish(image), now=now, actor=colleagues[n]).pk


def test_waiting_labs_of_a_team_are_counted_under_its_lock(
    colleagues: list[User], team: Group, root_admin: User, image: Any, now: datetime, at_once: Race
) -> None:
    group_limits_set(group=team, values={"pending": 5}, actor=root_admin, now=now)

    def ask(n: int) -> bool:
        try:
            return bool(lab_request(owner=colleagues[n], wish=_wish(image), now=now, actor=colleagues[n]))
        except Refused:
            return False

    assert at_once(ask, RACERS).count(True) == 5


def test_limits_are_changed_while_people_start_without_a_deadlock(
    colleagues: list[User], team: Group, root_admin: User, image: Any, now: datetime, at_once: Race
) -> None:
    labs = [lab_request(owner=user, wish=_wish(image), now=now, actor=user).pk for user in colleagues]

    def act(n: int) -> bool:
        if n % 4 == 0:
            group_limits_set(group=team, values={"gpus": 1 + n % 3}, actor=root_admin, now=now)
            return False
        return lab_assign(lab_id=labs[n], node_id="n1", gpu_uuids=[f"GPU-race-{n}"], now=now)

    assert at_once(act, RACERS).count(True) <= 2


def test_a_request_that_two_grant_at_once_is_granted_once(colleagues: list[User], root_admin: User, now: datetime, at_once: Race) -> None:
    until = now.replace(year=now.year + 1)
    for user in colleagues[:5]:
        row = request_create(user=user, asked={"gpus_max": 8}, until=until, why="Race", now=now)

        def grant(_: int, pk: int = row.pk) -> bool:
            try:
                return bool(request_grant(request_id=pk, values={"gpus_max": 8}, until=until, answer="", actor=root_admin, now=now))
            except Refused:
                return False

        assert at_once(grant, 4).count(True) == 1 and LimitOverride.objects.filter(request=row).count() == 1


def test_a_request_that_is_sent_many_times_is_open_once(colleagues: list[User], now: datetime, at_once: Race) -> None:
    until = now.replace(year=now.year + 1)

    def ask(_: int) -> bool:
        try:
            return bool(request_create(user=colleagues[0], asked={"gpus_max": 8}, until=until, why="Race", now=now))
        except Refused:
            return False

    assert at_once(ask, 8).count(True) == 1


def test_exceptions_and_caps_that_are_saved_at_once_follow_each_other(at_once: Race, alice: User, team: Group, root_admin: User, now: datetime) -> None:
    at_once(lambda n: override_set(user=alice, values={"gpus_max": 4 + n}, until=None, note="", actor=root_admin, now=now), RACERS)
    assert LimitOverride.objects.get().gpus_max in range(4, 4 + RACERS)
    at_once(lambda n: group_limits_set(group=team, values={"gpus": 1 + n}, actor=root_admin, now=now), RACERS)
    saved = Event.objects.filter(kind="quota.group").order_by("pk")
    assert len(saved) == RACERS
    assert [one.fact["before"] for one in saved[1:]] == [one.fact["after"] for one in saved[: RACERS - 1]]
