"""How soon the house is well again after a fault: each injected again and again, beside the line that it must meet.

    python benchmarks/recovery.py [--runs 20] [--away 5] [--faults worker,broker=8] [--json FILE]

A whole house (tools.up, with PostgreSQL, Redis and a container engine of its own in a network of its own) with labs of a
small program, the loops at their default of 5 s. Needs root, an engine's programs, PostgreSQL and Redis; no GPU. For each
fault: median and worst seconds from the moment that the fault is over (or was made, where it does not end) to the
moment named, and the pass line. After each run the books: orphans, cards booked twice and rows stuck must be 0.
Each fault is made once before any is made again, so that what is cut off (Ctrl-C, SIGTERM) has measured all of them; what was measured is printed and kept
then too. 20 runs of all take about 25 minutes on an idle machine with services away for 5 s. `broker=8` is eight runs of one fault.
"""

import argparse
import contextlib
import json
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ["GPULAB_TEST_RECONCILE_S"] = "5"

import httpx

from tests.faults.world import World, world_made
from tests.support.waiting import wait_for

#: Labs that ran their part are ended together, once there are more of them.
LIVE, MOST_LIVE = "SELECT id FROM lifecycle_lab WHERE state IN ('starting', 'running')", 2


@dataclass(frozen=True, slots=True)
class Fault:
    """`run(world, away_s)` makes it, waits until the house is well again, and says how long that took in seconds."""

    name: str
    until: str
    line_s: float
    run: Callable[[World, float], float]


@dataclass
class Recovery:
    """What was measured of one fault: seconds of each run, and what went wrong in others."""

    fault: Fault
    spells: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def is_met(self) -> bool:
        """Was the house well again each time, in time, with its books right?"""
        return not self.wrong and all(spell <= self.fault.line_s for spell in self.spells)

    def facts(self) -> dict[str, Any]:
        """For a program."""
        median, worst = (statistics.median(self.spells), max(self.spells)) if self.spells else (None, None)
        of = {"name": self.fault.name, "until": self.fault.until, "line_s": self.fault.line_s}
        return of | {"runs": len(self.spells), "median_s": median, "worst_s": worst, "spells_s": self.spells, "wrong": self.wrong}

    def line(self) -> str:
        """For a person."""
        if not self.spells:
            return f"{self.fault.name:38} {'-':>4}"
        figures = f"{len(self.spells):4} {statistics.median(self.spells):7.1f}s {max(self.spells):7.1f}s {self.fault.line_s:5.0f}s"
        return f"{self.fault.name:38} {figures}  {self.fault.until}"


def since(moment: float) -> float:
    """Seconds since then."""
    return time.monotonic() - moment


def worker_killed(world: World, away_s: float) -> float:
    """Killed while a lab starts."""
    lab_id = world.launch()
    os.kill(world.pid_of("worker") or 0, signal.SIGKILL)
    began = time.monotonic()
    world.house.lab_until("alice", lab_id, "running", within=60)
    return since(began)


def broker_away(world: World, away_s: float) -> float:
    """Stopped, and back empty."""
    world.broker.stop()
    time.sleep(away_s)
    world.broker.start()
    began = time.monotonic()
    lab_id = world.launch()
    world.house.lab_until("alice", lab_id, "running", within=60)
    wait_for(world.broker.consumers, within=60, what="workers that consume")
    return since(began)


def broker_reset(world: World, away_s: float) -> float:
    """Every link to it reset."""
    wait_for(world.broker.consumers, within=60, what="workers that consume")
    before = set(world.broker.consumers())
    world.broker.client.client_kill_filter(_type="normal")
    began = time.monotonic()
    wait_for(lambda: set(world.broker.consumers()) - before, within=90, what="workers that consume again")
    return since(began)


def database_away(world: World, away_s: float) -> float:
    """Stopped at once, and started again."""
    world.postgres.stop()
    time.sleep(away_s)
    world.postgres.start()
    began = time.monotonic()

    def asked() -> str:
        try:
            return world.launch()
        except AssertionError:
            return ""

    lab_id = wait_for(asked, within=60, what="a launch that is taken")
    world.house.lab_until("alice", lab_id, "running", within=60)
    return since(began)


def engine_killed(world: World, away_s: float) -> float:
    """Killed and started again; a container that died meanwhile is seen."""
    lab_id = world.running()
    pid = world.engine.inspect_container(f"gpulab-{lab_id}-1")["State"]["Pid"]
    world.engine_signal(signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    world.host("engine")
    began = time.monotonic()
    world.house.lab_until("alice", lab_id, "failed", within=60)
    return since(began)


def engine_hangs(world: World, away_s: float) -> float:
    """Stopped by a signal until its node is unknown; then it goes on."""
    world.engine_signal(signal.SIGSTOP)
    try:
        wait_for(lambda: world.rows("SELECT 1 FROM fleet_node WHERE state = 'unknown'"), within=60, what="an unknown node")
        lab_id = world.launch()
    finally:
        world.engine_signal(signal.SIGCONT)
    began = time.monotonic()
    world.house.lab_until("alice", lab_id, "running", within=60)
    return since(began)


def container_removed(world: World, away_s: float) -> float:
    """By hand."""
    lab_id = world.running()
    world.engine.remove_container(f"gpulab-{lab_id}-1", force=True)
    began = time.monotonic()
    world.house.lab_until("alice", lab_id, "failed", within=60)
    return since(began)


def memory_ran_out(world: World, away_s: float) -> float:
    """In the lab's main process, which the kernel has killed for it."""
    lab_id = world.running()
    engine, name = world.engine, f"gpulab-{lab_id}-1"
    port = engine.inspect_container(name)["NetworkSettings"]["Ports"]["8888/tcp"][0]["HostPort"]
    pid = engine.inspect_container(name)["State"]["Pid"]
    httpx.get(f"http://127.0.0.1:{port}/grow", timeout=10)
    wait_for(lambda: not Path(f"/proc/{pid}/exe").exists(), within=60, what="the end of a process that grows")
    began = time.monotonic()
    world.house.lab_until("alice", lab_id, "failed", within=60)
    return since(began)


FAULTS = {
    "worker": Fault("1 worker killed while a lab starts", "the lab runs", 30, worker_killed),
    "broker": Fault("4 Redis away", "a lab asked for after its return runs, and workers consume", 30, broker_away),
    "reset": Fault("6 links to Redis reset", "workers consume", 60, broker_reset),
    "database": Fault("7 PostgreSQL away", "a lab asked for after its return runs", 15, database_away),
    "engine": Fault("9 engine killed and restarted", "what died meanwhile is known", 15, engine_killed),
    "hang": Fault("10 engine hung", "the lab that waited for it runs", 30, engine_hangs),
    "container": Fault("11 container removed by hand", "its lab has ended in words", 15, container_removed),
    "memory": Fault("14 memory ran out in a lab", "its lab has ended in words", 15, memory_ran_out),
}


def chosen(text: str) -> list[tuple[Fault, int]]:
    """`worker,broker=5` -> these faults, and how often each is made where that is said; else 0."""
    pairs = [part.partition("=") for part in text.split(",")]
    return [(FAULTS[name], int(count or 0)) for name, _, count in pairs]


def run_once(world: World, one: Recovery, away_s: float) -> None:
    """One run of a fault, and the books after it. What goes wrong is noted, and the house is tidied for the next."""
    try:
        one.spells.append(one.fault.run(world, away_s))
        world.books()
        if len(world.rows(LIVE)) > MOST_LIVE:
            world.stop_all()
    except AssertionError as fault:
        one.wrong.append(str(fault).splitlines()[0])
        print(f"{one.fault.name}: {one.wrong[-1]}", flush=True)
        with contextlib.suppress(AssertionError):
            world.stop_all()


def measure(world: World, found: list[Recovery], runs: list[int], away_s: float, kept: Path | None) -> None:
    """Round after round, each fault once in it until it had its runs. What is known is kept after each run."""
    for number in range(max(runs)):
        for one, wished in zip(found, runs, strict=True):
            if number < wished:
                run_once(world, one, away_s)
                if kept:
                    kept.write_text(json.dumps([each.facts() for each in found]))


def told(found: list[Recovery]) -> None:
    """The table, and the books."""
    print(f"{'fault':38} {'runs':>4} {'median':>8} {'worst':>8} {'line':>6}  until")
    for one in found:
        print(one.line())
    wrong = [f"{one.fault.name}: {words}" for one in found for words in one.wrong]
    print("\n".join(wrong) or "orphans 0, cards booked twice 0, rows stuck 0: the books were read after every run", flush=True)


def main() -> int:
    """Measure and print; 1 when a line is not met or the books were not right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--away", type=float, default=5.0, help="seconds for which a service is away; the rows of FAULTS say 60")
    parser.add_argument("--faults", type=chosen, default=",".join(FAULTS), help=f"of {', '.join(FAULTS)}; `=8` behind one: eight runs of it")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    found = [Recovery(fault) for fault, _ in options.faults]
    is_whole = False
    try:
        with contextlib.suppress(KeyboardInterrupt), world_made() as world:
            measure(world, found, [runs or options.runs for _, runs in options.faults], options.away, options.json)
            is_whole = True
    finally:
        told(found)
    return 0 if is_whole and all(one.is_met for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
