"""Reading webhooks and their calls."""

from django.db.models import QuerySet

from labs.people.models import User
from labs.webhooks.models import Call, Hook


def hooks_of(*, user: User) -> QuerySet[Hook]:
    """The person's own, by name."""
    return Hook.objects.filter(owner=user)


def hook_for_owner(*, user: User, hook_id: int) -> Hook:
    """One's own; Hook.DoesNotExist for every other."""
    return Hook.objects.select_related("owner").get(owner=user, pk=hook_id)


def calls_of(*, hook: Hook) -> QuerySet[Call]:
    """Its calls, the newest first."""
    return Call.objects.filter(hook=hook).order_by("-id")


def calls_recent(*, user: User, limit: int = 30) -> list[Call]:
    """The newest calls of all that the person has."""
    return list(Call.objects.select_related("hook").filter(hook__owner=user).order_by("-id")[:limit])
