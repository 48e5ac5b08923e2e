"""Which snapshots there are, and who is being restored."""

from collections.abc import Iterable
from dataclasses import replace

from django.db.models import Exists, OuterRef, QuerySet

from labs.people.models import User
from labs.scheduler.snapshot import Waiting
from labs.snapshots.models import Restore, Snapshot
from labs.snapshots.rules import FAILED, LEAVING, READY, RESTORING, UNDER_WAY

WAITS = "Your workspace is being restored: the lab starts when that is done."


def snapshots_of(*, user: User) -> QuerySet[Snapshot]:
    """One's own, newest first; those that are being deleted are not shown any more."""
    return Snapshot.objects.select_related("node").filter(owner=user).exclude(state=LEAVING)


def last_restore(*, user: User) -> Restore | None:
    """The newest, whatever came of it."""
    return Restore.objects.select_related("snapshot", "node", "undo").filter(owner=user).first()


def restoring(*, owner_ids: Iterable[int]) -> dict[int, Restore]:
    """By person: the restore that is under way. Their labs wait for it."""
    return {row.owner_id: row for row in Restore.objects.filter(owner_id__in=list(owner_ids), state__in=RESTORING)}


def is_restoring(*, owner_id: int) -> bool:
    """Is the person's workspace being restored? Ask it under the lock of their row, so that no restore begins meanwhile."""
    return Restore.objects.filter(owner_id=owner_id, state__in=RESTORING).exists()


def snapshots_due(*, node_id: str) -> list[Snapshot]:
    """What the node is to make, or to begin anew after its worker was ended in the middle."""
    return list(Snapshot.objects.select_related("owner").filter(node_id=node_id, state__in=UNDER_WAY).order_by("pk"))


def restores_due(*, node_id: str) -> list[Restore]:
    """Likewise; one whose workspace has a snapshot under way comes after that."""
    rows = Restore.objects.select_related("owner", "snapshot").filter(node_id=node_id, state__in=RESTORING)
    busy = Snapshot.objects.filter(owner_id=OuterRef("owner_id"), node_id=node_id, state__in=UNDER_WAY).exclude(undoes=OuterRef("pk"))
    return list(rows.exclude(Exists(busy)).order_by("pk"))


def snapshots_leaving(*, node_id: str) -> list[Snapshot]:
    """Those whose files the node is to remove."""
    return list(Snapshot.objects.filter(node_id=node_id, state=LEAVING))


def snapshots_ready(*, node_id: str) -> list[Snapshot]:
    """All that the node keeps and no restore uses, newest first."""
    used = Restore.objects.filter(state__in=RESTORING)
    rows = Snapshot.objects.filter(node_id=node_id, state__in=(READY, FAILED))
    return list(rows.exclude(pk__in=used.values("snapshot_id")).exclude(pk__in=used.filter(undo__isnull=False).values("undo_id")))


def snapshots_known(*, node_id: str, numbers: Iterable[int]) -> set[int]:
    """Those of them that the node keeps, or is about to."""
    return set(Snapshot.objects.filter(node_id=node_id, pk__in=list(numbers)).values_list("pk", flat=True))


def waiting_for_restores(*, labs: Iterable[Waiting]) -> tuple[Waiting, ...]:
    """The labs, those of somebody whose workspace is being restored with that as a reason."""
    labs = tuple(labs)
    found = restoring(owner_ids={lab.owner_id for lab in labs}) if labs else {}
    return tuple(replace(lab, blocked=(*lab.blocked, WAITS)) if lab.owner_id in found and not lab.placed else lab for lab in labs)
