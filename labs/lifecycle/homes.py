"""Where people's workspaces are: one that lives on a node's own disk keeps its owner's labs there."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from labs.lifecycle.models import Lab
from labs.relocation.models import Relocation
from labs.relocation.queries import moved_to, moves_open
from labs.scheduler.snapshot import Hold, NodeView, Waiting
from labs.storage.models import WorkspaceUse

Homes = Mapping[tuple[int, str], str]


def at_home(*, labs: Iterable[Waiting], nodes: Sequence[NodeView], holds: Iterable[Hold] = ()) -> tuple[Waiting, ...]:
    """The labs, each bound to the node that has its owner's files; those of somebody whose files are on their way wait.

    Where there is one node, nothing is asked and nothing is bound.
    """
    labs = tuple(labs)
    if len(nodes) < 2:
        return labs
    owners, names = {lab.owner_id for lab in labs}, {node.id: node.name for node in nodes}
    homes = homes_of(owner_ids=owners, runtimes={node.id: node.runtime for node in nodes})
    moves, rooms = moves_open(owner_ids=owners), {hold.id: hold.node_id for hold in holds}
    return tuple(_bound(lab, homes, names, moves, rooms.get(lab.hold_id, "")) for lab in labs)


def homes_of(*, owner_ids: set[int], runtimes: Mapping[str, str]) -> Homes:
    """By person and runtime, the node that has the files, among those whose `runtimes` are given.

    The one that they were moved to last; else the one with the larger workspace; before one was measured, that of the lab that started last.
    """
    started = Lab.objects.filter(owner_id__in=owner_ids, node_id__in=runtimes, started_at__isnull=False).order_by("started_at")
    measured = WorkspaceUse.objects.filter(owner_id__in=owner_ids, node_id__in=runtimes).order_by("size", "node_id")
    known = [*started.values_list("owner_id", "node_id"), *measured.values_list("owner_id", "node_id")]
    homes: dict[tuple[int, str], str] = {}
    for owner_id, node_id in (*known, *moved_to(owner_ids=owner_ids, node_ids=runtimes)):
        homes[owner_id, runtimes[str(node_id)]] = str(node_id)
    return homes


def _bound(lab: Waiting, homes: Homes, names: Mapping[str, str], moves: Mapping[int, Relocation], room: str) -> Waiting:
    """`room`: the node on which its class has its cards; empty where that is any, or it is of no class."""
    if lab.on_node:
        return lab
    if (move := moves.get(lab.owner_id)) and not lab.placed:
        return replace(lab, blocked=(*lab.blocked, move.queue_words))
    home = homes.get((lab.owner_id, lab.image_runtime))
    if home is None:
        return lab
    if room and room != home:
        elsewhere = f"The GPUs of this class are on node {names.get(room, room)}, and your files are on node {names[home]}: move your workspace there."
        return replace(lab, blocked=(*lab.blocked, elsewhere))
    return replace(lab, on_node=home, pinned=f"Your files are on node {names[home]}, so your labs run there.")
