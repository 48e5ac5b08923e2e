"""The keys by which people's clients know the house's SSH door: told by the gateway that has them, shown by pages and the API."""

from datetime import datetime, timedelta

from django.db import transaction

from labs.ledger.services import event_record
from labs.people.keys import parse_public_key
from labs.people.models import SshHostKey

#: A gateway tells its key again within this time; one that has not is no longer at the door.
STANDS = timedelta(days=2)


def host_key_tell(*, line: str, now: datetime) -> None:
    """The gateway has this public host key. A new one is an event: people's clients will warn of it."""
    key = parse_public_key(line)
    with transaction.atomic():
        _, made = SshHostKey.objects.update_or_create(fingerprint=key.fingerprint, defaults={"public_key": key.line, "told_at": now})
        if made:
            event_record(kind="ssh.host_key", subject="house", words=f"The SSH door is known by {key.fingerprint}.", actor=None, now=now)


def host_keys(*, now: datetime) -> list[SshHostKey]:
    """Those that stand, newest first."""
    return list(SshHostKey.objects.filter(told_at__gt=now - STANDS).order_by("-told_at"))
