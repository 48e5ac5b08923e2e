"""How soon the house is well again after a fault: each injected again and again, beside the line that it must meet.

    python benchmarks/recovery.py [--runs 20] [--away 60] [--faults worker,broker=8] [--json FILE]

A whole house (tools.up, with PostgreSQL, Redis and a container engine of its own in a network of its own) with labs of a
small program, the loops at their default of 5 s. Needs root, an engine's programs, PostgreSQL and Redis; no GPU. For each
fault: median and worst seconds from the moment that the fault is over (or was made, where it does not end) to the
moment named, and the pass line. After each run the books: orphans, cards booked twice and rows stuck must be 0.
`broker=8` is eight runs of one fault: the two that take services away for 60 s are most of the time that all of it takes.
"""

import argparse
import json
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ["GPULAB_TEST_RECONCILE_S"] = "5"

from tests.faults.world import World, world_made
from tests.support.waiting import wait_for


@dataclass(frozen=True, slots=True)
class Fault:
    """`run(world, away_s)` makes it, waits until the house is well again, and says how long that took in seconds."""

    name: str
    until: str
    line_s: float
    run: Callable[[World, float], float]


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was measured of one fault."""

    name: str
    until: str
    line_s: float
    runs: int
    median_s: float
    worst_s: float


def since(moment: float) -> float:
    """Seconds since then."""
    return time.monotonic() - moment


def worker_killed(world: World, away_s: float) -> float:
    """Killed while a lab starts."""
    lab_id = world.launch()
    os.kill(world.pid_of("worker") or 0, signal.SIGKILL)
    began = time.monotonic()
    world.house.lab_until("alice", lab_id, "running", within=60)
    took = since(began)
    world.stop(lab_id)
    return took


def broker_away(world: World, away_s: float) -> float:
    """Stopped, and back empty."""
    world.broker.stop()
    time.sleep(away_s)
    world.broker.start()
    began = time.monotonic()
    lab_id = world.launch()
    world.house.lab_until("alice", lab_id, "running", within=60)
    wait_for(world.broker.consumers, within=60, what="workers that consume")
    took = since(began)
    world.stop(lab_id)
    return took


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
    took = since(began)
    world.stop(lab_id)
    return took


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
    took = since(began)
    world.stop(lab_id)
    return took


def container_removed(world: World, away_s: float) -> float:
    """By hand."""
    lab_id = world.running()
    world.engine.remove_container(f"gpulab-{lab_id}-1", force=True)
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
}


def chosen(text: str, runs: int) -> list[tuple[Fault, int]]:
    """`worker,broker=5` -> these faults, and how often each is made."""
    pairs = [part.partition("=") for part in text.split(",")]
    return [(FAULTS[name], int(count or runs)) for name, _, count in pairs]


def measure(world: World, fault: Fault, runs: int, away_s: float) -> Recovery:
    """So many runs of one fault, and the books after each."""
    spells = []
    for _ in range(runs):
        spells.append(fault.run(world, away_s))
        world.books()
    return Recovery(fault.name, fault.until, fault.line_s, runs, statistics.median(spells), max(spells))


def main() -> int:
    """Measure and print; 1 when a line is not met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--away", type=float, default=60.0, help="seconds for which a service is away")
    parser.add_argument("--faults", default=",".join(FAULTS), help=f"of {', '.join(FAULTS)}; `=8` behind one: eight runs of it")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = []
    with world_made() as world:
        print(f"{'fault':38} {'median':>8} {'worst':>8} {'line':>6}  until")
        for fault, runs in chosen(options.faults, options.runs):
            one = measure(world, fault, runs, options.away)
            print(f"{one.name:38} {one.median_s:7.1f}s {one.worst_s:7.1f}s {one.line_s:5.0f}s  {one.until}", flush=True)
            found.append(one)
            if options.json:  # after each, so that what was measured is there if a later one breaks the books
                options.json.write_text(json.dumps([asdict(row) for row in found]))
        print("orphans 0, cards booked twice 0, rows stuck 0: the books were read after every run")
    return 1 if any(one.worst_s > one.line_s for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
