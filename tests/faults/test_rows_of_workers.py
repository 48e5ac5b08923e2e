"""FAULTS rows 1, 2, 3, 8: workers that are killed at any step, rung ten times, never rung, and unsure of their commit."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.db import OperationalError, connection
from django.db.backends.postgresql.base import DatabaseWrapper
from django.utils import timezone

from labs.fleet.models import Node
from labs.lifecycle.models import Lab, Lease, PersonNetwork
from labs.lifecycle.nodes import node_drain
from labs.lifecycle.queries import timeline_of
from labs.lifecycle.services import lab_stop, lab_take_gpu
from labs.people.models import User
from tests.faults.conftest import _tidy
from tests.faults.hands import PERIOD_S, House
from tests.faults.steps import crash, crashes, recorded, steps_seen
from worker.hands import Hands
from worker.loops import schedule, warn
from worker.starting import lab_start

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.engine, pytest.mark.postgres]
KILLED = -9
#: The longest that row 1 allows, in periods of the loops.
MOST_PERIODS = 30 / PERIOD_S


@dataclass(frozen=True)
class Part:
    """A part of a lab's life: how it is wished for, what a worker then does (so much `later`), and how it ends well."""

    name: str
    wish: Callable[[str, User], object]
    ends_in: str
    attempt: int
    node_in: str = ""
    later: timedelta = timedelta()


def _stop(lab_id: str, owner: User) -> None:
    lab_stop(lab=Lab.objects.get(pk=lab_id), actor=owner, now=timezone.now())


def _take(lab_id: str, owner: User) -> None:
    lab_take_gpu(lab=Lab.objects.get(pk=lab_id), gpus=2, gpu_model="", actor=owner, now=timezone.now())


def _drain(_: str, __: User) -> None:
    now = timezone.now()
    Node.objects.update(state="ready", state_before="", drain_until=None)
    administrator = User.objects.get(role="administrator")
    node_drain(node=Node.objects.get(), until=now + timedelta(minutes=5), words="New driver.", actor=administrator, now=now)


def _again(_: str, __: User) -> None:
    Node.objects.update(state="ready", drain_until=None)


LAUNCH = Part("launch", _again, "running", 1)
LIFE = (LAUNCH, Part("restart with more cards", _take, "running", 2), Part("stop", _stop, "stopped", 2))
DRAINED = (LAUNCH, Part("drain", _drain, "stopped", 1, node_in="cordoned", later=timedelta(minutes=6)))


def _done(part: Part, lab_id: str) -> bool:
    on = {"node__state": part.node_in} if part.node_in else {}
    return Lab.objects.filter(pk=lab_id, state=part.ends_in, attempt=part.attempt, **on).exists()


def _work(house: House, part: Part, lab_id: str, hands: Hands) -> int:
    """What a worker does until the part is done; the periods that it took."""
    if part.later:
        hands.clock = lambda: timezone.now() + part.later  # type: ignore[method-assign]
    for period in range(1, 200):
        house.tick(hands)
        if part.later:
            warn.tick(hands=hands, now=hands.clock())
        if _done(part, lab_id):
            return period
    raise AssertionError(f"{part.name} of {lab_id} never ended: {Lab.objects.get(pk=lab_id).__dict__}")


@pytest.fixture
def forget(engine: Any, node: Node) -> Callable[[], None]:
    """Nothing of anybody's is on the node any more: the next lab is its owner's first."""

    def nothing_left() -> None:
        _tidy(engine, node.realm)
        PersonNetwork.objects.all().delete()

    return nothing_left


def _crashed(house: House, part: Part, lab_id: str, at: int, when: str) -> int | None:
    """Let a worker be killed there, and another go on; the periods that it took. None where it was done before it came to that step."""

    def work(hands: Hands) -> None:
        with steps_seen(crash(at, when)):
            _work(house, part, lab_id, hands)

    ended = house.wait(house.fork(work))
    assert ended in (KILLED, 0), f"{part.name}: the worker ended with {ended}, not {when} step {at}"
    periods = 0 if _done(part, lab_id) else _work(house, part, lab_id, house.hands())
    return periods if ended == KILLED else None


@dataclass(frozen=True)
class Moment:
    """When a worker is killed: before or after a step of a part of a life; `first`: of its owner's first lab, for which more is made."""

    at: int
    when: str
    step: str
    first: bool = False


def _moments(first: list[str], later: list[str]) -> list[Moment]:
    """Before and after each step that is only taken for a first lab, and each of a later one."""
    once = [Moment(at, when, first[at], first=True) for at, when in crashes(first, both=True) if first[at] not in later]
    return once + [Moment(at, when, later[at]) for at, when in crashes(later, both=True)]


def _tried(house: House, ask: Any, alice: User, clean: Any, forget: Callable[[], None], life: tuple[Part, ...]) -> dict[str, list[Moment]]:
    """Live this life undisturbed, as the first and again, and then once for each moment at which a worker can be killed in it; these of each part."""
    firsts, laters = (_lived(house, ask(alice), alice, life) for _ in range(2))
    clean()
    moments = {part.name: _moments(firsts[part.name], laters[part.name]) for part in life}
    worst, missed = 0, []
    for number in range(max(len(mine) for mine in moments.values())):
        here = {name: mine[number] for name, mine in moments.items() if number < len(mine)}
        if any(moment.first for moment in here.values()):
            forget()
        lab_id = ask(alice)
        for part in life:
            part.wish(lab_id, alice)
            if moment := here.get(part.name):
                periods = _crashed(house, part, lab_id, moment.at, moment.when)
                assert (periods or 0) <= MOST_PERIODS, f"{part.name}, {moment.when} {moment.step}: {periods} periods"
                worst = max(worst, periods or 0)
                missed += [moment] if periods is None else []
            else:
                _work(house, part, lab_id, house.hands())
            clean(running=set() if part.ends_in == "stopped" else {lab_id})
    total = sum(len(mine) for mine in moments.values())
    assert len(missed) <= 0.05 * total, f"a round more or less of the loops moves few of the steps: {missed}"
    print(f"\n{total} crashes at {total // 2} steps; worst recovery {worst} periods of {PERIOD_S:g} s")
    for name, mine in moments.items():
        print(f"{name}:", *(f"{moment.step}{' (the first time)' if moment.first else ''}" for moment in mine[::2]), sep="\n  ")
    return moments


def _lived(house: House, lab_id: str, alice: User, life: tuple[Part, ...]) -> dict[str, list[str]]:
    """The durable steps of each part of an undisturbed life."""
    steps = {}
    for part in life:
        part.wish(lab_id, alice)
        steps[part.name], _ = recorded(house, lambda hands, part=part: _work(house, part, lab_id, hands))
    return steps


@pytest.mark.timeout(900)
def test_row_01_a_worker_killed_before_or_after_every_durable_step_is_followed_by_another(house, ask, alice, clean, forget):
    moments = _tried(house, ask, alice, clean, forget, LIFE)
    made_once, made = ("launch", "POST networks/create"), ("launch", "_create: POST containers/create")
    for part, known in (made_once, made, ("launch", "lab_ready: commit"), ("stop", "lab_gone: commit")):
        assert any(known in moment.step for moment in moments[part]), f"no step {known!r} was seen in {part}: {moments[part]}"


@pytest.mark.timeout(900)
def test_row_01_a_worker_killed_before_or_after_every_step_of_a_drain_is_followed_by_another(house, ask, alice, clean, forget, root_admin):
    moments = _tried(house, ask, alice, clean, forget, DRAINED)
    assert any("lab_end: commit" in moment.step for moment in moments["drain"]), moments["drain"]


def test_row_02_one_task_delivered_ten_times_to_eight_workers_makes_one_container(house, ask, alice, clean):
    lab_id = ask(alice)
    schedule.tick(now=timezone.now())

    def work(hands: Hands) -> None:
        for _ in range(10):
            lab_start(lab_id=lab_id, hands=hands)

    assert {house.wait(pid) for pid in [house.fork(work) for _ in range(8)]} == {0}
    clean(running={lab_id})
    assert Lease.objects.filter(lab_id=lab_id).count() == 1 and Lab.objects.get(pk=lab_id).tries == 0


def test_row_03_a_task_that_is_never_delivered_costs_at_most_two_periods(house, ask, alice, clean):
    lab_id = ask(alice)
    assert house.until(lab_id, "running") <= 2
    clean(running={lab_id})


@pytest.mark.parametrize("commit", range(1, 7))
def test_row_08_a_worker_whose_commit_had_an_unknown_outcome_repeats_nothing(house, ask, alice, clean, commit):
    lab_id = ask(alice)

    def work(hands: Hands) -> None:
        with unknown_outcome(commit):
            _work(house, LIFE[0], lab_id, hands)

    house.wait(house.fork(work))
    _work(house, LIFE[0], lab_id, house.hands())
    clean(running={lab_id})
    kinds = [event.kind for event in timeline_of(lab=Lab.objects.get(pk=lab_id))]
    assert kinds.count("lab.starting") == kinds.count("lab.running") == 1


def test_row_08_a_request_whose_commit_had_an_unknown_outcome_makes_one_lab_when_it_is_repeated(house, ask, alice):
    with unknown_outcome(1), pytest.raises(OperationalError):
        ask(alice, key="click", name="mine")
    connection.close()
    again = ask(alice, key="click", name="mine")
    assert list(Lab.objects.values_list("pk", flat=True)) == [again]


@contextmanager
def unknown_outcome(number: int) -> Iterator[None]:
    """The server does commit number so and so, and the link breaks before its answer."""
    seen = 0
    original = DatabaseWrapper._commit

    def commit(self: DatabaseWrapper) -> None:
        nonlocal seen
        seen += 1
        original(self)
        if seen == number:
            with self.connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                [pid] = cursor.fetchone()
            other = self.copy()
            with other.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
            other.close()
            self.connection.execute("SELECT 1")  # the answer never comes

    with patch.object(DatabaseWrapper, "_commit", commit):
        yield
