"""64 racing requests for one GPU give one winner, round after round, on PostgreSQL, through real connections."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from django.db import connection

from labs.fleet.models import Gpu
from labs.ledger.models import Event
from labs.lifecycle.models import Lab, Lease
from labs.lifecycle.moves import lab_assign, lab_end, lab_gone
from labs.lifecycle.services import lab_request
from labs.lifecycle.wishes import Wish
from labs.people.models import Role, User
from tests.conftest import need
from tests.support.racing import Race, racing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres, pytest.mark.timeout(120)]
RACERS, ROUNDS = 64, 20
CARD = "GPU-00000000-test"


@pytest.fixture(autouse=True)
def _postgres() -> None:
    need("GPULAB_TEST_DATABASE_URL", "PostgreSQL")
    assert connection.vendor == "postgresql"


@pytest.fixture
def racers(root_admin: User, node: Any, now: datetime) -> list[User]:
    """64 researchers and a house with one card."""
    Gpu.objects.exclude(pk=CARD).delete()
    people = [
        User(username=f"r{n}", email=f"r{n}@example.edu", display_name=f"R{n}", role=Role.RESEARCHER, uid=30000 + n, passes_not_before=now)
        for n in range(RACERS)
    ]
    return User.objects.bulk_create(people)


@pytest.fixture
def at_once() -> Iterator[Race]:
    """Run `what(n)` in so many threads at the same moment."""
    with racing(RACERS) as race:
        yield race


def _assign(lab_id: str, now: datetime) -> bool:
    return lab_assign(lab_id=lab_id, node_id="n1", gpu_uuids=[CARD], now=now)


def _wish(image: Any, **more: Any) -> Wish:
    return Wish(**({"image_id": image.pk, "gpus": 1, "cpus": 1, "memory_gib": 1, "hours": 1} | more))


def test_of_64_who_ask_for_one_card_at_once_one_gets_it_in_every_round(racers: list[User], image: Any, now: datetime, at_once: Any) -> None:
    labs = at_once(lambda n: lab_request(owner=racers[n], wish=_wish(image), now=now, actor=racers[n]).pk, RACERS)
    assert len(set(labs)) == RACERS
    for round_ in range(ROUNDS):
        won = at_once(lambda n: _assign(labs[n], now), len(labs))
        assert won.count(True) == 1, f"round {round_}: {won.count(True)} winners"
        winner = labs[won.index(True)]
        [lease] = Lease.objects.filter(closed_at=None)
        assert lease.lab_id == winner and list(Lab.objects.filter(state="starting").values_list("pk", flat=True)) == [winner]
        assert Event.objects.filter(kind="lab.starting").count() == round_ + 1
        assert lab_end(lab_id=winner, code="asked", now=now) and lab_gone(lab_id=winner, now=now)
        labs.remove(winner)


def test_two_labs_of_a_person_with_one_gpu_left_never_both_start(racers: list[User], image: Any, now: datetime, at_once: Any) -> None:
    student = racers[0]
    student.role = Role.STUDENT
    student.save()
    Gpu.objects.create(uuid="GPU-second", node_id="n1", index=1, model="NVIDIA H200")
    for _ in range(10):
        labs = [lab_request(owner=student, wish=_wish(image), now=now, actor=student).pk for _ in range(2)]
        cards = [CARD, "GPU-second"]
        won = at_once(lambda n, labs=labs, cards=cards: lab_assign(lab_id=labs[n], node_id="n1", gpu_uuids=[cards[n]], now=now), 2)
        assert won.count(True) == 1, "the quota of one GPU is judged under the lock"
        for lab in labs:
            lab_end(lab_id=lab, code="asked", now=now)
            if Lab.objects.get(pk=lab).state == "stopping":
                lab_gone(lab_id=lab, now=now)


def test_one_lab_is_placed_once_whoever_schedules(racers: list[User], image: Any, now: datetime, at_once: Any) -> None:
    lab = lab_request(owner=racers[0], wish=_wish(image, gpus=0), now=now, actor=racers[0]).pk
    won = at_once(lambda _: lab_assign(lab_id=lab, node_id="n1", gpu_uuids=[], now=now), 16)
    assert won.count(True) == 1 and Event.objects.filter(kind="lab.starting").count() == 1


def test_one_click_that_arrives_sixteen_times_makes_one_lab(racers: list[User], image: Any, now: datetime, at_once: Any) -> None:
    made = at_once(lambda _: lab_request(owner=racers[0], wish=_wish(image), now=now, actor=racers[0], idempotency_key="click").pk, 16)
    assert len(set(made)) == 1 and Lab.objects.count() == 1


def test_names_are_taken_once_by_whoever_is_first(racers: list[User], image: Any, now: datetime, at_once: Any) -> None:
    def ask(_: int) -> str:
        try:
            return lab_request(owner=racers[0], wish=_wish(image, name="mine"), now=now, actor=racers[0]).pk
        except ValueError as refused:
            return str(refused)

    answers = at_once(ask, 4)
    assert sorted(answer == "You have a lab named mine already." for answer in answers) == [False, True, True, True]
