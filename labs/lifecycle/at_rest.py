"""Labs of people whose group asks for encrypted workspaces: only nodes that have such serve them, and their files go nowhere else."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from django.db.models import QuerySet

from labs.datasets.models import DataCopy, DataSet
from labs.fleet.models import Node
from labs.fleet.rules import plain_words
from labs.lifecycle import states
from labs.lifecycle.models import Lab
from labs.people.models import Group
from labs.people.queries import groups_encrypting, members_below
from labs.scheduler.fit import impossible
from labs.scheduler.snapshot import NodeView, Waiting
from labs.storage.models import WorkspaceUse


def where_encrypted(*, labs: Iterable[Waiting], nodes: Sequence[NodeView], asking: Mapping[int, Group]) -> tuple[Waiting, ...]:
    """The labs, those of the people in `asking` with the nodes whose workspaces do not lie encrypted. What runs already goes on where it is."""
    labs = tuple(labs)
    plain = {group: {node.id: words for node in nodes if (words := _barred(node.name, node.encrypts, group))} for group in set(asking.values())}
    return tuple(_bound(lab, plain[asking[lab.owner_id]], nodes) if lab.owner_id in asking and not lab.placed else lab for lab in labs)


def barred_from(*, owner_id: int, node_id: str) -> str:
    """Why nothing of this person's may come to the node, in words; empty where it may. One query where no group asks for anything."""
    group = groups_encrypting(user_ids=[owner_id]).get(owner_id)
    if group is None:
        return ""
    node = Node.objects.get(pk=node_id)
    return _barred(node.name, node.encrypts, group)


def barred_among(*, owner_id: int, nodes: Iterable[Node]) -> dict[str, str]:
    """Those of the nodes to which nothing of this person's may come, with why."""
    group = groups_encrypting(user_ids=[owner_id]).get(owner_id)
    return {node.pk: words for node in nodes if group and (words := _barred(node.name, node.encrypts, group))}


@dataclass(frozen=True, slots=True)
class Touched:
    """What a wish for encrypted workspaces touches now: nodes that serve it and others, labs that run on those (they go on), labs that wait,
    and by node how many people's files lie where they may not stay."""

    serving: tuple[Node, ...]
    plain: tuple[Node, ...]
    running: tuple[Lab, ...]
    waiting: tuple[Lab, ...]
    files: tuple[tuple[Node, int], ...] = ()


def touched_by_group(*, group: Group) -> Touched:
    """Everybody in the group and below it."""
    people = members_below(group_ids=[group.pk])[group.pk]
    serving, plain = _nodes()
    held = dict.fromkeys((node.pk for node in plain), 0)
    for node_id in WorkspaceUse.objects.filter(owner__in=people, node__in=plain).values_list("node_id", flat=True):
        held[node_id] += 1
    files = tuple((node, held[node.pk]) for node in plain if held[node.pk])
    return Touched(serving, plain, tuple(_running(plain).filter(owner__in=people)), tuple(_waiting().filter(owner__in=people)), files)


def touched_by_data(*, data_set: DataSet) -> Touched:
    """Labs that see the data set, or wait for it."""
    serving, plain = _nodes()
    ready = DataCopy.objects.filter(data_set=data_set, state=DataCopy.State.READY)
    seeing = _running(plain).filter(node__in=ready.values("node_id"))
    if groups := list(data_set.groups.values_list("pk", flat=True)):
        seeing = seeing.filter(owner__in=set().union(*members_below(group_ids=groups).values()))
    names = {data_set.name, str(data_set)}
    return Touched(serving, plain, tuple(seeing), tuple(lab for lab in _waiting() if not names.isdisjoint(lab.data)))


def _nodes() -> tuple[tuple[Node, ...], tuple[Node, ...]]:
    """Those whose workspaces lie encrypted, and the others."""
    nodes = list(Node.objects.exclude(state=Node.State.GONE))
    return tuple(node for node in nodes if node.encrypts), tuple(node for node in nodes if not node.encrypts)


def _running(nodes: Sequence[Node]) -> QuerySet[Lab]:
    return Lab.objects.select_related("owner", "node").filter(node__in=nodes, state__in=states.PLACED).order_by("name", "pk")


def _waiting() -> QuerySet[Lab]:
    """What is held for somebody who was asked first waits too: it is let go where it cannot serve any more."""
    return Lab.objects.select_related("owner").filter(state__in=(states.QUEUED, states.OFFERED)).order_by("requested_at", "pk")


def _bound(lab: Waiting, plain: Mapping[str, str], nodes: Sequence[NodeView]) -> Waiting:
    """One lab: what it lacks already, and this. Where its owner's files lie wrong, to which nodes that could serve it they may go."""
    lacks = dict(lab.lacks)
    for node_id, words in plain.items():
        lacks[node_id] = f"{lacks[node_id]} {words}" if node_id in lacks else words
    if lab.pinned and lab.on_node in plain:
        free = replace(lab, on_node="", pinned="")
        there = [node.name for node in nodes if node.encrypts and not node.closed and not impossible(free, [node])]
        lacks[lab.on_node] += f" Move your workspace to node {' or '.join(there)}." if there else ""
    return replace(lab, lacks=tuple(lacks.items()))


def _barred(name: str, encrypts: bool | None, group: Group) -> str:
    plain = plain_words(encrypts)
    return f"Node {name}: {plain}, and the {group.words} asks that they do." if plain else ""
