"""Time limits of a node that is cut off: the labs that it knew are ended when their time is up, though no record answers.

The record hears of it when it is there again: the container is gone then, and its lab's time was up.
"""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from labs.lifecycle.states import STOP_GRACE_S
from worker.hands import Hands

log = logging.getLogger(__name__)
#: A record that has not answered for so long counts as away; before, the reconcile loop ends labs itself.
AWAY_S = 15.0
pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="alone")


def remember(*, hands: Hands, limits: dict[str, datetime]) -> None:
    """The record answered: by the name of each running container, when it ends."""
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
