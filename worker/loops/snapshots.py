"""Snapshots of this node's workspaces: made in the background, restored, and let go of."""

import logging
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings

from labs.files.queries import desk_owners
from labs.fleet.models import Node
from labs.people.models import User
from labs.snapshots.models import Restore, Snapshot
from labs.snapshots.queries import restores_due, snapshots_due, snapshots_known, snapshots_leaving, snapshots_ready
from labs.snapshots.rules import IDLE, LANDING, READY
from labs.snapshots.services import (
    restore_begin,
    restore_end,
    restore_landing,
    snapshot_begin,
    snapshot_failed,
    snapshot_forget,
    snapshot_ready,
    snapshots_retire,
    undo_begin,
)
from worker.carrying.here import Here, Stuck, removed
from worker.hands import Hands
from worker.keeping import arrivals_older, snapshot_file, snapshot_read, snapshot_write, snapshots_older
from worker.runtimes.base import RuntimeFault
from worker.runtimes.places import Places
from worker.spec import workspace_name

log = logging.getLogger(__name__)
#: One after the other: what they wait for is the disk.
pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="snapshots")
#: What stands in the way of a folder's work: words of ours, the engine, the disk, a tool of the system's.
HINDERED = (Stuck, RuntimeFault, OSError, subprocess.SubprocessError)
#: How long a file of a snapshot stays that the record does not know here.
STRAY_FOR = timedelta(days=2)
#: A restore that failed so often is given up; the workspace is as it was.
MOST_TRIES = 3


@dataclass(frozen=True, slots=True)
class Keeper:
    """What snapshots of a node are made with."""

    hands: Hands
    places: Places

    def file(self, snapshot: Snapshot) -> Path:
        """Where one is kept."""
        return snapshot_file(settings.SNAPSHOTS, self._name(snapshot.owner_id), snapshot.pk)

    def here(self, owner: User, mark: str, tries: int = 1) -> Here:
        """The workspace of a person on this node."""
        name = self._name(owner.pk)
        return Here(
            name=self.hands.node_id,
            mark=mark,
            tries=tries,
            uid=owner.uid,
            find=lambda make: self.places.folder(name, make=make),
            drop=lambda: self.places.drop(name),
        )

    def prefix(self) -> str:
        """How the names of this node's workspaces begin."""
        return self._name(0).removesuffix("0")

    def _name(self, owner_id: int) -> str:
        return workspace_name(Node.objects.values_list("realm", flat=True).get(pk=self.hands.node_id), owner_id)


def tick(*, keeper: Keeper, now: datetime) -> None:
    """Begin what is due, and remove what has left."""
    hands, node_id = keeper.hands, keeper.hands.node_id
    for snapshot in snapshots_due(node_id=node_id):
        hands.once(pool, f"keep:{snapshot.owner_id}", lambda one=snapshot: make(keeper=keeper, snapshot=one))  # type: ignore[misc]
    open_files = desk_owners(node_id=node_id)  # they are closed first
    for restore in (one for one in restores_due(node_id=node_id) if one.owner_id not in open_files):
        hands.once(pool, f"keep:{restore.owner_id}", lambda one=restore: bring_back(keeper=keeper, restore=one))  # type: ignore[misc]
    snapshots_retire(rows=snapshots_ready(node_id=node_id), most=settings.SNAPSHOT_COUNT, days=settings.SNAPSHOT_DAYS, now=now)
    for snapshot in snapshots_leaving(node_id=node_id):
        keeper.file(snapshot).unlink(missing_ok=True)
        snapshot_forget(snapshot=snapshot)
    strays_remove(keeper=keeper, now=now)


def strays_remove(*, keeper: Keeper, now: datetime) -> int:
    """Remove files that the record knows no snapshot of here since days: they followed their workspace to another node. How many."""
    since = (now - STRAY_FOR).timestamp()
    for folder in arrivals_older(settings.SNAPSHOTS, since):
        removed(folder)
    old = snapshots_older(settings.SNAPSHOTS, keeper.prefix(), since)
    known = snapshots_known(node_id=keeper.hands.node_id, numbers=old) if old else set()
    for number in old.keys() - known:
        old[number].unlink(missing_ok=True)
    return len(old.keys() - known)


def make(*, keeper: Keeper, snapshot: Snapshot) -> bool:
    """Make one, or say why not; begun anew where a worker was ended in the middle. Was it made?"""
    here = keeper.here(snapshot.owner, f"snapshot{snapshot.pk}")
    snapshot_begin(snapshot=snapshot)
    try:
        if snapshot.why == IDLE and here.size().size > settings.SNAPSHOT_IDLE_GIB * 1024**3:
            raise Stuck(f"It holds more than {settings.SNAPSHOT_IDLE_GIB} GiB: no snapshot is made of that by itself.", final=True)
        size = snapshot_write(here, keeper.file(snapshot), lambda percent: snapshot_begin(snapshot=snapshot, percent=percent))
    except HINDERED as fault:
        log.warning("no snapshot of person %d: %s", snapshot.owner_id, fault)
        snapshot_failed(snapshot=snapshot, words=getattr(fault, "words", "The disk of the node could not be written."), now=keeper.hands.clock())
        return False
    snapshot_ready(snapshot=snapshot, size=size, now=keeper.hands.clock())
    return True


def bring_back(*, keeper: Keeper, restore: Restore) -> None:
    """Keep the present state, unpack the snapshot beside the workspace, and exchange them by two renames. May be entered again at every step."""
    try:
        if restore.state != LANDING:
            _unpacked(keeper, restore)
        here = keeper.here(restore.owner, restore.mark, restore.tries)
        if not here.has_landed:  # else what stands there is the restored workspace itself, which nobody sets aside
            here.set_aside()
            here.land()
        here.tidy()
    except HINDERED as fault:
        if restore.state == LANDING:  # what was there is set aside: it is only ever finished
            raise
        words = str(getattr(fault, "words", "The disk of the node could not be written."))
        log.warning("the workspace of person %d is not restored: %s", restore.owner_id, fault)
        if restore.tries >= MOST_TRIES or getattr(fault, "final", False):
            restore_end(restore=restore, words=words, now=keeper.hands.clock())
            keeper.here(restore.owner, restore.mark, restore.tries).tidy()
        return
    restore_end(restore=restore, now=keeper.hands.clock())


def _unpacked(keeper: Keeper, restore: Restore) -> None:
    tries, undo = restore_begin(restore=restore), undo_begin(restore=restore, now=keeper.hands.clock())
    if undo.state != READY and not make(keeper=keeper, snapshot=undo):
        undo.refresh_from_db()
        raise Stuck(f"The present state could not be kept first: {undo.words}", final=True)
    here = keeper.here(restore.owner, restore.mark, tries)
    here.unpack(snapshot_read(keeper.file(restore.snapshot), lambda percent: Restore.objects.filter(pk=restore.pk).update(percent=percent)))
    restore_landing(restore=restore)
