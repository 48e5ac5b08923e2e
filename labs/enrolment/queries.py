"""Who may join, and whether anybody can."""

from datetime import datetime
from ipaddress import ip_address
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.db.models import QuerySet

from labs.enrolment.grants import is_able
from labs.enrolment.models import JoinToken

SAFE_MODES = ("require", "verify-ca", "verify-full")


def joining_refused() -> str:
    """Why no host can join this house, with what to do about it; empty when one can."""
    if not is_able():
        return "Other hosts join only a house on PostgreSQL: SQLite is a file of this machine. Set GPULAB_DATABASE_URL (docs/hosts.md)."
    if not settings.NODES_DATABASE_URL or not settings.NODES_REDIS_URL:
        return "Say first where other hosts reach the database and the broker: GPULAB_NODES_DATABASE_URL and GPULAB_NODES_REDIS_URL (docs/hosts.md)."
    if settings.PRODUCTION and not _is_private(settings.NODES_DATABASE_URL, settings.NODES_REDIS_URL):
        return "Other hosts would reach the records in the clear: use ?sslmode=verify-full for the database and rediss:// for the broker (docs/hosts.md)."
    return ""


def join_tokens_open(*, now: datetime) -> QuerySet[JoinToken]:
    """Tokens with which a host may still join."""
    return JoinToken.objects.filter(used_at=None, withdrawn_at=None, expires_at__gt=now)


def _is_private(database: str, broker: str) -> bool:
    mode = parse_qs(urlsplit(database).query).get("sslmode", [""])[0]
    return (mode in SAFE_MODES or _here(database)) and (urlsplit(broker).scheme == "rediss" or _here(broker))


def _here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
