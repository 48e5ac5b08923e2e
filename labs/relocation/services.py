"""A move's steps. Each is one transaction, compares before it sets, and may be taken twice."""

from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction

from labs.bus.bus import publish
from labs.bus.doorbell import ring
from labs.fleet.models import Node
from labs.ledger.services import event_record
from labs.notices.services import notice_queue
from labs.people.errors import Refused
from labs.people.models import User
from labs.relocation.models import Relocation
from labs.relocation.rules import ASKED, CANCELLED, COPYING, FAILED, KEPT_FOR, LANDING, MOST_TRIES, MOVED, OPEN, rest
from labs.snapshots.services import snapshots_arrived, snapshots_carry
from labs.storage.models import WorkspaceUse
from labs.storage.services import workspace_moved

URL = "/workspace/"
#: What is left to be removed on a node that is away is looked at again so much later.
LATER = timedelta(minutes=10)


def move_create(*, owner: User, source: Node, destination: Node, actor: User, now: datetime) -> Relocation:
    """A move that begins when nothing of the workspace is in use. Call it under the lock of the owner's row. Refused while there is one."""
    try:
        with transaction.atomic():
            row = Relocation.objects.create(owner=owner, source=source, destination=destination, asked_by=actor, asked_at=now)
    except IntegrityError as error:
        raise Refused(f"The workspace of {owner} is being moved already.", code="state") from error
    _record(row, f"The workspace of {owner} is to be moved from node {source} to {destination}.", actor, now)
    if actor.pk != owner.pk:
        words = f"{actor} moves your workspace from node {source} to {destination}. Your labs wait meanwhile, and none of your files is lost.{_behind(row)}"
        notice_queue(user=owner, kind="workspace", subject="Your workspace is being moved", words=words, url=URL, now=now)
    ring("worker.moving")
    return row


def _behind(move: Relocation) -> str:
    """What does not go with it, in words."""
    size = WorkspaceUse.objects.filter(owner=move.owner_id, node=move.source_id).values_list("models_size", flat=True).first()
    return f" What you wrote in /models there ({size / 1024**3:.1f} GiB) stays on {move.source}." if size else ""


def move_begin(*, move_id: int, now: datetime) -> int | None:
    """Begin to copy, or begin anew; the number of this try. From then on no earlier one counts. None where it is not to be copied any more."""
    with transaction.atomic():
        row = Relocation.objects.select_for_update().filter(pk=move_id, state__in=(ASKED, COPYING)).first()
        if row is None:
            return None
        Relocation.objects.filter(pk=move_id).update(state=COPYING, tries=row.tries + 1, began_at=now, try_at=None, done=0, total=0)
        publish(f"person.{row.owner_id}", "moving")
    return row.tries + 1


def move_progress(*, move_id: int, tries: int, done: int, total: int) -> bool:
    """How far the copy is. False when it is not this try's any more: stop copying."""
    with transaction.atomic():
        if not Relocation.objects.filter(pk=move_id, state=COPYING, tries=tries).update(done=done, total=total):
            return False
        publish(f"person.{Relocation.objects.values_list('owner_id', flat=True).get(pk=move_id)}", "moving")
        publish("queue", "moving")
    return True


def move_copied(*, move_id: int, tries: int) -> bool:
    """The copy is whole, durable and like the original: put it in place. There is no way back from here. False when it is not this try's any more."""
    return bool(Relocation.objects.filter(pk=move_id, state=COPYING, tries=tries).update(state=LANDING))


def move_done(*, move_id: int, now: datetime) -> bool:
    """The copy is in place: it is the one that counts, and the owner's labs start again. False when that was said before."""
    with transaction.atomic():
        if not Relocation.objects.filter(pk=move_id, state=LANDING).update(state=MOVED, moved_at=now, ended_at=now, words="", try_at=None):
            return False
        row = Relocation.objects.select_related("owner", "source", "destination").get(pk=move_id)
        workspace_moved(owner_id=row.owner_id, source_id=row.source_id, destination_id=row.destination_id)
        said = f"The workspace of {row.owner} was moved from node {row.source} to {row.destination}."
        _record(row, f"{said} The copy on {row.source} is removed in {KEPT_FOR.days * 24} hours.", None, now)
        words = f"Your files are on node {row.destination} now, and your labs run there."
        notice_queue(user=row.owner, kind="workspace", subject="Your workspace was moved", words=words, url=URL, now=now)
        ring("worker.schedule")
    return True


def move_failed(*, move_id: int, words: str, final: bool, now: datetime, landing: bool = False) -> bool:
    """This try failed: try again later, or, after the last one or a `final` fault, leave everything where it is. True when it was given up.

    What is being put in place is whole and only has to be said to be: it is given up only where `landing` says that this copy is lost.
    """
    with transaction.atomic():
        row = Relocation.objects.select_for_update().select_related("owner", "source", "destination").get(pk=move_id)
        if row.state not in OPEN:
            return False
        if (row.state == LANDING and not landing) or not (final or row.tries >= MOST_TRIES):
            Relocation.objects.filter(pk=move_id).update(words=words, try_at=now + rest(row.tries))
            publish(f"person.{row.owner_id}", "moving")
            return False
        Relocation.objects.filter(pk=move_id).update(state=FAILED, words=words, ended_at=now, try_at=None)
        _record(row, f"The workspace of {row.owner} was not moved to node {row.destination}: {words}", None, now)
        told = f"It stays on node {row.source}, and your labs run there. {words}"
        notice_queue(user=row.owner, kind="workspace", subject="Your workspace was not moved", words=told, url=URL, now=now)
        ring("worker.schedule")
    return True


def move_cancel(*, move: Relocation, actor: User, now: datetime) -> None:
    """Leave the workspace where it is. Refused once the copy is being put in place."""
    with transaction.atomic():
        changes: dict[str, Any] = {"state": CANCELLED, "ended_at": now, "try_at": None}
        if not Relocation.objects.filter(pk=move.pk, state__in=(ASKED, COPYING)).update(**changes):
            raise Refused("It is too late to call it off: the copy is whole and is being put in place, or the move is over.", code="state")
        _record(move, f"The move of the workspace of {move.owner} to node {move.destination} was called off. It stays on {move.source}.", actor, now)
        if actor.pk != move.owner_id:
            words = f"{actor} called the move off. Your workspace stays on node {move.source}."
            notice_queue(user=move.owner, kind="workspace", subject="Your workspace stays where it is", words=words, url=URL, now=now)
        ring("worker.schedule")


def move_tidied(*, move_id: int, now: datetime) -> None:
    """The copy that did not count is gone."""
    Relocation.objects.filter(pk=move_id, tidied_at=None).update(tidied_at=now)


def move_tidy_later(*, move_id: int, now: datetime) -> None:
    """Its node is away."""
    Relocation.objects.filter(pk=move_id, tidied_at=None).update(try_at=now + LATER)


def follow_begin(*, move_id: int, now: datetime) -> tuple[int, int] | None:
    """Begin to bring the workspace's snapshots after it; the number of this try and how many they are. None where that was done already."""
    with transaction.atomic():
        row = Relocation.objects.select_for_update().filter(pk=move_id, state=MOVED, followed_at=None).first()
        if row is None:
            return None
        Relocation.objects.filter(pk=move_id).update(follow_tries=row.follow_tries + 1, follow_began_at=now, follow_at=None)
        return row.follow_tries + 1, snapshots_carry(owner_id=row.owner_id, node_id=row.source_id)


def follow_done(*, move_id: int, now: datetime) -> None:
    """They are on the destination, whole and compared."""
    with transaction.atomic():
        if not Relocation.objects.filter(pk=move_id, followed_at=None).update(followed_at=now, follow_words="", follow_at=None):
            return
        row = Relocation.objects.select_related("owner", "source", "destination").get(pk=move_id)
        count = snapshots_arrived(owner_id=row.owner_id, source_id=row.source_id, destination_id=row.destination_id)
        if count:
            _record(row, f"{count} snapshots of the workspace of {row.owner} were brought from node {row.source} to {row.destination}.", None, now)


def follow_failed(*, move_id: int, words: str, final: bool, now: datetime) -> None:
    """They were not brought in this try: again later, or, after the last one or a `final` fault, they stay where they are, and that is said."""
    with transaction.atomic():
        row = Relocation.objects.select_for_update().select_related("owner", "source", "destination").get(pk=move_id)
        if row.followed_at is not None:
            return
        if not (final or row.follow_tries >= MOST_TRIES):
            Relocation.objects.filter(pk=move_id).update(follow_words=words[:300], follow_at=now + rest(row.follow_tries))
            return
        Relocation.objects.filter(pk=move_id).update(follow_words=words[:300], followed_at=now, follow_at=None)
        snapshots_arrived(owner_id=row.owner_id, source_id=row.source_id, destination_id=row.source_id)
        _record(row, f"The snapshots of the workspace of {row.owner} stay on node {row.source}: {words}", None, now)


def _record(move: Relocation, words: str, actor: User | None, now: datetime) -> None:
    event_record(kind="workspace.move", subject=f"person:{move.owner_id}", words=words, actor=actor, now=now)
    publish(f"person.{move.owner_id}", "moving")
    publish("queue", "moving")
    publish("fleet", "moving")
