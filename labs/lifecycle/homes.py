"""Where people's workspaces are: one that lives on a node's own disk keeps its owner's labs there."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from django.conf import settings

from labs.lifecycle.models import Lab
from labs.scheduler.snapshot import NodeView, Waiting
from labs.storage.models import WorkspaceUse


def at_home(*, labs: Iterable[Waiting], nodes: Sequence[NodeView]) -> tuple[Waiting, ...]:
    """The labs, each bound to the node that has its owner's files. Labs of classes go where the class's cards are.

    With shared storage, or where there is one node, nothing is asked and nothing is bound.
    """
    labs = tuple(labs)
    if settings.WORKSPACES == "shared" or len(nodes) < 2:
        return labs
    homes = _homes({lab.owner_id for lab in labs}, {node.id: node for node in nodes})
    return tuple(_bound(lab, homes.get((lab.owner_id, lab.image_runtime))) for lab in labs)


def _homes(owners: set[int], nodes: dict[str, NodeView]) -> dict[tuple[int, str], NodeView]:
    """By person and runtime: the node with the larger workspace; before one was measured, that of the lab that started last."""
    homes: dict[tuple[int, str], NodeView] = {}
    started = Lab.objects.filter(owner_id__in=owners, node_id__in=nodes, started_at__isnull=False).order_by("started_at")
    measured = WorkspaceUse.objects.filter(owner_id__in=owners, node_id__in=nodes).order_by("size", "node_id")
    for rows in (started, measured):
        for owner_id, node_id in rows.values_list("owner_id", "node_id"):
            node = nodes[str(node_id)]
            homes[owner_id, node.runtime] = node
    return homes


def _bound(lab: Waiting, home: NodeView | None) -> Waiting:
    if home is None or lab.on_node or lab.hold_id:
        return lab
    return replace(lab, on_node=home.id, pinned=f"Your files are on node {home.name}, so your labs run there.")
