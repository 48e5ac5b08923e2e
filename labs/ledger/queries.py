"""Reading the ledger."""

from datetime import datetime

from django.db.models import Q, QuerySet

from labs.ledger.models import Event


def events_of(*, subject: str, limit: int = 200) -> list[Event]:
    """The newest events of one thing, oldest first."""
    return list(Event.objects.filter(subject=subject).order_by("-id")[:limit])[::-1]


def events_search(*, text: str = "", kind: str = "", since: datetime | None = None) -> QuerySet[Event]:
    """Events whose words, actor or subject contain `text`, newest first; for the audit page and its export."""
    found = Event.objects.order_by("-id")
    if text:
        found = found.filter(Q(words__icontains=text) | Q(actor_name__icontains=text) | Q(subject__icontains=text))
    if kind:
        found = found.filter(kind__startswith=kind)
    if since:
        found = found.filter(at__gte=since)
    return found
