"""What a plan costs: `labs.scheduler.plan`, estimates included, against the size of the house.

    python benchmarks/plan_cost.py [--runs 21] [--sizes 64:1000,256:5000,4096:20000] [--plot docs/plan_cost] [--json FILE] [--check]

Each size is GPUs:waiting labs, in nodes of eight, with people in teams, classes, slices, several models and sizes of lab, and two kinds of house:
a `full` one, in which hardly anything can start, and a `busy` one, in which an eighth of the cards came free at once. Every run has a house of its
own (seeded), and what is counted is the processor's time, so that a machine with other work says nearly the same. Prints the median and the 95th
percentile beside the cost of the plainest thing that reads the same snapshot: sorting the queue by time and trying each lab on each node once.
`--check` fails above the goals; `--plot` writes PNG and SVG.
"""

import argparse
import gc
import json
import random
import statistics
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from labs.policy.rules import Asked, Caps, Held, Limits, Share
from labs.scheduler.plan import plan
from labs.scheduler.snapshot import Card, Group, Hold, ImageView, NodeView, Person, Running, Snapshot, Waiting

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LIMITS = Limits(2, 8, labs=6, pending=50, cpus=128, memory_gib=512, shm_gib=64, pids=8192, hours_max=72, gpu_hours_week=None, disk_gib=500, weight=2)
HOUR = timedelta(hours=1)
MODELS = ("H200", "A100", "L4")
SIZES = ((64, 1_000), (256, 5_000), (1_024, 10_000), (4_096, 20_000))
GOALS_MS = {(64, 1_000): 50.0, (256, 5_000): 100.0, (4_096, 20_000): 1_000.0}
IMAGES = 4
RUNS = tuple(n / 20 for n in range(1, 21))


class Row(NamedTuple):
    """One size of house: milliseconds."""

    gpus: int
    waiting: int
    house: str
    median_ms: float
    p95_ms: float
    floor_ms: float
    placed: int


def house(gpus: int, waiting: int, free: float, seed: int) -> Snapshot:
    """A house of that size, `free` of its cards without a lab."""
    rng = random.Random(seed)
    people = max(waiting // 8, 8)
    nodes, running = [], []
    for number in range(gpus // 8):
        node, labs = _node(number, people, free, rng)
        nodes.append(node)
        running += labs
    labs = tuple(_waiting(number, people, rng) for number in range(waiting))
    teams = range(1, max(people // 20, 2))
    team = [teams[one % len(teams)] for one in range(people)]
    cards = max(gpus // 32, 1)
    return Snapshot(
        nodes=tuple(nodes),
        waiting=labs,
        images={(node.id, image): ImageView(True, "") for node in nodes for image in range(IMAGES) if rng.random() < 0.9},
        held=_held(running),
        limits=dict.fromkeys(range(people), LIMITS),
        running=tuple(running),
        people={one: Person(one, usage=rng.random() * 100, path=(0, team[one]), groups=(team[one],), runs=RUNS) for one in range(people)},
        groups={0: Group(0, "house")} | {team: Group(team, f"team {team}", usage=rng.random() * 1000) for team in teams},
        shares={team: Share(team, f"team {team}", Caps(gpus=200), Held(gpus=4)) for team in teams},
        holds=tuple(Hold(f"class:{n}", f"class {n}", NOW + n * HOUR, NOW + (n + 2) * HOUR, model="H200", gpus=cards) for n in range(6)),
        runs=RUNS,
    )


def _node(number: int, people: int, free: float, rng: random.Random) -> tuple[NodeView, list[Running]]:
    """Eight cards of one model, or four and seven slices; most of them in labs."""
    name, model = f"n{number}", MODELS[number % 3]
    whole = [f"{name}/{card}" for card in range(4 if number % 16 == 15 else 8)]
    slices = [f"{name}/s{card}" for card in range(7)] if number % 16 == 15 else []
    running, used = [], set()
    left = [uuid for uuid in whole if rng.random() >= free]
    while left:
        count = rng.choice([1, 1, 2, 4])
        mine, left = tuple(left[:count]), left[count:]
        used |= set(mine)
        began = NOW - timedelta(minutes=rng.randint(1, 600))
        owner, ends = rng.randrange(people), NOW + timedelta(minutes=rng.randint(5, 1_440))
        running.append(Running(f"r{number}-{len(running)}", owner, name, mine, 8, 65_536, began, ends, float(len(mine)), over_quota=rng.random() < 0.3))
    cards = [Card(uuid, model, uuid not in used, place=("0", str(n // 4))) for n, uuid in enumerate(whole)]
    cards += [Card(uuid, model, free=uuid not in used, share=1 / 7, slice="1g.10gb") for uuid in slices[: round(7 * free)]]
    cpus, memory = 8 * len(running), 65_536 * len(running)
    return NodeView(name, name, 128, 256 - cpus, 1_048_576, 1_048_576 - memory, tuple(cards), runtime="docker"), running


def _waiting(number: int, people: int, rng: random.Random) -> Waiting:
    gpus, hours = rng.choice([1, 1, 1, 1, 1, 2, 2, 4, 8]), rng.choice([1, 2, 4, 4, 8, 12, 24, 48, 72])
    asked = Asked(gpus, rng.choice([4, 8, 16]), rng.choice([16, 32, 64]) * 1024, 1024, hours)
    since = NOW - timedelta(seconds=rng.randint(0, 90_000))
    model = rng.choice(["", "", *MODELS]) if gpus else ""
    profile = "any" if gpus == 1 and rng.random() < 0.1 else ""
    return Waiting(f"w{number}", rng.randrange(people), since, asked, model, rng.randrange(IMAGES), "docker", wants_slice=profile)


def _held(running: list[Running]) -> dict[int, Held]:
    held: dict[int, Held] = {}
    for lab in running:
        one = held.get(lab.owner_id, Held())
        held[lab.owner_id] = Held(one.gpus + lab.share, one.labs + 1, 0, one.cpus + lab.cpus, one.memory_mib + lab.memory_mib)
    return held


def floor(snapshot: Snapshot) -> int:
    """First come, first served, and nothing else: no quota, no reason, no estimate."""
    free = {node.id: sum(card.free for card in node.cards) for node in snapshot.nodes}
    placed = 0
    for lab in sorted(snapshot.waiting, key=lambda lab: lab.since):
        for node, count in free.items():
            if count >= lab.asked.gpus > 0:
                free[node] -= lab.asked.gpus
                placed += 1
                break
    return placed


def measure(gpus: int, waiting: int, name: str, free: float, runs: int) -> Row:
    """Median and 95th percentile over houses of that size."""
    costs, floors, placed = [], [], 0
    for seed in range(runs):
        snapshot = house(gpus, waiting, free, seed)
        gc.collect()
        start = time.process_time()
        made = plan(snapshot, NOW)
        costs.append((time.process_time() - start) * 1000)
        start = time.process_time()
        floor(snapshot)
        floors.append((time.process_time() - start) * 1000)
        placed += len(made.placements)
    p95 = statistics.quantiles(costs, n=20, method="inclusive")[18]
    return Row(gpus, waiting, name, statistics.median(costs), p95, statistics.median(floors), placed // runs)


def plot(rows: list[Row], path: Path) -> None:
    """Cost against size, both axes logarithmic, beside the goals."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    for name in ("full", "busy"):
        mine = [row for row in rows if row.house == name]
        axes.plot([row.waiting for row in mine], [row.p95_ms for row in mine], marker="o", label=f"{name} house, 95th percentile")
        axes.plot([row.waiting for row in mine], [row.median_ms for row in mine], linestyle=":", label=f"{name} house, median")
    axes.scatter([size[1] for size in GOALS_MS], list(GOALS_MS.values()), marker="_", s=400, color="black", label="goal")
    for row in rows[::2]:
        axes.annotate(f"{row.gpus:,} GPUs", (row.waiting, row.p95_ms), textcoords="offset points", xytext=(4, -12), fontsize=8)
    axes.set(xscale="log", yscale="log", xlabel="waiting labs", ylabel="milliseconds a plan", title="What a plan costs, estimates included")
    axes.grid(alpha=0.3)
    axes.legend()
    for suffix in (".png", ".svg"):
        figure.savefig(path.with_suffix(suffix), dpi=150)


def main() -> int:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("--sizes", default=",".join(f"{gpus}:{waiting}" for gpus, waiting in SIZES))
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    rows = []
    print("  GPUs waiting house   median      p95    floor   goal   placed")
    for gpus, waiting in ([int(part) for part in size.split(":")] for size in args.sizes.split(",")):
        for name, free in (("full", 0.0), ("busy", 0.125)):
            rows.append(measure(gpus, waiting, name, free, args.runs))
            goal = GOALS_MS.get((gpus, waiting))
            median, p95, plain = (f"{cost:7.1f}" for cost in rows[-1][3:6])
            print(f"{gpus:6} {waiting:7} {name}  {median}  {p95}  {plain}  {goal or '–':>5}  {rows[-1].placed:7}", flush=True)
    if args.json:
        args.json.write_text(json.dumps({"rows": [row._asdict() for row in rows]}, indent=1))
    if args.plot:
        plot(rows, args.plot)
    return int(args.check and any(row.p95_ms > GOALS_MS.get((row.gpus, row.waiting), row.p95_ms) for row in rows))


if __name__ == "__main__":
    sys.exit(main())
