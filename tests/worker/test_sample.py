"""The sampling loop: probe -> fleet, telemetry, and each lab's use."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from labs.bus.redis import client
from labs.fleet.models import Gpu, Node
from labs.lifecycle.models import Lab, Lease
from labs.telemetry import queries
from tests.support.hands import AtOnce, Round, round_of  # noqa: F401  (fixture)
from worker.hands import Hands
from worker.loops import sample, usage
from worker.probes.base import GpuProcess, ProbeFault
from worker.probes.fake import ScriptedProbe, card, reading
from worker.probes.simulated import SimulatedProbe
from worker.runtimes.base import MIB, RuntimeFault, Usage
from worker.runtimes.fake import FakeRuntime

pytestmark = pytest.mark.django_db(transaction=True)
ONE, TWO = "GPU-00000000-test", "GPU-00000001-test"
HEALTHY = reading(card(ONE), card(TWO, index=1))


@pytest.fixture(autouse=True)
def _empty_shelf(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(usage, "pool", AtOnce())
    usage.owners_of_pids.clear()
    client().flushdb()
    yield
    client().flushdb()


def _hands(node: Node, *script: Any) -> Hands:
    return Hands(node_id=node.pk, runtime=FakeRuntime(node_id=node.pk), probe=ScriptedProbe(script), probe_words="Read from the NVIDIA driver.")


def _ticks(hands: Hands, now: datetime, count: int) -> datetime:
    for step in range(count):
        sample.tick(hands=hands, now=now + timedelta(seconds=2 * step))
    return now + timedelta(seconds=2 * (count - 1))


def test_a_reading_is_what_is_now(node, now):
    _ticks(_hands(node, HEALTHY), now, 1)
    assert queries.latest_cards(now=now)[ONE]["gpu_pct"] == 50


def test_a_new_card_joins_the_fleet_by_its_uuid(node, now):
    _ticks(_hands(node, reading(card(ONE), card(TWO, index=1), card("GPU-new", index=2))), now, 1)
    assert Gpu.objects.get(pk="GPU-new").node == node


def test_a_card_that_fails_three_times_is_unknown_and_comes_back(node, now):
    lost = reading(card(ONE, fault="The GPU is lost (error 15)."), card(TWO, index=1))
    hands = _hands(node, lost, lost, lost, HEALTHY)
    _ticks(hands, now, 2)
    assert Gpu.objects.get(pk=ONE).health == "ok"
    _ticks(hands, now, 1)
    assert (Gpu.objects.get(pk=ONE).health, Gpu.objects.get(pk=TWO).health) == ("unknown", "ok")
    assert "error 15" in Gpu.objects.get(pk=ONE).health_words
    _ticks(hands, now, 1)
    assert Gpu.objects.get(pk=ONE).health == "ok"


def test_a_driver_that_fails_makes_every_card_unknown_says_so_and_simulates_nothing(node, now):
    at = _ticks(_hands(node, HEALTHY, ProbeFault("The driver has not answered for 2 s.")), now, 4)
    assert set(Gpu.objects.values_list("health", flat=True)) == {"unknown"}
    assert not Gpu.objects.filter(simulated=True).exists()
    node.refresh_from_db()
    assert (node.probe_kind, node.probe_words, node.driver) == ("nvml", "The driver has not answered for 2 s.", "580.65.06")
    newest = queries.latest(now=at)[node.pk]
    assert newest["fault"] == "The driver has not answered for 2 s."
    assert {one["model"] for one in newest["cards"]} == {"NVIDIA H200"}


def test_words_of_a_fault_go_when_the_driver_is_well_again(node, now):
    _ticks(_hands(node, ProbeFault("It hangs."), HEALTHY), now, 2)
    node.refresh_from_db()
    assert node.probe_words == "Read from the NVIDIA driver."


def test_a_card_that_an_administrator_took_out_stays_out(node, now):
    Gpu.objects.filter(pk=ONE).update(health="drained")
    _ticks(_hands(node, HEALTHY), now, 1)
    assert Gpu.objects.get(pk=ONE).health == "drained"


def test_simulated_cards_are_marked_in_the_record(node, now):
    Gpu.objects.all().delete()
    hands = replace(_hands(node), probe=SimulatedProbe(2, node_id=node.pk), probe_words="SIMULATED cards")
    _ticks(hands, now, 1)
    assert set(Gpu.objects.values_list("simulated", "model")) == {(True, "SIMULATED H200")}
    assert queries.latest(now=now)[node.pk]["simulated"]


class UsedRuntime(FakeRuntime):
    """Labs that use something, with one process on the host."""

    def usage(self, name: str) -> Usage | None:
        return Usage(cpu_ns=10**9, memory_bytes=100 * MIB, shm_bytes=2 * MIB, oom_kills=1)

    def processes(self, name: str) -> list[int]:
        return [4242]


class DeafRuntime(FakeRuntime):
    """An engine that does not answer."""

    def usage(self, name: str) -> Usage | None:
        raise RuntimeFault("The engine does not answer.")


def _running(lab_of: Callable[..., Lab], owner: Any, now: datetime) -> Lab:
    lab = lab_of(owner, gpus=1)
    Lab.objects.filter(pk=lab.pk).update(state="running", node_id="n1")
    Lease.objects.create(lab=lab, gpu_id=ONE, attempt=1, opened_at=now)
    return lab


def _busy(*pids: int) -> Any:
    processes = tuple(GpuProcess(pid, 512, "python", "python train.py") for pid in pids)
    return reading(replace(card(ONE), processes=processes), card(TWO, index=1))


def test_a_labs_use_is_recorded_with_its_cards_and_a_killed_process_is_told(node, now, lab_of, alice):
    lab = _running(lab_of, alice, now)
    hands = replace(_hands(node, HEALTHY), runtime=UsedRuntime(node_id=node.pk))
    _ticks(hands, now, 1)
    used = queries.lab_usage_latest(lab_id=lab.pk, now=now)
    assert used
    assert (used["memory_mib"], used["shm_mib"], [one["uuid"] for one in used["gpus"]]) == (100, 2, [ONE])
    assert Lab.objects.get(pk=lab.pk).notices[0]["code"] == "out_of_memory"


def test_a_process_is_mapped_to_its_lab_and_a_stranger_to_none(node, now, lab_of, alice):
    lab = _running(lab_of, alice, now)
    hands = replace(_hands(node, _busy(4242, 7)), runtime=UsedRuntime(node_id=node.pk))
    at = _ticks(hands, now, 2)
    found = {one["pid"]: one["lab"] for one in queries.latest_cards(now=at)[ONE]["processes"]}
    assert found == {4242: lab.pk, 7: ""}
    assert queries.latest_cards(now=at)[ONE]["holder"]["owner_name"] == "Alice"


def test_an_engine_that_does_not_answer_stops_no_reading(node, now, lab_of, alice):
    _running(lab_of, alice, now)
    hands = replace(_hands(node, HEALTHY), runtime=DeafRuntime(node_id=node.pk))
    at = _ticks(hands, now, 2)
    assert queries.latest_cards(now=at)[ONE]["gpu_pct"] == 50
