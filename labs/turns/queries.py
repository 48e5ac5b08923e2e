"""Reading turns, and the one clock that all machines of a house share."""

from datetime import UTC, datetime

from django.db import connection
from django.utils import timezone

from labs.turns.models import Turn


def turn_holder(*, name: str) -> str:
    """Who has the turn now or had it last; empty before the first."""
    return Turn.objects.filter(pk=name).values_list("holder", flat=True).first() or ""


def database_now() -> datetime:
    """The database's clock. SQLite is on this machine and has this machine's."""
    if connection.vendor != "postgresql":
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment.astimezone(UTC)
