"""Writing down what workspaces hold, telling people who run out of room, and asking the nodes to measure again."""

from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F

from labs.bus.bus import publish
from labs.bus.doorbell import node_queue, ring
from labs.ledger.services import event_record
from labs.notices.services import notice_queue
from labs.people.errors import Refused
from labs.people.models import User
from labs.policy.queries import limits_of
from labs.policy.words import disk_full
from labs.storage.models import DiskLevel, WorkspaceUse
from labs.storage.queries import Disk, disk_held, workspaces_of
from labs.storage.rules import LEVELS, level_of

#: Measuring again so soon finds what it found.
REST = timedelta(seconds=20)


def workspace_record(*, owner_id: int, node_id: str, size: int, files: int | None, whole: bool, now: datetime, models_size: int | None = None) -> str:
    """What one workspace holds now: bytes of disk, `models_size` of them of models (None: as before); files; `whole` False says that there is more.

    Its owner is told once of each level passed: in the words that are returned, empty otherwise.
    """
    with transaction.atomic():
        owner = User.objects.select_for_update(no_key=True).filter(pk=owner_id).first()
        if owner is None:
            return ""
        values = {"size": size, "files": files, "whole": whole, "measured_at": now} | ({} if models_size is None else {"models_size": models_size})
        WorkspaceUse.objects.update_or_create(owner=owner, node_id=node_id, defaults=values)
        disk = disk_held(user_ids=[owner_id])[owner_id]
        told = _level_set(owner, disk, limits_of(user=owner, now=now).disk_gib, now)
        publish(f"person.{owner_id}", "disk")
        ring("worker.schedule")
    return told


def workspaces_forget(*, node_id: str, kept: Collection[int]) -> int:
    """Forget the workspaces of the node that are not there any more; `kept` are the owners of those that are. How many."""
    return WorkspaceUse.objects.filter(node_id=node_id).exclude(owner_id__in=kept).delete()[0]


def workspace_moved(*, owner_id: int, source_id: str, destination_id: str) -> None:
    """What was measured of a workspace goes with it to another node, until it is measured there; models stay behind."""
    with transaction.atomic():
        WorkspaceUse.objects.filter(owner_id=owner_id, node_id=destination_id).delete()
        WorkspaceUse.objects.filter(owner_id=owner_id, node_id=source_id).update(node_id=destination_id, size=F("size") - F("models_size"), models_size=0)
        publish(f"person.{owner_id}", "disk")


def workspace_measure_ask(*, user: User, now: datetime) -> None:
    """Ask every node that holds a workspace of the person to measure it now. Refused when there is none, or right after it was measured."""
    with transaction.atomic():
        rows = list(workspaces_of(user=user))
        if not rows:
            raise Refused("You have no workspace that was measured yet: it is made with your first lab, and measured a minute later.", code="state")
        if all(now - row.measured_at < REST for row in rows):
            raise Refused("It was measured a few seconds ago.", code="state")
        WorkspaceUse.objects.filter(owner=user).update(asked_at=now)
        for row in rows:
            ring("worker.storage", queue=node_queue(row.node_id), owner_id=user.pk)


def _level_set(owner: User, disk: Disk, limit_gib: int, now: datetime) -> str:
    """Keep the level that was reached; tell the owner when it is a higher one, in the words returned. Under the lock of the owner, so once."""
    row, _ = DiskLevel.objects.get_or_create(owner=owner)
    level = level_of(disk.size, limit_gib, row.level)
    if level == row.level:
        return ""
    DiskLevel.objects.filter(pk=owner.pk).update(level=level)
    if level < row.level:
        return ""
    subject, words = _words(disk.gib, limit_gib, level)
    event_record(kind="disk.level", subject=f"person:{owner.pk}", words=f"{owner}: {subject}", actor=None, now=now, size=disk.size, limit_gib=limit_gib)
    notice_queue(user=owner, kind="disk_mine", subject=subject, words=words, url="/quota/", now=now)
    return f"{subject}. {words}"


def _words(gib: float, limit_gib: int, level: int) -> tuple[str, str]:
    holds = f"Your workspace holds {gib:g} of your {limit_gib} GiB"
    if level == LEVELS[-1]:
        return f"{holds}: it is over", f"{disk_full(gib, limit_gib)} New labs with GPUs wait until then; labs that run go on."
    words = f"{holds}. Above {limit_gib} GiB new labs with GPUs wait; labs that run go on. Delete what you do not need any more, or ask for more on My quota."
    return f"{holds}: {level}% is used", words
