"""Reading messages and choices."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet

from labs.notices.kinds import TEST, Kind, kinds_for
from labs.notices.models import Choice, Delivery, Notice, Webhook
from labs.people.models import User

RECENT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A kind, and by which channels its reader wants it."""

    kind: Kind
    mail: bool
    webhook: bool


def choices_of(*, user: User) -> list[Chosen]:
    """Every kind that concerns the person."""
    rows = {row.kind: row for row in Choice.objects.filter(user=user)}
    return [Chosen(kind, *((row.mail, row.webhook) if (row := rows.get(kind.code)) else (True, True))) for kind in kinds_for(user.role)]


def wants(*, user_ids: Collection[int], kind: str) -> dict[int, tuple[bool, bool]]:
    """(mail, webhook) of each person for one kind."""
    rows = {} if kind == TEST else {row.user_id: (row.mail, row.webhook) for row in Choice.objects.filter(user__in=user_ids, kind=kind)}
    return {user_id: rows.get(user_id, (True, True)) for user_id in user_ids}


def webhook_of(*, user: User) -> Webhook | None:
    """The person's chat address, without its secret."""
    return Webhook.objects.filter(user=user).first()


def notices_of(*, user: User, limit: int = 20) -> list[Notice]:
    """The person's newest messages with how each was sent."""
    return list(Notice.objects.filter(user=user).prefetch_related("deliveries")[:limit])


def failures_recent(*, now: datetime) -> QuerySet[Delivery]:
    """Messages that could not be sent lately, given up or still tried, newest first; for administrators."""
    rows = Delivery.objects.select_related("notice__user").filter(notice__queued_at__gt=now - RECENT).exclude(last_error="")
    return rows.exclude(state=Delivery.State.SENT).order_by("-notice__queued_at")
