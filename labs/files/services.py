"""Opening and closing file pages: wishes of doors, facts of a node's worker."""

import secrets
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Q

from labs.bus.bus import publish
from labs.bus.doorbell import node_queue, ring
from labs.bus.secrets import secret_digest
from labs.files.models import Desk, DeskToken
from labs.files.queries import HEARD, desk_nodes, exchanged
from labs.files.rules import REST, TOKEN
from labs.fleet.models import Node, NodeImage
from labs.ledger.services import event_record
from labs.people.errors import Refused
from labs.people.models import User
from labs.policy.queries import limits_of
from labs.storage.queries import disk_held
from labs.storage.rules import GIB

WORDS = 300
AWAY = "The machine that holds your files does not answer at the moment. They are safe: try again in a few minutes."
NO_IMAGE = "The machine that holds your files has no image yet, and your files are shown by one. An image is usually there a few minutes after the start."


def desk_ask(*, user: User, node_id: str, now: datetime) -> Desk:
    """Wish for one's file page on a node; its worker opens it. A second wish keeps it open longer. Refused where there is nothing to open it with."""
    node = next((node for node in desk_nodes(user=user) if node.pk == node_id), None)
    if node is None:
        raise Refused("Your files are not on that machine.", field="node")
    if node.state not in HEARD:
        raise Refused(AWAY, code="state")
    if not NodeImage.objects.filter(node=node, state=NodeImage.State.PRESENT).exists():
        raise Refused(NO_IMAGE, code="state")
    left = _left(user, now)
    with transaction.atomic():
        # no_key: whoever asks for a move or a restore takes the same lock first, so that none begins beside it
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        if words := exchanged(owner_id=user.pk):
            raise Refused(words, code="state")
        desk = _desk_of(user, node, now)
        Desk.objects.filter(pk=desk.pk).update(wanted_until=now + REST)
        if _opening(desk, left, now):
            words = f"{user} opened their files on {node.name}."
            event_record(kind="files.opened", subject=f"person:{user.pk}", words=words, actor=user, now=now, node=node.pk)
        ring("worker.files", queue=node_queue(node.pk))
    desk.refresh_from_db()
    return desk


def desk_token_create(*, desk: Desk, now: datetime) -> tuple[str, datetime]:
    """A program's way to the file page, shown once, and until when it is good."""
    token, until = f"gpf_{secrets.token_urlsafe(32)}", now + TOKEN
    with transaction.atomic():
        DeskToken.objects.filter(desk=desk, until__lte=now).delete()
        DeskToken.objects.create(desk=desk, digest=secret_digest(token), until=until)
        words = f"{desk.owner} made a link to their files on {desk.node_id} for a program."
        event_record(kind="files.link", subject=f"person:{desk.owner_id}", words=words, actor=desk.owner, now=now, node=desk.node_id)
        publish("relay", "token", lab=desk.pk)
    return token, until


def desk_chore(*, owner: User, node: Node, now: datetime) -> str:
    """Open it for something that the house has to do there; it closes by itself when nobody uses it. Why not, in words; empty when it opens or is open."""
    if node.state not in HEARD:
        return AWAY
    if not NodeImage.objects.filter(node=node, state=NodeImage.State.PRESENT).exists():
        return NO_IMAGE
    left = _left(owner, now)
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=owner.pk)
        if words := exchanged(owner_id=owner.pk):
            return words
        if _opening(_desk_of(owner, node, now), left, now):
            ring("worker.files", queue=node_queue(node.pk))
    return ""


def desk_sweep_due(*, desk: Desk, now: datetime) -> bool:
    """Its trash is due: open it, for a moment. False when it is open or has moved on, or its files are exchanged just now."""
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=desk.owner_id)
        return not exchanged(owner_id=desk.owner_id) and _opening(desk, desk.left, now)


def desk_answers(*, desk: Desk, address: tuple[str, int], now: datetime) -> bool:
    """The worker's fact: it is open, and answers there. False when it has moved on."""
    with transaction.atomic():
        same = Desk.objects.filter(pk=desk.pk, attempt=desk.attempt).exclude(state=Desk.State.CLOSED)
        facts = {"state": Desk.State.OPEN, "host": address[0], "port": address[1], "words": "", "state_since": now}
        changed = bool(same.exclude(Q(state=Desk.State.OPEN) & Q(host=address[0]) & Q(port=address[1])).update(**facts))
        if changed:
            _told(desk)
    return changed


def desk_used(*, desk: Desk, until: datetime, sweep_at: datetime | None) -> None:
    """The worker's fact: it is in use, so it stays open until then at least; when something in it is to be swept."""
    Desk.objects.filter(pk=desk.pk, attempt=desk.attempt, state=Desk.State.OPEN).update(wanted_until=until, sweep_at=sweep_at)


def desk_closed(*, desk: Desk, words: str, sweep_at: datetime | None, now: datetime) -> bool:
    """The worker's fact: it is closed; `words` say why where nobody would expect it. False when it has moved on."""
    with transaction.atomic():
        same = Desk.objects.filter(pk=desk.pk, attempt=desk.attempt).exclude(state=Desk.State.CLOSED)
        facts = {"state": Desk.State.CLOSED, "host": "", "port": None, "words": words[:WORDS], "sweep_at": sweep_at, "state_since": now}
        if not same.update(**facts):
            return False
        _told(desk)
    return True


def _desk_of(user: User, node: Node, now: datetime) -> Desk:
    """The row, made once."""
    found = Desk.objects.filter(owner=user, node=node).first()
    if found:
        return found
    try:
        with transaction.atomic():
            return Desk.objects.create(owner=user, node=node, state_since=now, wanted_until=now)
    except IntegrityError:
        return Desk.objects.get(owner=user, node=node)


def _opening(desk: Desk, left: int | None, now: datetime) -> bool:
    """From closed to opening, by whoever is first."""
    closed = Desk.objects.filter(pk=desk.pk, state=Desk.State.CLOSED)
    attempt = closed.values_list("attempt", flat=True).first()
    if attempt is None:
        return False
    facts = {"state": Desk.State.OPENING, "attempt": attempt + 1, "left": left, "words": "", "state_since": now}
    if not closed.filter(attempt=attempt).update(**facts):
        return False
    _told(desk)
    return True


def _left(user: User, now: datetime) -> int | None:
    """Bytes of the person's disk limit that nothing lies on, on all nodes together."""
    limit = limits_of(user=user, now=now).disk_gib
    held = disk_held(user_ids=[user.pk]).get(user.pk)
    return None if limit is None else max(limit * GIB - (held.size if held else 0), 0)


def _told(desk: Desk) -> None:
    publish("relay", "files", lab=desk.pk)
    publish(f"person.{desk.owner_id}", "files")
