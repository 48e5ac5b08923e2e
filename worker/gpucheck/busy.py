"""Checks with a program on a card: is it seen, is the card busy then, does it end, and is the card clean afterwards?"""

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labs.fleet.rules import SLACK_MIB, unclean
from labs.idleness.rules import Rules
from worker.gpucheck import hold
from worker.gpucheck.reading import times, whole_cards
from worker.gpucheck.report import Failed, Found, LeftOut
from worker.probes.base import GpuReading, NodeReading, Probe

PROGRAM = Path(hold.__file__)
#: A driver that nobody kept awake needs seconds for its first program.
BEGINS_WITHIN_S = 60.0
#: A card that is not clean after this is held back from the next lab (labs.fleet.sickness.HELD_REPORT_AFTER).
SEEN_WITHIN_S = CLEAN_WITHIN_S = 30.0
LONGEST_S = 120
EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class Bench:
    """What these checks share: the probe, a card that nobody uses as it was before, how much memory to hold on it, how soon it must be clean."""

    probe: Probe
    card: GpuReading
    mib: int
    clean_within_s: float

    def now(self) -> GpuReading:
        """The card at this moment."""
        found = next((one for one in self.probe.read().gpus if one.uuid == self.card.uuid), None)
        if found is None:
            raise Failed(f"{self.card.uuid} is not listed any more.")
        return found


def cards_to_try(reading: NodeReading, wanted: str) -> list[GpuReading]:
    """The card asked for by index or UUID, else every one."""
    found = [one for one in whole_cards(reading) if wanted in ("", one.uuid, str(one.index))]
    if not found:
        raise LeftOut(f"There is no card {wanted}.")
    return found


def why_not(card: GpuReading) -> str:
    """Why nothing is to compute on this card, in words; empty for one that nobody uses."""
    return "It is in MIG mode: labs with its slices try it." if card.mig else in_use(card, None)


def in_use(card: GpuReading, baseline_mib: int | None) -> str:
    """Why the house would not give this card to the next lab, in its own rule's words; empty for a clean one."""
    return unclean(strangers=[f"process {one.name} ({one.pid})" for one in card.processes], used_mib=card.memory_used_mib, baseline_mib=baseline_mib)


def environment(uuid: str) -> dict[str, str]:
    """That of a lab which has this card, or none for an empty UUID."""
    return os.environ | {"CUDA_VISIBLE_DEVICES": uuid, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


@contextmanager
def program(card: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """The program of hold.py as if in a lab of that card, and its first line; killed at the end whatever happens."""
    process = subprocess.Popen([sys.executable, "-I", str(PROGRAM), *arguments], env=environment(card), text=True, stdout=subprocess.PIPE)
    try:
        yield process, _first_line(process)
    finally:
        process.kill()
        process.communicate()


def _first_line(process: "subprocess.Popen[str]") -> dict[str, Any]:
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout or sys.stdin, selectors.EVENT_READ)
        if not selector.select(BEGINS_WITHIN_S):
            raise Failed(f"A program on the card did not begin within {BEGINS_WITHIN_S:.0f} s.")
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise Failed("A program on the card ended without a word.")
    return dict(json.loads(line))


def until(look: Callable[[], GpuReading], holds: Callable[[GpuReading], bool], within_s: float) -> tuple[GpuReading, float]:
    """Look again until it holds, or the last look after `within_s`; and the seconds that it took."""
    began = time.monotonic()
    while True:
        found, took = look(), time.monotonic() - began
        if holds(found) or took > within_s:
            return found, round(took, 2)
        time.sleep(EVERY_S)


def visible(bench: Bench) -> Found:
    """A program sees the card that its lab has and no other, and none in a lab without."""
    with program(bench.card.uuid, "look") as (_, mine), program("", "look") as (_, none):
        seen, unasked = _cards(mine), _cards(none)
    if seen != [bench.card.uuid]:
        raise Failed(f"A program that was given {bench.card.uuid} sees {' and '.join(seen) or 'no card'}.")
    if unasked:
        raise Failed(f"A program that was given no card sees {' and '.join(unasked)}.")
    return Found("a program sees the card that it was given, by its UUID, and none where it was given none.")


def _cards(line: dict[str, Any]) -> list[str]:
    if "error" in line:
        raise Failed(f"CUDA cannot be used: {line['error']}.")
    return list(line["cards"])


def whole_life(bench: Bench, readings: int) -> Found:
    """A program holds memory and computes: seen, not idle, read in time; refuses a polite end, is killed, and the card is clean again."""
    with program(bench.card.uuid, "hold", str(bench.mib), str(LONGEST_S)) as (process, line):
        _cards(line)
        seen_s, named = _seen(bench, process.pid)
        busy = _busy(bench)
        under_load = times(bench.probe, readings)
        _refuses_to_end(process)
        process.kill()
        process.wait()
        clean_s = _clean(bench)
    own = "named by its process id" if named else "named by another process id than it has here, as inside a container"
    watt = f", {busy.power_w:g} W" if busy.power_w is not None else ""
    return Found(
        f"{bench.mib} MiB and their process were seen after {seen_s:g} s, {own}; load {busy.gpu_pct}%{watt}; "
        f"SIGTERM was ignored; {clean_s:g} s after SIGKILL the card was clean. While it computed: {under_load.words}",
        {**under_load.figures, "seen_s": seen_s, "clean_s": clean_s, "gpu_pct": busy.gpu_pct, "power_w": busy.power_w},
    )


def _seen(bench: Bench, pid: int) -> tuple[float, bool]:
    """After how many seconds process and memory are seen, each by the house's rule; and whether by this process id."""
    found, took = until(bench.now, lambda card: bool(card.processes) and _grown(bench, card) >= bench.mib, SEEN_WITHIN_S)
    if not found.processes:
        raise Failed(f"A program that holds {bench.mib} MiB of GPU {bench.card.index} is not listed among its processes.")
    if _grown(bench, found) < bench.mib:
        raise Failed(f"A program holds {bench.mib} MiB of GPU {bench.card.index}, whose memory in use grew by {_grown(bench, found)} MiB.")
    if not unclean(strangers=(), used_mib=found.memory_used_mib, baseline_mib=bench.card.memory_used_mib):
        raise Failed(f"{bench.mib} MiB more than before pass for clean.")
    return took, any(one.pid == pid for one in found.processes)


def _grown(bench: Bench, card: GpuReading) -> int:
    return (card.memory_used_mib or 0) - (bench.card.memory_used_mib or 0)


def _busy(bench: Bench) -> GpuReading:
    """The card at work, which the rule for idle labs must not call idle."""
    idle_below = Rules().gpu_pct_below
    found, _ = until(bench.now, lambda card: (card.gpu_pct or 0) >= idle_below, SEEN_WITHIN_S)
    if (found.gpu_pct or 0) < idle_below:
        raise Failed(f"GPU {bench.card.index} computes without a pause and reports a load of {found.gpu_pct}%: labs on it would pass for idle.")
    return found


def _refuses_to_end(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(1)
    except subprocess.TimeoutExpired:
        return
    raise Failed(f"The program ended by itself (status {process.returncode}) while it should have ignored SIGTERM.")


def _clean(bench: Bench) -> float:
    baseline = bench.card.memory_used_mib
    found, took = until(bench.now, lambda card: not in_use(card, baseline), bench.clean_within_s)
    if words := in_use(found, baseline):
        raise Failed(f"{bench.clean_within_s:g} s after its program was killed GPU {bench.card.index} is not clean ({SLACK_MIB} MiB are allowed for). {words}")
    return took


def too_much(bench: Bench) -> Found:
    """A program that wants more than the card has is refused with CUDA's own word for it, and leaves nothing."""
    wanted = (bench.card.memory_total_mib or 0) + bench.mib
    with program(bench.card.uuid, "hold", str(wanted), "1") as (_, line):
        error = str(line.get("error", ""))
    if "OUT_OF_MEMORY" not in error:
        raise Failed(f"A program asked for {wanted} MiB of a card that has {bench.card.memory_total_mib}: {error or 'it got them'}.")
    return Found(f"{wanted} MiB were refused ({error}); the card was clean after {_clean(bench):g} s.")


def checks(bench: Bench, readings: int, card: str) -> Sequence[tuple[str, Callable[[], Found]]]:
    """All of them, in the order in which they make sense; `card` ends each name."""
    return (
        (f"which cards a program sees{card}", lambda: visible(bench)),
        (f"a program on the card{card}", lambda: whole_life(bench, readings)),
        (f"more memory than there is{card}", lambda: too_much(bench)),
    )
