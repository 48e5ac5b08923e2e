"""Restoring a workspace: never under a lab that uses it, and labs wait for it."""

from datetime import datetime

from django.db import IntegrityError, transaction

from labs.bus.bus import publish
from labs.bus.doorbell import node_queue, ring
from labs.ledger.services import event_record
from labs.lifecycle import states
from labs.lifecycle.models import Lab
from labs.people.errors import Refused
from labs.people.models import User
from labs.relocation.models import Relocation
from labs.relocation.queries import is_moving, moved_away
from labs.snapshots.models import Restore, Snapshot
from labs.snapshots.rules import BY_HAND, CARRIED, READY
from labs.snapshots.services import snapshot_ask
from labs.storage.models import WorkspaceUse


def snapshot_wish(*, owner: User, node_id: str, now: datetime) -> Snapshot:
    """One's own wish for a snapshot. Refused where there is no such workspace, or it is on its way."""
    if not WorkspaceUse.objects.filter(owner=owner, node_id=node_id).exists():
        raise Refused("You have no workspace there that was measured yet: it is made with your first lab, and measured a minute later.", code="state")
    if is_moving(owner_id=owner.pk):
        raise Refused("Your workspace is being moved to another node. Make a snapshot when it is there.", code="state")
    return snapshot_ask(owner=owner, node_id=node_id, why=BY_HAND, actor=owner, now=now)


def restore_ask(*, snapshot: Snapshot, actor: User, now: datetime) -> Restore:
    """Make the workspace what it was then. The state before is a snapshot first. Refused while a lab uses it,
    it is moved or restored already, or lives on another node since."""
    with transaction.atomic():
        # no_key: whoever places a lab of theirs takes the same lock first, so that none begins beside it
        User.objects.select_for_update(no_key=True).get(pk=snapshot.owner_id)
        held = Snapshot.objects.select_for_update().filter(pk=snapshot.pk).first()  # locked, so that nobody lets go of it meanwhile
        if held is None or held.state not in (READY, CARRIED):
            raise Refused("This snapshot is not there any more.", code="state")
        if held.state == CARRIED:
            raise Refused("This snapshot is on its way to the node where your workspace is now. Restore it when it is there.", code="state")
        snapshot.node_id = held.node_id
        busy = list(Lab.objects.filter(owner_id=snapshot.owner_id, node_id=snapshot.node_id, state__in=states.HOLDING).order_by("name"))
        if busy:
            names = ", ".join(lab.name for lab in busy)
            raise Refused(f"Files cannot be exchanged under a lab that uses them: {names}. Stop it first.", code="state")
        if is_moving(owner_id=snapshot.owner_id):
            raise Refused("Your workspace is being moved to another node. Restore it when it is there.", code="state")
        if move := moved_away(owner_id=snapshot.owner_id, node_id=snapshot.node_id):
            raise Refused(
                f"Your workspace was moved to node {move.destination} since, and this snapshot is still on {move.source}. {_follows(move)}", code="state"
            )
        try:
            with transaction.atomic():
                row = Restore.objects.create(snapshot=snapshot, owner_id=snapshot.owner_id, node_id=snapshot.node_id, asked_at=now)
        except IntegrityError as error:
            raise Refused("It is being restored already.", code="state") from error
        words = f"The workspace of {snapshot.owner} on {snapshot.node_id} is restored to {snapshot.asked_at:%F %H:%M} UTC."
        event_record(kind="snapshot.restore", subject=f"person:{snapshot.owner_id}", words=words, actor=actor, now=now)
        ring("worker.snapshots", queue=node_queue(snapshot.node_id))
        publish(f"person.{snapshot.owner_id}", "disk")
    return row


def _follows(move: Relocation) -> str:
    """What can be done about a snapshot that is not where its workspace is."""
    if move.followed_at is None:
        return "It follows by itself: try again in a few minutes."
    return f"{move.follow_words} Move your workspace back there to restore it.".strip()
