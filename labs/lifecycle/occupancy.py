"""What is taken: nodes with what is free on each, and the labs that hold it, as the scheduler sees them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Prefetch

from labs.fleet.models import Gpu, Node
from labs.lifecycle import states
from labs.lifecycle.models import Keep, Lab, Lease, Reclaim
from labs.quarantine.queries import strays_cards
from labs.scheduler.snapshot import Card, NodeView, Running
from labs.scheduler.words import gpus_words

#: What a node keeps for itself, MiB.
HOST_MEMORY_MIB = 1024
#: Cards on which nothing is placed now, and which come back by themselves: a lab may wait for them.
EXPECTED_BACK = (Gpu.Health.UNKNOWN, Gpu.Health.HELD)
#: A wish for a slice of whatever profile.
ANY_SLICE = "any"


Nodes = tuple[NodeView, ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """Everything that is held at one moment. `shares`: of each person, in whole cards and fractions of them."""

    labs: tuple[Lab, ...]
    leases: Mapping[str, tuple[Lease, ...]]  # lab: its open ones, of the newest attempt
    leased: frozenset[str]
    kept: Mapping[str, str]  # card: the lab that alone may take it
    reclaims: Mapping[str, Reclaim]
    shares: Mapping[int, float]


def taken_load() -> Taken:
    """In five queries. What a stray was given is taken, though no lease says so."""
    labs = tuple(Lab.objects.select_related("owner").filter(state__in=states.HOLDING).order_by("pk"))
    owners = {lab.pk: lab.owner_id for lab in labs if lab.meeting_id is None}  # a class's labs count for the class
    leases: dict[str, list[Lease]] = {}
    leased, shares = strays_cards(), dict.fromkeys(owners.values(), 0.0)
    for lease in Lease.objects.select_related("gpu").filter(closed_at=None).order_by("pk"):
        leases.setdefault(lease.lab_id, []).append(lease)
        leased.add(lease.gpu_id)
        if lease.lab_id in owners:
            shares[owners[lease.lab_id]] += lease.gpu.share
    return Taken(
        labs=labs,
        leases={lab_id: _newest(mine) for lab_id, mine in leases.items()},
        leased=frozenset(leased),
        kept=dict(Keep.objects.filter(closed_at=None).values_list("gpu_id", "lab_id")),
        reclaims={row.lab_id: row for row in Reclaim.objects.filter(closed_at=None)},
        shares=shares,
    )


def nodes_view(*, taken: Taken | None = None) -> tuple[NodeView, ...]:
    """The nodes with what is free on each, in two queries beside those of `taken`."""
    held = taken or taken_load()
    used: dict[str, tuple[int, int]] = {}
    for lab in held.labs:
        cpus, memory = used.get(str(lab.node_id), (0, 0))
        used[str(lab.node_id)] = (cpus + lab.cpus, memory + lab.memory_mib)
    cards = Prefetch("gpus", queryset=Gpu.objects.filter(health__in=(Gpu.Health.OK, *EXPECTED_BACK), mig=False))
    return tuple(_node(node, used.get(node.pk, (0, 0)), held) for node in Node.objects.exclude(state=Node.State.GONE).prefetch_related(cards))


def running_view(*, taken: Taken, budgets_spent: Iterable[int], now: datetime) -> tuple[Running, ...]:
    """The labs that hold something. `budgets_spent`: people whose GPU-hours ran out."""
    spent = set(budgets_spent)
    return tuple(_running(lab, taken, spent, now) for lab in taken.labs)


def unit_share(wants_slice: str, nodes: Iterable[NodeView]) -> float:
    """What one unit of a wish counts for: a card 1, a slice of that profile its fraction, any slice that of the smallest."""
    if not wants_slice:
        return 1.0
    shares = [card.share for node in nodes for card in node.cards if card.slice and wants_slice in (ANY_SLICE, card.slice)]
    return min(shares, default=1.0)


def _newest(leases: list[Lease]) -> tuple[Lease, ...]:
    """Those of the newest attempt: the ones before it are about to be closed."""
    newest = max(lease.attempt for lease in leases)
    return tuple(lease for lease in leases if lease.attempt == newest)


def _node(node: Node, used: tuple[int, int], taken: Taken) -> NodeView:
    memory = max(node.memory_mib - HOST_MEMORY_MIB, 0)
    gpus = [gpu for gpu in node.gpus.all() if node.gpu_ready or gpu.simulated]
    away = [gpu for gpu in gpus if gpu.health in EXPECTED_BACK]
    return NodeView(
        id=node.pk,
        name=node.name,
        cpus=node.cpus,
        free_cpus=node.cpus * settings.CPU_OVERCOMMIT - used[0],
        memory_mib=memory,
        free_memory_mib=memory - used[1],
        cards=tuple(_card(gpu, taken) for gpu in gpus if gpu not in away),
        closed=_closed(node),
        runtime=node.runtime,
        away=tuple(replace(_card(gpu, taken), free=False) for gpu in away),
        away_words=_away_words(node, away),
        encrypts=node.encrypts,
    )


def _away_words(node: Node, away: list[Gpu]) -> str:
    """How many of its cards are in which state."""
    counts = Counter(gpu.get_health_display().lower() for gpu in away)
    states_words = " and ".join(f"{gpus_words(count)} {words}" for words, count in sorted(counts.items()))
    return f"Node {node}: {states_words}. Labs are placed there again when that is over." if away else ""


def _card(gpu: Gpu, taken: Taken) -> Card:
    return Card(
        uuid=gpu.uuid,
        model=gpu.model,
        free=gpu.uuid not in taken.leased and gpu.held_since is None,
        share=gpu.share,
        slice=gpu.profile,
        memory_mib=gpu.memory_mib,
        place=tuple(gpu.place),
        kept_for=taken.kept.get(gpu.uuid, ""),
    )


def _closed(node: Node) -> str:
    if node.state != Node.State.READY:
        return node.get_state_display()
    if node.is_red:
        return "a safety check is red: " + "; ".join(check["words"] for check in node.checks if check.get("state") == "red")
    return "" if node.runtime else "its worker has not reported yet"


def _running(lab: Lab, taken: Taken, spent: set[int], now: datetime) -> Running:
    leases = taken.leases.get(lab.pk, ())
    reclaim = taken.reclaims.get(lab.pk)
    return Running(
        lab_id=lab.pk,
        owner_id=lab.owner_id,
        node_id=str(lab.node_id),
        gpu_uuids=tuple(lease.gpu_id for lease in leases),
        cpus=lab.cpus,
        memory_mib=lab.memory_mib,
        started_at=lab.started_at or lab.state_since,
        ends_at=_ends_at(lab, now),
        share=sum(lease.gpu.share for lease in leases),
        over_quota=lab.over_quota and lab.state == states.RUNNING,
        over_budget=lab.owner_id in spent and lab.state == states.RUNNING,
        notice_until=reclaim.ends_at if reclaim else None,
        taken_for=reclaim.taken_for_id if reclaim else "",
        hold_id=lab.hold_id,
        waited_s=max(((lab.started_at or lab.state_since) - lab.waits_since).total_seconds(), 0.0) if lab.attempt <= 1 else 0.0,  # a change is no wait
    )


def _ends_at(lab: Lab, now: datetime) -> datetime:
    """The latest moment at which what it holds comes free by itself."""
    if lab.state == states.STOPPING and lab.next_gpus is None:
        return max(lab.deadline_at or now, now)
    begins = lab.deadline_at if lab.state == states.OFFERED and lab.deadline_at else lab.started_at or lab.state_since
    return lab.ends_at or begins + timedelta(hours=lab.hours)
