"""Which workspaces are on the move, and where they went."""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Exists, OuterRef, Q

from labs.people.models import User
from labs.relocation.models import Relocation
from labs.relocation.rules import CANCELLED, FAILED, KEPT_FOR, MOVED, OPEN
from labs.snapshots.models import Snapshot
from labs.snapshots.rules import UNDER_WAY


def moves_open(*, owner_ids: Iterable[int]) -> dict[int, Relocation]:
    """By person: the move that is under way."""
    rows = Relocation.objects.select_related("source", "destination").filter(owner_id__in=list(owner_ids), state__in=OPEN)
    return {row.owner_id: row for row in rows}


def is_moving(*, owner_id: int) -> bool:
    """Is the person's workspace on the move? Ask it under the lock of their row, so that no move begins meanwhile."""
    return Relocation.objects.filter(owner_id=owner_id, state__in=OPEN).exists()


def last_move(*, user: User) -> Relocation | None:
    """The newest, whatever came of it."""
    return Relocation.objects.select_related("source", "destination").filter(owner=user).first()


def moved_to(*, owner_ids: Iterable[int], node_ids: Iterable[str]) -> list[tuple[int, str]]:
    """(person, node) of every move that was made to one of these nodes; the newest last."""
    rows = Relocation.objects.filter(owner_id__in=list(owner_ids), destination__in=list(node_ids), state=MOVED).order_by("moved_at")
    return [(owner, str(node)) for owner, node in rows.values_list("owner_id", "destination_id")]


def moved_away(*, owner_id: int, node_id: str) -> Relocation | None:
    """The move that took the person's workspace from that node; None where there was none, or it came back since."""
    rows = Relocation.objects.select_related("source", "destination").filter(owner_id=owner_id, state=MOVED)
    last = rows.filter(Q(source=node_id) | Q(destination=node_id)).order_by("-moved_at").first()
    return last if last and last.source_id == node_id else None


def moves_by_source() -> dict[str, list[Relocation]]:
    """Moves under way, by the node that they leave."""
    found: dict[str, list[Relocation]] = {}
    for row in Relocation.objects.select_related("owner", "destination").filter(state__in=OPEN).order_by("asked_at", "pk"):
        found.setdefault(row.source_id, []).append(row)
    return found


def moves_due(*, now: datetime) -> list[Relocation]:
    """Those under way that may be worked on."""
    rows = Relocation.objects.select_related("owner", "source", "destination").filter(state__in=OPEN)
    return list(rows.filter(Q(try_at=None) | Q(try_at__lte=now)).order_by("asked_at", "pk"))


def moves_untidy(*, now: datetime) -> list[Relocation]:
    """Those that have ended and left a copy that does not count, and whose time to be removed has come."""
    over = Q(state__in=(CANCELLED, FAILED)) | Q(state=MOVED, moved_at__lte=now - KEPT_FOR)
    rows = Relocation.objects.select_related("owner", "source", "destination").filter(over, tidied_at=None)
    return list(rows.filter(Q(try_at=None) | Q(try_at__lte=now)))


def moves_unfollowed(*, now: datetime) -> list[Relocation]:
    """Moves that were made whose workspace's snapshots are still to follow: of each person the oldest, once no snapshot is being made where it was."""
    rows = Relocation.objects.select_related("owner", "source", "destination").filter(state=MOVED, followed_at=None).order_by("moved_at", "pk")
    busy = Snapshot.objects.filter(owner_id=OuterRef("owner_id"), node_id=OuterRef("source_id"), state__in=UNDER_WAY)
    first: dict[int, Relocation] = {}
    for row in rows.annotate(busy=Exists(busy)):
        first.setdefault(row.owner_id, row)
    return [row for row in first.values() if not row.busy and (row.follow_at is None or row.follow_at <= now)]  # type: ignore[attr-defined]


def move_on_record(*, move_id: int, node_id: str) -> Relocation | None:
    """That move, if the node is one of its ends."""
    return Relocation.objects.filter(Q(source=node_id) | Q(destination=node_id), pk=move_id).first()
