"""The worker takes care of itself: its clock, its turn, its watchdog, its disks, its rest after failures."""

import itertools
from concurrent.futures import Executor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from celery.worker.consumer import Consumer
from kombu import Connection
from kombu.exceptions import OperationalError
from kombu.utils.imports import symbol_by_name

from labs.lifecycle.models import Lab
from labs.turns.models import Turn
from tests.support.hands import AtOnce, NoCards, Round, round_of  # noqa: F401  (fixture)
from tests.support.ports import port_free
from worker import turns
from worker.clock import HouseClock
from worker.consuming import SteadyConsumer
from worker.disks import disk_checks, used_pct
from worker.hands import Hands
from worker.loops import reap
from worker.runtimes.base import RuntimeFault
from worker.runtimes.fake import FakeRuntime
from worker.turns import in_turn, node_in_turn, turns_give_back
from worker.watchdog import EVERY_S, WITHIN_S, Watchdog

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Beat:
    """A database's clock and a boot clock that the test moves, together or apart."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.database: datetime | None = NOON

    def look(self) -> datetime:
        if self.database is None:
            raise OSError("away")
        return self.database

    def passes(self, seconds: float) -> None:
        self.seconds += seconds
        if self.database is not None:
            self.database += timedelta(seconds=seconds)


@pytest.fixture
def beat() -> Beat:
    return Beat()


@pytest.fixture
def clock(beat: Beat) -> HouseClock:
    return HouseClock(beat.look, beat=lambda: beat.seconds)


def test_the_house_has_the_databases_time(beat, clock):
    beat.passes(90)
    assert clock.now() == NOON + timedelta(seconds=90)


def test_the_clock_goes_on_with_the_database_away(beat, clock):
    beat.database = None
    beat.passes(600)
    assert clock.now() == NOON + timedelta(minutes=10)


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(days=1), -timedelta(hours=1)])
def test_a_jump_of_the_databases_clock_moves_nobodys_time_and_is_told(beat, clock, jump, caplog):
    beat.database += jump
    beat.passes(30)
    clock.now()
    beat.passes(30)
    assert clock.now() == NOON + timedelta(minutes=1)
    assert clock.jump == jump and "jumped" in caplog.text


def test_a_clock_that_is_set_right_by_seconds_is_followed(beat, clock):
    beat.database += timedelta(seconds=3)
    beat.passes(10)
    assert clock.now() == NOON + timedelta(seconds=13) and not clock.jump


class Kennel:
    """A watchdog with everything that it can see."""

    def __init__(self) -> None:
        self.now, self.broker, self.sent, self.ended = 0.0, True, 0, 0
        self.dog = Watchdog(send=self._send, broker_answers=lambda: self.broker, end=self._end, clock=lambda: self.now)

    def _send(self) -> None:
        self.sent += 1

    def _end(self) -> None:
        self.ended += 1

    def passes(self, seconds: float, *, consumed: bool) -> None:
        for _ in range(int(seconds / EVERY_S)):
            self.now += EVERY_S
            self.dog.look()
            if consumed:
                self.dog.felt()


def test_a_worker_that_consumes_is_left_alone():
    kennel = Kennel()
    kennel.passes(300, consumed=True)
    assert kennel.sent == 100 and not kennel.ended


def test_a_worker_that_consumes_no_more_is_ended():
    kennel = Kennel()
    kennel.passes(WITHIN_S + 2 * EVERY_S, consumed=False)
    assert kennel.ended


def test_a_broker_that_is_away_is_looked_for_every_second_however_long(monkeypatch):
    waits: list[float] = []

    def looked_for(self: Consumer, conn: Connection) -> Connection:
        return conn.ensure_connection(lambda fault, wait: waits.append(wait), max_retries=40)

    monkeypatch.setattr(Consumer, "ensure_connected", looked_for)
    monkeypatch.setattr("kombu.utils.functional.sleep", lambda _: None)
    consumer = SteadyConsumer.__new__(SteadyConsumer)
    with pytest.raises(OperationalError):
        consumer.ensure_connected(Connection(f"redis://127.0.0.1:{port_free()}/0"))
    assert len(waits) == 40 and set(waits) == {1}
    assert current_app.conf.broker_connection_max_retries is None
    assert symbol_by_name(current_app.conf.worker_consumer) is SteadyConsumer


def test_a_task_that_is_at_work_while_its_link_goes_ends_and_the_worker_does_not(monkeypatch):
    monkeypatch.setattr(Consumer, "ensure_connected", lambda self, conn: conn)
    link = SteadyConsumer.__new__(SteadyConsumer).ensure_connected(Connection("redis://127.0.0.1:1/0"))
    channel = link.transport.Channel.__new__(link.transport.Channel)
    channel.connection = link.transport
    assert channel._connparams()["port"] == 1 and link.as_uri().startswith("redis://")
    link._do_close_transport()  # as Celery does with a link that broke, before what was at work is acknowledged over it
    with pytest.raises(link.connection_errors):
        channel._connparams()


def test_a_broker_that_is_away_is_no_reason_to_end_and_neither_is_its_return():
    kennel = Kennel()
    kennel.broker = False
    kennel.passes(600, consumed=False)
    kennel.broker = True
    kennel.passes(10, consumed=False)
    assert not kennel.ended


def test_a_full_disk_is_red_a_nearly_full_one_is_yellow_and_a_missing_one_is_not_told(tmp_path, monkeypatch):
    for pct, state in ((50, "green"), (80, "yellow"), (90, "red"), (100, "red")):
        monkeypatch.setattr("worker.disks.used_pct", lambda path, pct=pct: pct)
        [check] = disk_checks({"labs and workspaces": tmp_path})
        assert check.state == state and "labs and workspaces" in check.words
    monkeypatch.undo()
    assert disk_checks({"gone": tmp_path / "gone"}) == []
    found = used_pct(Path("/"))
    assert found is not None and 0 <= found <= 100


def test_work_that_fails_rests_longer_each_time_and_begins_anew_once_it_has_succeeded(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("worker.hands.time.monotonic", lambda: now[0])
    hands = Hands(node_id="n1", runtime=FakeRuntime(), probe=NoCards())
    pool: Executor = AtOnce()
    tries: list[float] = []

    def work() -> None:
        tries.append(now[0])
        if len(tries) not in (9, 11):
            raise RuntimeFault("no")

    while now[0] < 400:
        hands.once(pool, "lab", work)
        now[0] += 1
    waits = [after - before for before, after in itertools.pairwise(tries)]
    assert waits[:11] == [2, 4, 8, 16, 32, 60, 60, 60, 1, 2, 1]  # what fails again after that rests as at first


@pytest.mark.django_db(transaction=True)
class TestTurns:
    """One worker at a time."""

    def test_the_turn_is_one_workers_until_it_gives_it_back(self, monkeypatch):
        done: list[Any] = []
        assert in_turn(name="schedule", work=done.append) and in_turn(name="schedule", work=done.append)
        assert len(set(done)) == 1 and node_in_turn(name="schedule") == "local"
        monkeypatch.setattr(turns, "holder", lambda: "n2:1:x")
        monkeypatch.setattr(turns, "_held", set())
        assert not in_turn(name="schedule", work=done.append)
        monkeypatch.undo()
        turns_give_back()
        monkeypatch.setattr(turns, "holder", lambda: "n2:1:x")
        assert in_turn(name="schedule", work=done.append) and node_in_turn(name="schedule") == "n2"
        assert Turn.objects.get().fence == done[-1] > done[0]


@pytest.mark.django_db(transaction=True)
class TestReaper:
    """No lab stays in a moving state past its deadline, whoever is away."""

    def placed(self, lab_of, alice, round_of) -> tuple[Lab, Round]:
        lab, house = lab_of(alice, gpus=1), round_of()
        from worker.loops import schedule

        schedule.tick(now=house.now)
        return Lab.objects.get(pk=lab.pk), house

    def test_a_start_on_a_node_whose_worker_is_away_is_given_up_and_its_card_stays_held(self, lab_of, alice, node, round_of):
        lab, house = self.placed(lab_of, alice, round_of)
        node.state = "unknown"
        node.save()
        assert reap.tick(now=house.now + timedelta(seconds=301)) == 0, "its own node goes first"
        assert reap.tick(now=house.now + timedelta(seconds=316)) == 1
        lab.refresh_from_db()
        assert (lab.state, lab.reason_code) == ("stopping", "node_silent") and lab.leases.filter(closed_at=None).count() == 1

    def test_an_end_that_nobody_confirms_is_told_and_gets_a_new_deadline_again_and_again(self, lab_of, alice, round_of):
        lab, house = self.placed(lab_of, alice, round_of)
        now = house.now + timedelta(seconds=316)
        reap.tick(now=now)
        for _ in range(3):
            now += timedelta(seconds=106)
            assert reap.tick(now=now) == 1
            lab.refresh_from_db()
            assert lab.deadline_at > now and "held until then" in lab.stage_words
        house.now = now
        house.until(lab, "failed")
        lab.refresh_from_db()
        assert not lab.stage_words and not lab.leases.filter(closed_at=None).exists()
