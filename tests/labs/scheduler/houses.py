"""Houses of every kind, drawn from a seed: nodes, slices, running labs, classes, groups, people who may and may not borrow."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from labs.policy.rules import Asked, Caps, Held, Limits, Share
from labs.scheduler.snapshot import Card, Group, Hold, ImageView, NodeView, Person, Running, Snapshot, Waiting

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
LIMITS = Limits(
    gpus=2, gpus_max=6, labs=8, pending=50, cpus=64, memory_gib=256, shm_gib=32, pids=8192, hours_max=72, gpu_hours_week=None, disk_gib=500, weight=1
)
HERE = ImageView(present=True, words="")
MODELS = ("A100", "H200")
PEOPLE = range(1, 13)
TEAMS = (10, 11, 12)


def house(seed: int, labs: int = 60) -> Snapshot:
    """A house in which about half of the labs can start."""
    rng = random.Random(seed)
    nodes: list[NodeView] = []
    running: list[Running] = []
    for number in range(rng.randint(1, 8)):
        node, here = _node(f"n{number}", rng)
        nodes.append(node)
        running += here
    waiting = tuple(_waiting(f"w{number}", rng) for number in range(rng.randint(1, labs)))
    running, waiting = _notices(running, waiting, rng)
    return Snapshot(
        nodes=tuple(nodes),
        waiting=waiting,
        images={(node.id, image): HERE for node in nodes for image in (1, 2) if rng.random() < 0.9},
        held={one: _held(one, running) for one in PEOPLE},
        limits={one: _limits(rng) for one in PEOPLE},
        running=tuple(running),
        people={one: Person(one, rng.randint(1, 3), rng.choice([0.0, rng.random() * 90]), (1, TEAMS[one % 3]), (TEAMS[one % 3],)) for one in PEOPLE},
        groups={1: Group(1, "house", held=8, guarantee=rng.choice([None, 4]))} | {team: Group(team, f"team {team}", usage=rng.random() * 90) for team in TEAMS},
        shares={team: _share(team, running, rng) for team in TEAMS},
        holds=tuple(_hold(number, len(nodes), rng) for number in range(rng.choice([0, 0, 1, 3]))),
    )


def _node(name: str, rng: random.Random) -> tuple[NodeView, list[Running]]:
    model, profile = rng.choice(MODELS), rng.choice(["", "", "", "1g.10gb"])
    uuids = [f"{name}/{number}" for number in range(rng.randint(1, 8))]
    busy = [uuid for uuid in uuids if rng.random() < 0.3]
    running: list[Running] = []
    while busy:
        count = 1 if profile else rng.randint(1, 3)
        mine, busy = tuple(busy[:count]), busy[count:]
        began = NOW - timedelta(minutes=rng.randint(1, 300))
        ends = NOW + timedelta(minutes=rng.randint(-5, 2_000))
        share = len(mine) / (7 if profile else 1)
        running.append(Running(f"{name}-r{len(running)}", rng.choice(PEOPLE), name, mine, 4, 8192, began, ends, share, over_quota=rng.random() < 0.5))
    used = {uuid for lab in running for uuid in lab.gpu_uuids}
    cards = tuple(Card(uuid, model, uuid not in used, 1 / 7 if profile else 1.0, profile, place=(str(n // 4),)) for n, uuid in enumerate(uuids))
    cpus, memory = 4 * len(running), 8192 * len(running)
    closed = "Cordoned" if rng.random() < 0.1 else ""
    return NodeView(name, name, 64, 128 - cpus, 524_288, 524_288 - memory, cards, closed, "docker"), running


def _waiting(name: str, rng: random.Random) -> Waiting:
    gpus = rng.choice([0, 1, 1, 1, 1, 2, 2, 4])
    profile = "any" if gpus == 1 and rng.random() < 0.3 else ""
    asked = Asked(gpus, rng.choice([2, 4, 16]), rng.choice([4, 8, 64]) * 1024, 1024, rng.choice([1, 2, 4, 12, 24, 72]), 1 / 7 if profile else 1.0)
    since = NOW - timedelta(seconds=rng.randint(0, 60_000))
    model = rng.choice(["", "", *MODELS]) if gpus else ""
    return Waiting(
        name,
        rng.choice(PEOPLE),
        since,
        asked,
        model,
        rng.randint(1, 2),
        "docker",
        wants_slice=profile,
        may_borrow=rng.random() < 0.7,
        priority=rng.choice([0] * 9 + [1]),
    )


def _notices(running: list[Running], waiting: tuple[Waiting, ...], rng: random.Random) -> tuple[list[Running], tuple[Waiting, ...]]:
    """Some labs are under notice for one that waits."""
    until = NOW + timedelta(minutes=3)
    marked = [replace(lab, notice_until=until, taken_for=waiting[0].lab_id) if lab.over_quota and rng.random() < 0.1 else lab for lab in running]
    return marked, waiting


def _limits(rng: random.Random) -> Limits:
    return replace(LIMITS, gpus=rng.randint(1, 4), gpus_max=rng.randint(4, 12), labs=rng.randint(4, 12))


def _held(person: int, running: list[Running]) -> Held:
    mine = [lab for lab in running if lab.owner_id == person]
    return Held(gpus=sum(lab.share for lab in mine), labs=len(mine), cpus=sum(lab.cpus for lab in mine), memory_mib=sum(lab.memory_mib for lab in mine))


def _share(team: int, running: list[Running], rng: random.Random) -> Share:
    people = [one for one in PEOPLE if TEAMS[one % 3] == team]
    return Share(team, f"team {team}", Caps(gpus=rng.choice([None, 8, 20])), Held(gpus=sum(lab.share for lab in running if lab.owner_id in people)))


def _hold(number: int, nodes: int, rng: random.Random) -> Hold:
    start = NOW + timedelta(hours=rng.randint(-1, 6))
    node = f"n{rng.randrange(nodes)}" if rng.random() < 0.5 else ""
    closes = bool(node) and rng.random() < 0.3
    model = "" if node else rng.choice(MODELS)
    people = frozenset({rng.choice(PEOPLE)}) if rng.random() < 0.3 else frozenset()
    return Hold(
        f"h{number}", f"class {number} until noon", start, start + 2 * HOUR, node, model, 0 if closes else rng.randint(1, 4), people=people, closes=closes
    )
