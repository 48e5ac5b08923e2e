"""Time limits of a node that is cut off: the labs that it knew are ended when their time is up, though no record answers.

The record hears of it when it is there again: the container is gone then, and its lab's time was up. The times are kept in a file of the node's as well, so
that a worker that starts while the record is away knows them.
"""

import json
import logging
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from labs.lifecycle.states import STOP_GRACE_S
from worker.hands import Hands

log = logging.getLogger(__name__)
#: A record that has not answered for so long counts as away; before, the reconcile loop ends labs itself.
AWAY_S = 15.0
pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="alone")


@dataclass(frozen=True, slots=True)
class Kept:
    """What a node needs to keep time without the record: its kind of runtime, its realm, and when each container ends."""

    runtime: str
    realm: str
    limits: Mapping[str, datetime]

    def write(self, path: Path) -> None:
        """Whole or not at all, for root alone."""
        made = path.with_name(path.name + ".part")
        made.touch(mode=0o600)
        text = {"runtime": self.runtime, "realm": self.realm, "limits": {name: ends.isoformat() for name, ends in self.limits.items()}}
        made.write_text(json.dumps(text))
        made.replace(path)


def kept_read(path: Path) -> Kept | None:
    """What was written last; None where nothing was."""
    try:
        found = json.loads(path.read_text())
        return Kept(found["runtime"], found["realm"], {name: datetime.fromisoformat(ends) for name, ends in found["limits"].items()})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError) as error:
        log.warning("%s cannot be read, so time limits are not kept before the record answers: %r", path, error)
        return None


def remember(*, hands: Hands, limits: dict[str, datetime]) -> None:
    """The record answered: by the name of each running container, when it ends."""
    if limits != hands.limits or not hands.limits_kept:
        hands.keep(limits)
        hands.limits_kept = True
    hands.limits, hands.limits_at = limits, time.monotonic()


def tick(*, hands: Hands, now: datetime) -> int:
    """One round, without the record; how many labs are being ended."""
    if time.monotonic() - hands.limits_at < AWAY_S:
        return 0
    due = [name for name, ends_at in hands.limits.items() if ends_at <= now]
    return sum(hands.once(pool, name, lambda name=name: _end(hands, name)) for name in due)  # type: ignore[misc]


def _end(hands: Hands, name: str) -> None:
    log.warning("%s: its time is up, and the record does not answer; it is ended", name)
    hands.runtime.stop(name, STOP_GRACE_S)
    hands.limits.pop(name, None)
