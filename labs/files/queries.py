"""Whose file page is open where, for its owner, its node's worker and the relays."""

from collections.abc import Mapping
from datetime import datetime

from django.db.models import Q, QuerySet

from labs.catalogue.models import Image
from labs.files.models import Desk, DeskToken
from labs.fleet.models import Node, NodeImage
from labs.lifecycle import states
from labs.lifecycle.models import Lab
from labs.lifecycle.routes import Route
from labs.people.models import User
from labs.people.queries import groups_encrypting
from labs.relocation.queries import is_moving
from labs.snapshots.queries import is_restoring
from labs.storage.models import WorkspaceUse

#: A node that can be asked for anything.
HEARD = (Node.State.READY, Node.State.CORDONED, Node.State.DRAINING)
#: How a file page stands in the words of labs' states, which relays know.
STATES = {Desk.State.CLOSED: "closed", Desk.State.OPENING: states.STARTING, Desk.State.OPEN: states.RUNNING}


def desk_nodes(*, user: User) -> list[Node]:
    """Where the person's files are; where they would be made, for somebody without any: the first that is heard, and encrypts where a group asks for it."""
    held = set(WorkspaceUse.objects.filter(owner=user).values_list("node_id", flat=True))
    held |= set(Lab.objects.filter(owner=user, state__in=states.PLACED).values_list("node_id", flat=True))
    held |= set(Desk.objects.filter(owner=user).exclude(state=Desk.State.CLOSED).values_list("node_id", flat=True))
    nodes = Node.objects.exclude(state=Node.State.GONE).order_by("name")
    if found := list(nodes.filter(pk__in=held)):
        return found
    fit = {"encrypts": True} if groups_encrypting(user_ids=[user.pk]) else {}
    return list(nodes.filter(state__in=HEARD, **fit)[:1])


def desks_of(*, user: User) -> dict[str, Desk]:
    """The person's own, by node."""
    return {desk.node_id: desk for desk in Desk.objects.filter(owner=user)}


def desks_on(*, node_id: str) -> QuerySet[Desk]:
    """Every one of the node, for its worker."""
    return Desk.objects.select_related("owner", "node").filter(node_id=node_id)


def desks_stirring(*, node_id: str, now: datetime) -> list[Desk]:
    """Those that a worker has to look after: open ones, and those whose trash is due."""
    return list(desks_on(node_id=node_id).filter(~Q(state=Desk.State.CLOSED) | Q(sweep_at__lte=now)))


def desk_ids(*, node_id: str) -> set[str]:
    """What containers of file pages on the node are labelled with."""
    return set(Desk.objects.filter(node_id=node_id).values_list("pk", flat=True))


def desk_owners(*, node_id: str) -> set[int]:
    """People whose file page is open on the node, or being opened."""
    return set(desks_on(node_id=node_id).exclude(state=Desk.State.CLOSED).values_list("owner_id", flat=True))


def exchanged(*, owner_id: int) -> str:
    """Why the person's files cannot be open now: all of them are about to be others. Empty where they can be. Ask it under the lock of their row."""
    if is_moving(owner_id=owner_id):
        return "Your files are being moved to another machine. Open them when they are there."
    if is_restoring(owner_id=owner_id):
        return "Your files are being restored from a snapshot. Open them when that is done."
    return ""


def desk_image(*, node_id: str, preferred: str) -> Image | None:
    """The image that file pages of the node run in: the house's own if it is there, else any; None where there is none yet."""
    held = Image.objects.filter(on_nodes__node_id=node_id, on_nodes__state=NodeImage.State.PRESENT).order_by("pk")
    return next((image for image in held if image.reference == preferred or f"{image.repository}:{image.tag}" == preferred), None) or held.first()


def desk_routes(*, node_id: str) -> Mapping[str, Route]:
    """For the relay that people reach: every file page of the house, also those that are closed."""
    return {desk.pk: _route(desk, node_id) for desk in Desk.objects.select_related("node").filter(owner__is_active=True)}


def desk_routes_of_node(*, node_id: str) -> Mapping[str, Route]:
    """For the relay of a joined node: its own that answer."""
    return {desk.pk: _route(desk, node_id) for desk in desks_on(node_id=node_id).filter(state=Desk.State.OPEN)}


def desk_tokens(*, now: datetime) -> Mapping[str, tuple[str, int]]:
    """Digests that are good now, each with its file page and its id."""
    rows = DeskToken.objects.filter(until__gt=now).values_list("digest", "desk_id", "pk")
    return {digest: (desk, number) for digest, desk, number in rows}


def _route(desk: Desk, own: str) -> Route:
    far = desk.node_id != own
    host, _, port = desk.node.relay_address.rpartition(":")
    return Route(
        lab_id=desk.pk,
        attempt=desk.attempt,
        owner_id=desk.owner_id,
        state=STATES[Desk.State(desk.state)],
        jupyter=(desk.host, desk.port) if desk.port and desk.state == Desk.State.OPEN else None,
        node=desk.node_id if far else "",
        via=(host.strip("[]"), int(port)) if far and host and port.isdigit() else None,
        files=True,
    )
