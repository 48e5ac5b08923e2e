"""What workspaces hold."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Min, QuerySet, Sum

from labs.people.models import User
from labs.storage.models import WorkspaceUse
from labs.storage.rules import GIB, Measurement


@dataclass(frozen=True, slots=True)
class Disk:
    """What a person's workspaces hold on all nodes together; the oldest of the measurements. None is never."""

    size: int = 0
    measured_at: datetime | None = None

    @property
    def gib(self) -> float:
        """Rounded to a hundredth."""
        return round(self.size / GIB, 2)


def disk_held(*, user_ids: Iterable[int]) -> dict[int, Disk]:
    """By person; nothing for who was never measured. One query."""
    rows = WorkspaceUse.objects.filter(owner_id__in=list(user_ids)).order_by().values_list("owner_id")
    return {owner: Disk(int(size), oldest) for owner, size, oldest in rows.annotate(size=Sum("size"), oldest=Min("measured_at"))}


def workspaces_of(*, user: User) -> QuerySet[WorkspaceUse]:
    """One's own, node by node."""
    return WorkspaceUse.objects.select_related("node").filter(owner=user).order_by("node_id")


def measurements_on(*, node_id: str) -> dict[int, Measurement]:
    """When each workspace of the node was measured last, by owner."""
    rows = WorkspaceUse.objects.filter(node_id=node_id).values_list("owner_id", "measured_at", "asked_at")
    return {owner: Measurement(measured, asked) for owner, measured, asked in rows}
