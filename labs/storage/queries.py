"""What workspaces hold."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import BigIntegerField, Min, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from labs.people.models import User
from labs.snapshots.models import Snapshot
from labs.snapshots.rules import CARRIED, READY
from labs.storage.models import WorkspaceUse
from labs.storage.rules import GIB, NEAR, Measurement


@dataclass(frozen=True, slots=True)
class Disk:
    """What a person's workspaces and their snapshots hold on all nodes together; the oldest of the measurements. None is never."""

    size: int = 0
    measured_at: datetime | None = None

    @property
    def gib(self) -> float:
        """Rounded to a hundredth."""
        return round(self.size / GIB, 2)


def disk_held(*, user_ids: Iterable[int]) -> dict[int, Disk]:
    """By person; nothing for who was never measured. One query."""
    own = Snapshot.objects.filter(owner_id=OuterRef("owner_id"), state__in=(READY, CARRIED)).order_by().values("owner_id")
    kept = Coalesce(Subquery(own.annotate(all=Sum("size")).values("all"), output_field=BigIntegerField()), 0)
    rows = WorkspaceUse.objects.filter(owner_id__in=list(user_ids)).order_by().values("owner_id").annotate(kept=kept)
    found = rows.annotate(size=Sum("size"), oldest=Min("measured_at")).values_list("owner_id", "size", "kept", "oldest")
    return {owner: Disk(int(size) + int(snapshots), oldest) for owner, size, snapshots, oldest in found}


def disk_near(*, user_id: int, limit_gib: int) -> Disk | None:
    """What a person holds where that is nearly the limit, or more; None while there is room. One query."""
    disk = disk_held(user_ids=[user_id]).get(user_id, Disk())
    return disk if disk.size and 100 * disk.size >= NEAR * limit_gib * GIB else None


def workspaces_of(*, user: User) -> QuerySet[WorkspaceUse]:
    """One's own, node by node."""
    return WorkspaceUse.objects.select_related("node").filter(owner=user).order_by("node_id")


def workspaces_on(*, node_id: str) -> dict[int, WorkspaceUse]:
    """What each workspace of the node holds, by owner."""
    return {row.owner_id: row for row in WorkspaceUse.objects.filter(node_id=node_id)}


def measurements_on(*, node_id: str) -> dict[int, Measurement]:
    """When each workspace of the node was measured last, by owner."""
    rows = WorkspaceUse.objects.filter(node_id=node_id).values_list("owner_id", "measured_at", "asked_at")
    return {owner: Measurement(measured, asked) for owner, measured, asked in rows}
