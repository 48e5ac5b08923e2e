"""A house that is asked, stopped, disturbed and left alone in any order, beside a plain model of what must be true."""

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

import worker.hands
from labs.fleet.models import Gpu, Node
from labs.lifecycle.models import Lab
from labs.lifecycle.repairs import PATIENCE
from labs.lifecycle.services import lab_extend, lab_request, lab_stop, lab_take_gpu
from labs.lifecycle.wishes import Wish
from labs.people.errors import Refused
from labs.people.models import User
from labs.policy.queries import limits_of
from labs.quarantine.models import Stray
from tests.support.hands import AtOnce, NoCards
from worker.hands import Hands
from worker.loops import reap, reconcile, schedule
from worker.runtimes.base import LabSpec, Observed, RuntimeFault
from worker.runtimes.fake import FakeRuntime
from worker.starting import lab_start

pytestmark = pytest.mark.django_db
STEPS = 100
PERIOD = timedelta(seconds=5)
LIVE = ("queued", "offered", "starting", "running", "stopping")


class MoodyRuntime(FakeRuntime):
    """An engine that refuses, hangs or loses its caller when it is told to."""

    def __init__(self, node_id: str) -> None:
        super().__init__(node_id=node_id)
        self.refusals = self.silences = self.losses = 0

    def observe(self) -> list[Observed]:
        if self.silences:
            self.silences -= 1
            raise RuntimeFault("The container engine does not answer.")
        return super().observe()

    def start(self, spec: LabSpec) -> Observed:
        if self.refusals:
            self.refusals -= 1
            raise RuntimeFault("The engine refused to start the lab.")
        seen = super().start(spec)
        if self.losses:
            self.losses -= 1
            raise ConnectionError("the worker was gone before it heard the answer")
        return seen

    def stop(self, name: str, grace_s: float) -> None:
        if self.silences:
            raise RuntimeFault("The container engine does not answer.")
        super().stop(name, grace_s)

    def stray(self, name: str) -> None:
        """A container that no record knows."""
        spec: Any = SimpleNamespace(node_id=self.node_id)
        self._labs[name] = (spec, Observed(name, name.split("-")[1], 1, running=True))

    @property
    def names(self) -> set[str]:
        return {name for name, (_, seen) in self._labs.items() if seen.running}


class HouseMachine(RuleBasedStateMachine):
    """Rules are what people and faults do; the invariants are read by SQL after each of them."""

    node: Node
    caps: ClassVar[dict[int, int]]  # of each person
    image_id: int
    steps = 0
    ids: ClassVar[list[str]] = []

    @classmethod
    def next_id(cls) -> str:
        """Labs by number in place of chance: the same choices name the same labs, or Hypothesis could try nothing again."""
        cls.ids.append(f"lab{len(cls.ids):09}".translate(str.maketrans("0189", "abcd")))
        return cls.ids[-1]

    def __init__(self) -> None:
        super().__init__()
        self.ids.clear()
        self.people = [User.objects.get(pk=pk) for pk in self.caps]  # anew: whoever was sent away in the life before is in again
        self.savepoint = transaction.atomic()
        self.savepoint.__enter__()
        self.now: datetime = self.node.heartbeat_at or datetime.min
        self.runtime = MoodyRuntime(self.node.realm)
        self.hands = Hands(node_id=self.node.pk, runtime=self.runtime, probe=NoCards(), clock=lambda: self.now)
        self.away = False  # the node's own worker
        self.disturbed = False  # something was done that no tick has seen yet
        self.stopped: set[str] = set()  # labs whose end was wished
        self.awake_s = self.set_back_s = 0.0  # what the machine's own clock has counted, which nobody sets; how far the wall's was set back
        worker.hands.time = SimpleNamespace(monotonic=lambda: self.awake_s)  # type: ignore[assignment]  # failures rest by the machine's clock

    def teardown(self) -> None:
        try:
            self.calm()
        finally:
            self.savepoint.__exit__(RuntimeError, RuntimeError("undo"), None)

    @initialize()
    def begins(self) -> None:
        self.tick()

    @rule(who=st.integers(0, 2), gpus=st.integers(0, 2), hours=st.integers(1, 4), first=st.booleans())
    def asks(self, who: int, gpus: int, hours: int, first: bool) -> None:
        wish = Wish(image_id=self.image_id, gpus=gpus, cpus=1, memory_gib=2, hours=hours, ask_first=first and gpus > 0)
        with suppress(Refused):
            lab_request(owner=self.people[who], wish=wish, now=self.now, actor=self.people[who])

    @precondition(lambda self: self.live())
    @rule(data=st.data())
    def stops(self, data: st.DataObject) -> None:
        lab = self.one(data)
        lab_stop(lab=lab, actor=lab.owner, now=self.now)
        self.stopped.add(lab.pk)

    @precondition(lambda self: self.live("running"))
    @rule(data=st.data(), gpus=st.integers(1, 2))
    def takes_a_gpu(self, data: st.DataObject, gpus: int) -> None:
        lab = self.one(data, "running")
        with suppress(Refused):
            lab_take_gpu(lab=lab, gpus=gpus, gpu_model="", actor=lab.owner, now=self.now)

    @precondition(lambda self: self.live("running"))
    @rule(data=st.data(), hours=st.integers(1, 12))
    def extends(self, data: st.DataObject, hours: int) -> None:
        lab = self.one(data, "running")
        with suppress(Refused):
            lab_extend(lab=lab, hours=hours, actor=lab.owner, now=self.now)

    @rule(who=st.integers(0, 2))
    def is_sent_away_or_let_in_again(self, who: int) -> None:
        self.people[who].is_active = not self.people[who].is_active
        self.people[who].save(update_fields=["is_active"])
        self.disturbed = True

    def passes(self, seconds: float) -> None:
        """On every clock."""
        self.now += timedelta(seconds=seconds)
        self.awake_s += seconds

    @rule(seconds=st.sampled_from([1, 7, 31, 95, 400, 3700, 90_000]))
    def time_passes(self, seconds: int) -> None:
        self.passes(seconds)
        self.disturbed = True

    @rule()
    def the_clock_is_set_back(self) -> None:
        self.now -= timedelta(seconds=40)
        self.set_back_s += 40

    @precondition(lambda self: self.runtime.names)
    @rule(data=st.data(), code=st.sampled_from([0, 1, 137]), oom=st.booleans())
    def a_container_ends(self, data: st.DataObject, code: int, oom: bool) -> None:
        self.runtime.exits(data.draw(st.sampled_from(sorted(self.runtime.names))), code=code, oom=oom)
        self.disturbed = True

    @precondition(lambda self: self.runtime.names)
    @rule(data=st.data())
    def a_container_is_removed_by_hand(self, data: st.DataObject) -> None:
        FakeRuntime.stop(self.runtime, data.draw(st.sampled_from(sorted(self.runtime.names))), 0)
        self.disturbed = True

    @rule(mood=st.sampled_from(["refusals", "silences", "losses"]), times=st.integers(1, 3))
    def the_engine_is_moody(self, mood: str, times: int) -> None:
        setattr(self.runtime, mood, times)
        self.disturbed = True

    @rule(number=st.integers(1, 3))
    def a_stray_appears(self, number: int) -> None:
        self.runtime.stray(f"gpulab-unknown{number}-1")
        self.disturbed = True

    @rule(index=st.integers(0, 3), health=st.sampled_from(["ok", "unknown", "drained"]))
    def a_card_is_sick_or_well(self, index: int, health: str) -> None:
        Gpu.objects.filter(index=index).update(health=health)

    @rule()
    def the_nodes_worker_goes_or_comes(self) -> None:
        self.away = not self.away
        self.disturbed = True

    @precondition(lambda self: self.live())
    @rule(data=st.data())
    def a_task_is_delivered_again(self, data: st.DataObject) -> None:
        lab = self.one(data)
        if not self.away:
            with suppress(RuntimeFault, ConnectionError):
                lab_start(lab_id=lab.pk, hands=self.hands)

    @rule()
    def tick(self) -> None:
        """One period of all loops; the node's own only while its worker is there."""
        self.passes(PERIOD.total_seconds())
        if not self.away:
            Node.objects.filter(pk=self.node.pk).update(heartbeat_at=self.now, state="ready")
        schedule.tick(now=self.now)
        if not self.away:
            with suppress(RuntimeFault):
                reconcile.tick(hands=self.hands, now=self.now)
        reap.tick(now=self.now)
        overdue = Lab.objects.filter(state__in=("starting", "stopping"), deadline_at__lte=self.now - PATIENCE - PERIOD)
        assert not overdue, f"past its deadline after a tick: {overdue.values()}"

    @rule()
    def two_ticks(self) -> None:
        """Most of a house's life is periods in which nothing is done to it."""
        self.tick()
        self.tick()

    def calm(self) -> None:
        """No more faults, and a few periods: containers are what the record says, and every wish for an end has come true."""
        self.away = False
        self.runtime.refusals = self.runtime.silences = self.runtime.losses = 0
        self.passes(61 + self.set_back_s)  # whatever rested after failures is tried again, also what was to rest until an hour that came twice
        for _ in range(6):
            self.tick()
        placed = Lab.objects.filter(state__in=("starting", "running", "stopping"))
        assert {f"gpulab-{lab.pk}-{lab.attempt}" for lab in placed} == self.runtime.names - set(Stray.objects.values_list("name", flat=True))
        assert not Lab.objects.filter(pk__in=self.stopped, state__in=LIVE)
        assert not Lab.objects.filter(state__in=LIVE, owner__is_active=False)
        self.disturbed = False

    @invariant()
    def no_card_is_held_twice(self) -> None:
        assert not self.sql("SELECT gpu_id FROM lifecycle_lease WHERE closed_at IS NULL GROUP BY gpu_id HAVING count(*) > 1")

    @invariant()
    def nobody_is_above_the_cap(self) -> None:
        held = dict(
            self.sql(
                "SELECT lab.owner_id, count(*) FROM lifecycle_lease lease JOIN lifecycle_lab lab ON lab.id = lease.lab_id "
                "WHERE lease.closed_at IS NULL AND lease.attempt = lab.attempt GROUP BY lab.owner_id"
            )
        )
        assert all(count <= self.caps[owner] for owner, count in held.items())

    @invariant()
    def what_has_ended_or_waits_holds_nothing(self) -> None:
        held = "SELECT lab.id, lab.state FROM lifecycle_lease lease JOIN lifecycle_lab lab ON lab.id = lease.lab_id WHERE lease.closed_at IS NULL"
        assert not self.sql(f"{held} AND lab.state IN ('queued', 'stopped', 'failed')")

    @invariant()
    def a_running_container_holds_its_cards(self) -> None:
        rows = self.sql("SELECT id, attempt, gpus FROM lifecycle_lab WHERE state = 'running'")
        for lab_id, attempt, gpus in rows:
            [[held]] = self.sql("SELECT count(*) FROM lifecycle_lease WHERE closed_at IS NULL AND lab_id = %s AND attempt = %s", lab_id, attempt)
            assert held == gpus, f"{lab_id} runs with {held} of {gpus} cards"

    @invariant()
    def counted(self) -> None:
        HouseMachine.steps += 1

    def live(self, *states: str) -> list[Lab]:
        return list(Lab.objects.filter(state__in=states or LIVE).order_by("requested_at", "pk"))

    def one(self, data: st.DataObject, *states: str) -> Lab:
        return self.live(*states)[data.draw(st.integers(0, len(self.live(*states)) - 1))]

    def sql(self, query: str, *values: Any) -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(query, values)
            return list(cursor.fetchall())


@pytest.fixture
def machine(node: Node, image: Any, alice: User, bob: User, charlie: User, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[HouseMachine]]:
    for index in (2, 3):
        Gpu.objects.create(uuid=f"GPU-0000000{index}-test", node=node, index=index, model="NVIDIA H200", memory_mib=143771, compute_capability="9.0")
    monkeypatch.setattr(reconcile, "pool", AtOnce())
    monkeypatch.setattr(worker.hands, "close_old_connections", lambda: None)
    monkeypatch.setattr(worker.hands, "time", worker.hands.time)
    monkeypatch.setattr(Lab._meta.pk, "_get_default", HouseMachine.next_id)
    HouseMachine.node, HouseMachine.image_id, HouseMachine.steps = node, image.pk, 0
    HouseMachine.caps = {person.pk: limits_of(user=person, now=node.heartbeat_at).gpus_max for person in (alice, bob, charlie)}
    yield HouseMachine


def _run(machine: type[HouseMachine], examples: int) -> None:
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture]
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=STEPS, deadline=None, suppress_health_check=quiet, database=None, print_blob=True)
    )


@pytest.mark.timeout(600)
def test_no_order_of_wishes_faults_and_clocks_breaks_the_books_in_2000_steps(machine: type[HouseMachine]):
    _run(machine, int(os.environ.get("GPULAB_TEST_EXAMPLES", 30)))
    print(f"\n{machine.steps} steps")
    assert machine.steps >= 2000


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_no_order_of_wishes_faults_and_clocks_breaks_the_books_in_10000_steps(machine: type[HouseMachine]):
    _run(machine, int(os.environ.get("GPULAB_TEST_EXAMPLES", "150")))
    print(f"\n{machine.steps} steps")
    assert machine.steps >= 10_000
