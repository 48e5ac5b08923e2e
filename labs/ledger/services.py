"""Writing the ledger: one function, always inside the transaction of the fact that it tells."""

from datetime import datetime
from typing import Any, Protocol

from labs.ledger.models import Event


class Actor(Protocol):
    """Whoever did it. None stands for the platform itself."""

    pk: Any

    def __str__(self) -> str: ...


def event_record(*, kind: str, subject: str, words: str, actor: Actor | None, now: datetime, **fact: Any) -> Event:
    """Append one event. `words` is a sentence that its reader understands without the code."""
    return Event.objects.create(
        at=now,
        actor_id=actor.pk if actor else None,
        actor_name=str(actor) if actor else "GPU Lab",
        kind=kind,
        subject=subject,
        words=words,
        fact=fact,
    )
