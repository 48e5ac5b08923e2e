"""Moving workspaces between nodes: asked by their owners, or by administrators for all that a node holds."""

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from labs.fleet.models import Node
from labs.lifecycle import states
from labs.lifecycle.at_rest import barred_from
from labs.lifecycle.homes import homes_of
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_end
from labs.people.errors import Refused
from labs.people.models import User
from labs.people.queries import groups_encrypting
from labs.relocation.models import Relocation
from labs.relocation.queries import moves_due
from labs.relocation.rules import ASKED
from labs.relocation.services import move_create
from labs.snapshots.queries import is_restoring
from labs.storage.models import WorkspaceUse


def homes_now(*, user: User) -> list[Node]:
    """The nodes on which the person's files are: one for each kind of runtime."""
    nodes = {node.pk: node for node in Node.objects.exclude(state=Node.State.GONE)}
    found = homes_of(owner_ids={user.pk}, runtimes={pk: node.runtime for pk, node in nodes.items()})
    return [nodes[node_id] for _, node_id in sorted(found.items())]


def destinations_for(*, source: Node) -> list[Node]:
    """Nodes to which a workspace may go from there: of the same kind, heard, and not being emptied."""
    return list(Node.objects.filter(runtime=source.runtime, state=Node.State.READY).exclude(pk=source.pk).order_by("name"))


def labs_in_use(*, user: User, nodes: Iterable[Node]) -> list[Lab]:
    """Labs of the person that have, or are about to have, the workspace of one of these nodes open."""
    return list(Lab.objects.filter(owner=user, node__in=list(nodes), state__in=states.HOLDING).order_by("name"))


def workspace_move(*, owner: User, source: Node, destination: Node, stop_labs: bool, actor: User, now: datetime) -> Relocation:
    """Move the person's workspace there. Labs that use it are stopped first where `stop_labs` says so; else that is refused.

    Refused too where there is nothing to move, or the node cannot take it.
    """
    _check(source, destination)
    with transaction.atomic():
        # no_key: whoever places a lab of theirs takes the same lock first, so that none begins beside the move
        User.objects.select_for_update(no_key=True).get(pk=owner.pk)
        if source not in homes_now(user=owner):
            raise Refused(f"The workspace of {owner} is not on node {source}.", field="source")
        busy = [lab for lab in labs_in_use(user=owner, nodes=(source, destination)) if lab.state != states.STOPPING]
        if busy and not stop_labs:
            names = ", ".join(lab.name for lab in busy)
            raise Refused(f"Files cannot be moved under a lab that uses them: {names}. Stop it first, or let it be stopped.", field="stop_labs", code="state")
        if is_restoring(owner_id=owner.pk):
            raise Refused("The workspace is being restored from a snapshot. Move it when that is done.", code="state")
        if barred := barred_from(owner_id=owner.pk, node_id=destination.pk):
            raise Refused(f"It cannot go there. {barred}", field="destination")
        row = move_create(owner=owner, source=source, destination=destination, actor=actor, now=now)
        for lab in busy:
            lab_end(lab_id=lab.pk, code="asked" if actor.pk == owner.pk else "administrator", now=now, actor=actor)
    return row


def workspaces_move(*, source: Node, destination: Node, actor: User, now: datetime) -> int:
    """Move every workspace that lives on the node, for taking it out of service; how many. Those that may not lie there stay (`people_barred`).

    Labs that run are not touched: each move begins when its labs have ended.
    """
    _check(source, destination)
    barred = {user.pk for user in people_barred(source=source, destination=destination)}
    return sum(_move_one(owner, source, destination, actor, now) for owner in _people_on(source) if owner.pk not in barred)


def people_barred(*, source: Node, destination: Node) -> list[User]:
    """Those with files on the one node who may not have them on the other, because a group of theirs asks for encrypted workspaces."""
    there = list(_people_on(source)) if not destination.encrypts else []
    asking = groups_encrypting(user_ids=[user.pk for user in there])
    return [user for user in there if user.pk in asking]


def _people_on(node: Node) -> QuerySet[User]:
    return User.objects.filter(workspaces__in=WorkspaceUse.objects.filter(node=node)).distinct()


def moves_ready(*, now: datetime) -> list[Relocation]:
    """Moves to go on with now: those that were only asked for, once no lab has the workspace open."""
    return [row for row in moves_due(now=now) if row.state != ASKED or not labs_in_use(user=row.owner, nodes=(row.source, row.destination))]


def _move_one(owner: User, source: Node, destination: Node, actor: User, now: datetime) -> bool:
    try:
        with transaction.atomic():
            User.objects.select_for_update(no_key=True).get(pk=owner.pk)
            if source not in homes_now(user=owner):
                return False
            move_create(owner=owner, source=source, destination=destination, actor=actor, now=now)
    except Refused:  # it is on its way already
        return False
    return True


def _check(source: Node, destination: Node) -> None:
    if destination not in destinations_for(source=source):
        raise Refused(f"Node {destination} does not take it now: it must be ready, another one, and run labs in the same way.", field="destination")
