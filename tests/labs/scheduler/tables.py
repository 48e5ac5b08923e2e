"""Small houses for sentences about the scheduler."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from labs.policy.rules import Asked, Held, Limits
from labs.scheduler.plan import plan
from labs.scheduler.policy import Policy
from labs.scheduler.snapshot import Card, ImageView, NodeView, Plan, Running, Snapshot, Waiting

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
#: Ranges as they are found, not widened by what the replay taught.
PLAIN = Policy(estimate_shrink=1.0, estimate_stretch=1.0)
LIMITS = Limits(
    gpus=2, gpus_max=8, labs=9, pending=9, cpus=99, memory_gib=999, shm_gib=99, pids=8192, hours_max=72, gpu_hours_week=None, disk_gib=500, weight=2
)


def node(name: str = "n1", cards: int = 4, busy: int = 0, model: str = "H200", **fields: Any) -> NodeView:
    """A node with so many cards, the first of which are busy."""
    views = tuple(Card(f"{name}/{n}", model, n >= busy) for n in range(cards))
    sizes: dict[str, Any] = {"cpus": 64, "free_cpus": 256, "memory_mib": 999_999, "free_memory_mib": 999_999, "runtime": "docker"} | fields
    return NodeView(id=name, name=name, **({"cards": views} | sizes))


def runs(name: str, *cards: int, owner: int = 9, hours: float = 4, ran: float = 1, on: str = "n1", **fields: Any) -> Running:
    """A lab on these cards that began so many hours ago and ends in so many."""
    return Running(name, owner, on, tuple(f"{on}/{n}" for n in cards), 0, 0, NOW - ran * HOUR, NOW + hours * HOUR, len(cards), **fields)


def lab(name: str, gpus: int = 1, owner: int = 1, waited: float = 0, hours: int = 4, **fields: Any) -> Waiting:
    """A lab that has waited so many seconds."""
    asked = Asked(gpus, 2, 8192, 1024, hours)
    return Waiting(name, owner, NOW - timedelta(seconds=waited), asked, fields.pop("model", ""), 1, "docker", **fields)


def house(nodes: list[NodeView], *labs: Waiting, running: tuple[Running, ...] = (), **fields: Any) -> Snapshot:
    """Everybody may have what LIMITS says, and holds what runs."""
    owners = {one.owner_id for one in (*labs, *running)}
    held = {owner: Held(gpus=sum(one.share for one in running if one.owner_id == owner)) for owner in owners}
    snapshot = Snapshot(tuple(nodes), labs, {(one.id, 1): ImageView(True, "") for one in nodes}, held, dict.fromkeys(owners, LIMITS), running)
    return replace(snapshot, **({"policy": PLAIN} | fields))


def planned(nodes: list[NodeView], *labs: Waiting, **fields: Any) -> Plan:
    """The plan of such a house."""
    return plan(house(nodes, *labs, **fields), NOW)


def placed(made: Plan) -> list[str]:
    """Who starts, in order."""
    return [one.lab_id for one in made.placements]
