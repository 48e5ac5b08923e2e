"""What every probe promises, held against each of them."""

import threading
import time
from collections.abc import Callable

import pytest

from worker.probes.base import GpuReading, Probe
from worker.probes.choose import probe_choose
from worker.probes.fake import ScriptedProbe, card, reading
from worker.probes.none import NoProbe
from worker.probes.simulated import SimulatedProbe

PROBES: dict[str, Callable[[], Probe]] = {
    "simulated": lambda: SimulatedProbe(3, node_id="n1"),
    "scripted": lambda: ScriptedProbe([reading(card("GPU-a"), card("GPU-b", index=1, fault="The GPU is lost."))]),
    "none": NoProbe,
}


def holds(cards: list[GpuReading]) -> None:
    """What is true of the cards of any reading."""
    assert len({one.uuid for one in cards}) == len(cards)
    for one in cards:
        assert one.uuid.startswith("MIG-" if one.parent else "GPU-")
        assert one.gpu_pct is None or 0 <= one.gpu_pct <= 100
        assert one.memory_used_mib is None or one.memory_total_mib is None or 0 <= one.memory_used_mib <= one.memory_total_mib
        assert one.fault or one.model


@pytest.fixture(params=list(PROBES))
def probe(request: pytest.FixtureRequest) -> Probe:
    return PROBES[request.param]()


def test_reading_is_plausible_quick_and_repeatable(probe: Probe) -> None:
    began = time.monotonic()
    first, second = probe.read(), probe.read()
    assert time.monotonic() - began < 2
    holds(list(first.gpus))
    assert [one.uuid for one in first.gpus] == [one.uuid for one in second.gpus]
    assert first.kind == probe.kind


@pytest.mark.parametrize("make", PROBES.values(), ids=PROBES)
def test_closing_twice_is_closing_and_leaves_no_thread(make: Callable[[], Probe]) -> None:
    before = set(threading.enumerate())
    probe = make()
    probe.read()
    probe.close()
    probe.close()
    assert set(threading.enumerate()) <= before


def test_simulated_cards_say_so_in_their_name_and_keep_their_identity() -> None:
    cards = SimulatedProbe(2, node_id="n1", clock=lambda: 1000.0).read().gpus
    assert all("SIMULATED" in one.model for one in cards)
    assert cards == SimulatedProbe(2, node_id="n1", clock=lambda: 1000.0).read().gpus
    assert cards[0].uuid != SimulatedProbe(2, node_id="n2").read().gpus[0].uuid


def test_a_simulated_load_rises_and_falls() -> None:
    moment = [0.0]
    probe = SimulatedProbe(1, clock=lambda: moment[0])
    loads = []
    for second in range(0, 120, 5):
        moment[0] = float(second)
        loads.append(probe.read().gpus[0].gpu_pct or 0)
    assert max(loads) > 80
    assert min(loads) < 20


@pytest.mark.parametrize(("wanted", "kind"), [("simulated", "simulated"), ("none", "none"), ("nvml", "nvml")])
def test_the_setting_forces_a_probe_and_the_words_name_it(wanted: str, kind: str) -> None:
    probe, words = probe_choose(wanted, simulated=2, node_id="n1")
    assert probe.kind == kind
    assert f"GPULAB_PROBE={wanted}" in words
    probe.close()
