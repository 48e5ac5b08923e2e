"""Asking for snapshots and writing down how they come along. Restores are asked for in lifecycle, which knows the labs."""

from datetime import datetime

from django.db import IntegrityError, transaction

from labs.bus.bus import publish
from labs.bus.doorbell import node_queue, ring
from labs.ledger.services import Actor, event_record
from labs.people.errors import Refused
from labs.people.models import User
from labs.snapshots.models import Restore, Snapshot
from labs.snapshots.rules import ASKED, CARRIED, DONE, FAILED, LANDING, LEAVING, MAKING, READY, RESTORING, UNDO, WHY_WORDS, too_many


def snapshot_ask(*, owner: User, node_id: str, why: str, actor: Actor | None, now: datetime) -> Snapshot:
    """Have the node make one in the background. Refused while one is being made."""
    try:
        with transaction.atomic():
            row = Snapshot.objects.create(owner=owner, node_id=node_id, why=why, asked_at=now)
            words = f"A snapshot of the workspace of {owner} on {node_id} was asked for: {WHY_WORDS[why]}."
            event_record(kind="disk.snapshot", subject=f"person:{owner.pk}", words=words, actor=actor, now=now)
            ring("worker.snapshots", queue=node_queue(node_id))
            publish(f"person.{owner.pk}", "disk")
    except IntegrityError as error:
        raise Refused("A snapshot of this workspace is being made already.", code="state") from error
    return row


def snapshot_delete(*, snapshot: Snapshot, actor: User, now: datetime) -> None:
    """Let the node remove it. Refused while it is made, or a restore needs it."""
    with transaction.atomic():
        list(Snapshot.objects.select_for_update().filter(pk=snapshot.pk))  # so that no restore of it begins meanwhile
        if snapshot.restores.filter(state__in=RESTORING).exists():
            raise Refused("It is being restored at this moment.", code="state")
        if not Snapshot.objects.filter(pk=snapshot.pk, state__in=(READY, FAILED)).update(state=LEAVING):
            raise Refused("It is being made or carried to another node, or was deleted already.", code="state")
        words = f"The snapshot of {snapshot.asked_at:%F %H:%M} UTC on {snapshot.node_id} was deleted."
        event_record(kind="snapshot.deleted", subject=f"person:{snapshot.owner_id}", words=words, actor=actor, now=now)
        ring("worker.snapshots", queue=node_queue(snapshot.node_id))


def snapshot_begin(*, snapshot: Snapshot, percent: int = 0) -> None:
    """It is being made, so far."""
    Snapshot.objects.filter(pk=snapshot.pk, state__in=(ASKED, MAKING)).update(state=MAKING, percent=percent)
    publish(f"person.{snapshot.owner_id}", "disk")


def snapshot_ready(*, snapshot: Snapshot, size: int, now: datetime) -> None:
    """It lies on the node's disk, whole: so many bytes."""
    Snapshot.objects.filter(pk=snapshot.pk).update(state=READY, percent=100, size=size, made_at=now)
    publish(f"person.{snapshot.owner_id}", "disk")


def snapshot_failed(*, snapshot: Snapshot, words: str, now: datetime) -> None:
    """It could not be made."""
    Snapshot.objects.filter(pk=snapshot.pk).update(state=FAILED, words=words[:300], made_at=now)
    publish(f"person.{snapshot.owner_id}", "disk")


def snapshot_forget(*, snapshot: Snapshot) -> None:
    """Its files are gone."""
    Snapshot.objects.filter(pk=snapshot.pk).delete()
    publish(f"person.{snapshot.owner_id}", "disk")


def snapshots_retire(*, rows: list[Snapshot], most: int, days: int, now: datetime) -> int:
    """Let go of what each workspace has too many of, and of what is too old; how many. `rows`: newest first.

    Those that could not be made are counted apart: a disk that is full must not push out what was kept before.
    """
    alike: dict[tuple[int, str], list[tuple[int, datetime]]] = {}
    for row in rows:
        alike.setdefault((row.owner_id, row.state), []).append((row.pk, row.asked_at))
    gone = [number for own in alike.values() for number in too_many(own, most=most, days=days, now=now)]
    with transaction.atomic():
        held = list(Snapshot.objects.select_for_update().filter(pk__in=gone, state__in=(READY, FAILED)).order_by("pk").values_list("pk", flat=True))
        used = Restore.objects.filter(snapshot__in=held, state__in=RESTORING).values("snapshot_id")  # one was asked for since
        return Snapshot.objects.filter(pk__in=held).exclude(pk__in=used).update(state=LEAVING)


def snapshots_carry(*, owner_id: int, node_id: str) -> int:
    """They follow a workspace that was moved away from there: from now on nobody restores them or lets go of them. How many are on their way."""
    Snapshot.objects.filter(owner_id=owner_id, node_id=node_id, state=READY).update(state=CARRIED)
    publish(f"person.{owner_id}", "disk")
    return Snapshot.objects.filter(owner_id=owner_id, node_id=node_id, state=CARRIED).count()


def snapshots_arrived(*, owner_id: int, source_id: str, destination_id: str) -> int:
    """They are where they were to go; the same node, where they stay. How many."""
    arrived = Snapshot.objects.filter(owner_id=owner_id, node_id=source_id, state=CARRIED).update(state=READY, node_id=destination_id)
    publish(f"person.{owner_id}", "disk")
    return arrived


def undo_begin(*, restore: Restore, now: datetime) -> Snapshot:
    """The snapshot of the state before a restore; the same one again for whoever goes on with it."""
    if restore.undo is not None:
        return restore.undo
    with transaction.atomic():
        row = Snapshot.objects.create(owner=restore.owner, node=restore.node, why=UNDO, state=MAKING, asked_at=now)
        Restore.objects.filter(pk=restore.pk).update(undo=row)
    restore.undo = row
    return row


def restore_begin(*, restore: Restore) -> int:
    """One more try; its number."""
    restore.tries += 1
    Restore.objects.filter(pk=restore.pk).update(state=MAKING, tries=restore.tries)
    publish(f"person.{restore.owner_id}", "disk")
    return restore.tries


def restore_landing(*, restore: Restore) -> None:
    """All is unpacked beside the workspace: from now on it is only put in place."""
    Restore.objects.filter(pk=restore.pk).update(state=LANDING, percent=100)
    restore.state = LANDING
    publish(f"person.{restore.owner_id}", "disk")


def restore_end(*, restore: Restore, words: str = "", now: datetime) -> None:
    """It is done; with `words`, it is not, and the workspace is as it was."""
    with transaction.atomic():
        state, said = (FAILED, f"not restored: {words}") if words else (DONE, f"restored to {restore.snapshot.asked_at:%F %H:%M} UTC")
        Restore.objects.filter(pk=restore.pk).update(state=state, words=words[:300], ended_at=now)
        event_record(kind="disk.restored", subject=f"person:{restore.owner_id}", words=f"The workspace was {said}.", actor=None, now=now)
        publish(f"person.{restore.owner_id}", "disk")
        ring("worker.schedule")
