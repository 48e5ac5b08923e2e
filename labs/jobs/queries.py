"""Reading what starts jobs by itself."""

from collections.abc import Collection
from datetime import datetime

from django.db.models import OuterRef, QuerySet, Subquery

from labs.bus.secrets import secret_digest
from labs.jobs.models import Arrival, Trigger
from labs.lifecycle.models import Lab
from labs.people.models import User


def triggers_of(*, user: User) -> QuerySet[Trigger]:
    """The person's own, by name."""
    return Trigger.objects.select_related("last_lab").filter(owner=user)


def trigger_for_owner(*, user: User, trigger_id: int) -> Trigger:
    """One's own; Trigger.DoesNotExist for every other."""
    return Trigger.objects.select_related("owner", "last_lab").get(owner=user, pk=trigger_id)


def trigger_by_secret(*, secret: str) -> Trigger | None:
    """What is called with this secret, of an active person and not paused."""
    rows = Trigger.objects.select_related("owner").filter(kind=Trigger.Kind.CALL, digest=secret_digest(secret))
    return rows.filter(paused=False, owner__is_active=True).first()


def triggers_due(*, now: datetime) -> list[Trigger]:
    """Schedules whose moment has come, the oldest first."""
    rows = Trigger.objects.select_related("owner").filter(kind=Trigger.Kind.SCHEDULE, paused=False, owner__is_active=True, next_at__lte=now)
    return list(rows.order_by("next_at")[:200])


def folders_watched(*, owner_ids: Collection[int]) -> list[tuple[int, int, str]]:
    """Id, owner and folder of what is started by files of these people; for the node that holds their workspaces."""
    rows = Trigger.objects.filter(kind=Trigger.Kind.FILE, paused=False, owner_id__in=owner_ids)
    return list(rows.order_by("id").values_list("id", "owner_id", "watch"))


def arrivals_waiting() -> list[Arrival]:
    """For each of what files start: the file that came first and has started nothing yet."""
    waiting = Arrival.objects.filter(trigger=OuterRef("pk"), fired_at=None).order_by("seen_at", "id").values("pk")
    started = Trigger.objects.filter(kind=Trigger.Kind.FILE, paused=False, owner__is_active=True)
    first = started.annotate(first=Subquery(waiting[:1])).exclude(first=None).values("first")
    return list(Arrival.objects.select_related("trigger__owner").filter(pk__in=first).order_by("seen_at", "id"))


def jobs_of(*, user: User) -> QuerySet[Lab]:
    """The person's jobs, newest first."""
    return Lab.objects.select_related("image").filter(owner=user).exclude(command=[]).order_by("-requested_at")
