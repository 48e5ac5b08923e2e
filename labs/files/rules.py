"""When a file page is opened and closed. Pure."""

from datetime import datetime, timedelta

#: How long it stays open without being used.
REST = timedelta(minutes=15)
#: How long a program's token is good.
TOKEN = timedelta(hours=2)


def is_over(*, idle_s: float, wanted_until: datetime, now: datetime) -> bool:
    """Is it to be closed? Not while somebody wants it, and not while it is in use."""
    return now >= wanted_until and idle_s >= REST.total_seconds()
