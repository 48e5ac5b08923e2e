"""Taking cards back against everything that may happen at the same moment, round after round, on PostgreSQL."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from labs.fleet.models import Gpu
from labs.ledger.models import Event
from labs.lifecycle.models import Keep, Lab, Lease, Reclaim
from labs.lifecycle.moves import lab_assign, lab_gone, lab_ready
from labs.lifecycle.reclaims import reclaim_begin, reclaim_finish, reclaims_review
from labs.lifecycle.services import lab_request, lab_stop
from labs.lifecycle.wishes import Wish
from labs.people.models import User
from tests.conftest import need
from tests.labs.lifecycle.test_race import CARD, racers  # noqa: F401  (fixture)
from tests.support.racing import Race, racing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres, pytest.mark.timeout(120)]
ROUNDS, ASKERS = 20, 8
NOTICE = timedelta(minutes=5)


@pytest.fixture(autouse=True)
def _postgres() -> None:
    need("GPULAB_TEST_DATABASE_URL", "PostgreSQL")
    assert connection.vendor == "postgresql"


@pytest.fixture
def at_once() -> Iterator[Race]:
    """So many threads as there are askers, and the one who had the card."""
    with racing(ASKERS + 1) as race:
        yield race


class Scene:
    """A lab that runs over quota on the house's one card, and labs of others that wait."""

    def __init__(self, people: list[User], image: Any, now: datetime) -> None:
        self.people, self.image, self.now = people, image, now
        self.askers = [self.ask(person) for person in people[1 : ASKERS + 1]]

    def ask(self, owner: User) -> Lab:
        wish = Wish(image_id=self.image.pk, gpus=1, cpus=1, memory_gib=1, hours=1, requeue=False)
        return lab_request(owner=owner, wish=wish, now=self.now, actor=owner)

    def victim(self) -> Lab:
        """A fresh one, running, marked as over quota."""
        lab = self.ask(self.people[0])
        assert lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=[CARD], now=self.now)
        assert lab_ready(lab_id=lab.pk, attempt=1, verified={}, not_held=[], now=self.now)
        Lab.objects.filter(pk=lab.pk).update(over_quota=True)
        return Lab.objects.get(pk=lab.pk)

    def over(self, lab: Lab) -> None:
        """The round's lab is gone, and nothing of it is left open."""
        lab_stop(lab=lab, actor=self.people[0], now=self.now)
        lab_gone(lab_id=lab.pk, now=self.now)
        assert not Lease.objects.filter(closed_at=None).exists() and not Reclaim.objects.filter(closed_at=None).exists()
        Keep.objects.filter(closed_at=None).update(closed_at=self.now)


@pytest.fixture
def scene(racers: list[User], image: Any, now: datetime) -> Scene:
    return Scene(racers, image, now)


def test_of_many_reclaims_of_one_lab_one_is_made(scene: Scene, at_once: Race) -> None:
    for _ in range(ROUNDS):
        lab = scene.victim()
        won = at_once(lambda n, lab=lab: reclaim_begin(lab_id=lab.pk, taken_for=scene.askers[n].pk, now=scene.now), ASKERS)
        assert won.count(True) == 1
        asker = scene.askers[won.index(True)]
        assert [(keep.gpu_id, keep.lab_id) for keep in Keep.objects.filter(closed_at=None)] == [(CARD, asker.pk)]
        assert Event.objects.filter(subject=lab.subject, kind="lab.notice.reclaim").count() == 1
        scene.over(lab)


def test_a_reclaim_and_a_stop_at_once_leave_one_end_and_nothing_open(scene: Scene, at_once: Race) -> None:
    for _ in range(ROUNDS):
        lab = scene.victim()
        acts = [
            lambda lab=lab: reclaim_begin(lab_id=lab.pk, taken_for=scene.askers[0].pk, now=scene.now),
            lambda lab=lab: lab_stop(lab=lab, actor=scene.people[0], now=scene.now),
        ]
        began, stopped = at_once(lambda n, acts=acts: acts[n](), 2)
        assert stopped and Reclaim.objects.filter(lab=lab).count() == int(began)
        assert lab_gone(lab_id=lab.pk, now=scene.now)
        ended = Lab.objects.get(pk=lab.pk)
        assert (ended.state, ended.reason_code) == ("stopped", "asked")
        assert set(Reclaim.objects.filter(lab=lab).values_list("outcome", flat=True)) == ({"ended"} if began else set())
        scene.over(lab)


def test_the_end_and_the_calling_off_at_once_are_one_or_the_other(scene: Scene, at_once: Race) -> None:
    ended_or_not = set()
    for _ in range(ROUNDS):
        lab, asker = scene.victim(), scene.ask(scene.people[20])
        assert reclaim_begin(lab_id=lab.pk, taken_for=asker.pk, now=scene.now)
        row = Reclaim.objects.get(lab=lab)
        lab_stop(lab=asker, actor=scene.people[20], now=scene.now)
        acts = [
            lambda row=row: reclaim_finish(reclaim_id=row.pk, now=scene.now + NOTICE),
            lambda: reclaims_review(now=scene.now),
        ]
        finished, _ = at_once(lambda n, acts=acts: acts[n](), 2)
        found, row = Lab.objects.get(pk=lab.pk), Reclaim.objects.get(pk=row.pk)
        ended_or_not.add(finished)
        assert (found.state, row.outcome) == (("stopping", "") if finished else ("running", "called_off"))
        scene.over(lab)
    assert ended_or_not, "each round ended in one of both ways"


def test_of_all_who_want_the_card_the_asker_alone_gets_it(scene: Scene, at_once: Race) -> None:
    for round_ in range(ROUNDS):
        lab, asker = scene.victim(), scene.ask(scene.people[20])
        assert reclaim_begin(lab_id=lab.pk, taken_for=asker.pk, now=scene.now)
        assert reclaims_review(now=scene.now + NOTICE) == 1 and lab_gone(lab_id=lab.pk, now=scene.now + NOTICE)
        wanted = [*scene.askers, asker]
        won = at_once(lambda n, wanted=wanted: lab_assign(lab_id=wanted[n].pk, node_id="n1", gpu_uuids=[CARD], now=scene.now + NOTICE), len(wanted))
        assert won == [False] * ASKERS + [True], f"round {round_}"
        lab_stop(lab=Lab.objects.get(pk=asker.pk), actor=scene.people[20], now=scene.now)
        lab_gone(lab_id=asker.pk, now=scene.now)


def test_a_notice_and_a_lease_at_once_never_leave_a_card_with_a_third(scene: Scene, at_once: Race) -> None:
    """The card comes free by its owner's stop while notice is given: whoever wins, no card has two holders."""
    Gpu.objects.get_or_create(pk=CARD, defaults={"node_id": "n1", "index": 0, "model": "NVIDIA H200"})
    for _ in range(ROUNDS):
        lab = scene.victim()
        lab_stop(lab=lab, actor=scene.people[0], now=scene.now)
        third = scene.ask(scene.people[30])
        acts = [
            lambda lab=lab: lab_gone(lab_id=lab.pk, now=scene.now),
            lambda lab=lab: reclaim_begin(lab_id=lab.pk, taken_for=scene.askers[0].pk, now=scene.now),
            lambda third=third: lab_assign(lab_id=third.pk, node_id="n1", gpu_uuids=[CARD], now=scene.now),
        ]
        gone, began, _ = at_once(lambda n, acts=acts: acts[n](), 3)
        assert gone and not began and Lease.objects.filter(closed_at=None).count() <= 1
        lab_stop(lab=Lab.objects.get(pk=third.pk), actor=scene.people[30], now=scene.now)
        if Lab.objects.get(pk=third.pk).state == "stopping":
            lab_gone(lab_id=third.pk, now=scene.now)
