"""What a look at a node costs: one round of reconcile over many containers, all of them as the record wants them.

    python benchmarks/reconcile.py [--containers 1000] [--runs 20] [--changed 10] [--json FILE] [--at-most 2.0]

The engine's answers are recorded ones, played back over a socket to the real driver, so that the figure is ours: asking,
reading the answer, the records, the comparison. Beside it the floor: the same list asked for and read by the SDK alone.
Prints the median and the worst, and how many calls the engine got in a steady round (at most 3, however many containers)
and in one in which some of them ended (one more for each). The records are on SQLite, or on GPULAB_DATABASE_URL's server.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.records import django_up

MOST_CALLS = 3


@dataclass(frozen=True, slots=True)
class Figures:
    """Seconds and calls."""

    containers: int
    runs: int
    median_s: float
    worst_s: float
    floor_median_s: float
    calls: int
    changed: int
    calls_changed: int
    use_calls: int


def furnish(count: int) -> Any:
    """A node with so many running labs of as many people, and an engine that shows their containers."""
    from django.utils import timezone

    from labs.catalogue.models import Image
    from labs.fleet.models import Node
    from labs.lifecycle.models import Lab
    from labs.people.models import Role, User
    from tests.support.recorded_engine import RecordedEngine

    now = timezone.now()
    node = Node.objects.create(pk="bench", name="bench", runtime="docker", heartbeat_at=now)
    image = Image.objects.create(slug="bench", title="Bench", runtime="docker", repository="bench", tag="1", created_at=now)
    people = [
        User(username=f"b{n}", email=f"b{n}@example.edu", display_name=f"B{n}", role=Role.STUDENT, uid=40000 + n, passes_not_before=now) for n in range(count)
    ]
    people = User.objects.bulk_create(people)
    engine = RecordedEngine(node.realm)
    sizes = {"gpus": 0, "cpus": 1, "memory_mib": 1024, "shm_mib": 512, "pids": 100, "hours": 4}
    labs = []
    for n, owner in enumerate(people):
        times = {"requested_at": now, "state_since": now, "started_at": now, "ends_at": now + timedelta(hours=4)}
        doors = {"jupyter_host": "127.0.0.1", "jupyter_port": 20000 + 2 * n, "ssh_host": "127.0.0.1", "ssh_port": 20001 + 2 * n}
        labs.append(Lab(owner=owner, name="lab", image=image, state="running", node=node, **sizes, **times, **doors))
    for n, lab in enumerate(Lab.objects.bulk_create(labs)):
        engine.add(lab.pk, 1, 20000 + 2 * n)
    return engine


def timed(runs: int, work: Callable[[], object]) -> list[float]:
    """Seconds of each run."""
    spells = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        spells.append(time.perf_counter() - began)
    return spells


def measure(folder: Path, options: argparse.Namespace) -> Figures:
    """Floor and rounds, interleaved by halves, then a round in which some ended."""
    from django.utils import timezone

    from labs.fleet.models import Node
    from tests.support.hands import AtOnce, NoCards
    from worker.hands import Hands
    from worker.loops import reconcile, usage
    from worker.runtimes.docker.client import Engine
    from worker.runtimes.docker.runtime import DockerRuntime

    engine = furnish(options.containers)
    reconcile.pool = AtOnce()  # type: ignore[assignment]  # the round is over when it returns
    node = Node.objects.get()
    with engine.served(folder) as address:
        runtime = DockerRuntime(node_id=node.realm, state_dir=folder, network_range="10.200.0.0/16", images_dir=folder, address=address)
        hands = Hands(node_id=node.pk, runtime=runtime, probe=NoCards())
        bare = Engine(address=address)

        def round_() -> list[Any]:
            return reconcile.tick(hands=hands, now=timezone.now())

        steps = round_()
        if steps:
            raise SystemExit(f"a steady node needs nothing, and {len(steps)} steps were taken")
        engine.calls.clear()
        round_()
        calls = len(engine.calls)
        floor, spells = [], []
        for _ in range(options.runs):
            floor += timed(1, lambda: bare.api.containers(all=True))
            spells += timed(1, round_)
        usage.tick(hands=hands, cards={}, now=timezone.now())
        engine.calls.clear()
        usage.tick(hands=hands, cards={}, now=timezone.now())
        use_calls = len(engine.calls)
        for name in list(engine.rows)[: options.changed]:
            engine.ends(name)
        engine.calls.clear()
        runtime.observe()
        changed = len(engine.calls)
    medians = statistics.median(spells), statistics.median(floor)
    return Figures(options.containers, options.runs, medians[0], max(spells), medians[1], calls, options.changed, changed, use_calls)


def main() -> int:
    """Measure and print; 1 above the bounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--containers", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--changed", type=int, default=10)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--at-most", type=float, help="fail when the worst round takes longer, in seconds")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gpulab-bench-") as folder:
        django_up(Path(folder))
        found = measure(Path(folder), options)
    print(f"{found.containers} containers, {found.runs} rounds: median {found.median_s:.3f} s, worst {found.worst_s:.3f} s")
    print(f"floor (the list alone): median {found.floor_median_s:.3f} s; a round is {found.median_s / found.floor_median_s:.1f} times that")
    print(f"engine calls: {found.calls} in a steady round, {found.use_calls} for the use of all labs, {found.calls_changed} when {found.changed} ended")
    if options.json:
        options.json.write_text(json.dumps(asdict(found)))
    too_slow = options.at_most is not None and found.worst_s > options.at_most
    return 1 if too_slow or found.calls + found.use_calls > MOST_CALLS or found.calls_changed > 1 + found.changed else 0


if __name__ == "__main__":
    sys.exit(main())
