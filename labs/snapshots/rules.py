"""States of snapshots and of restores, and which snapshots are let go. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta

ASKED, MAKING, READY, FAILED, LEAVING = "asked", "making", "ready", "failed", "leaving"
#: Its workspace was moved, and it follows: until it is there, nobody restores it or lets go of it.
CARRIED = "carried"
#: From `landing` on a restore is only ever finished: what was there is set aside already.
LANDING, DONE = "landing", "done"
SNAPSHOT_WORDS = {
    ASKED: "Asked for",
    MAKING: "Being made",
    READY: "Ready",
    FAILED: "Not made",
    LEAVING: "Being deleted",
    CARRIED: "On its way to the other node",
}
RESTORE_WORDS = {ASKED: "Asked for", MAKING: "Being unpacked", LANDING: "Being put in place", DONE: "Restored", FAILED: "Not restored"}
UNDER_WAY, RESTORING = (ASKED, MAKING), (ASKED, MAKING, LANDING)
BY_HAND, IDLE, UNDO = "asked", "idle", "undo"
WHY_WORDS = {BY_HAND: "you asked for it", IDLE: "before a lab that nobody used was stopped", UNDO: "as it was before a restore"}


def too_many(ready: Sequence[tuple[int, datetime]], *, most: int, days: int, now: datetime) -> list[int]:
    """Of one workspace's (number, moment), newest first: those beyond the `most` newest, or older than `days`."""
    return [number for place, (number, made_at) in enumerate(ready) if place >= most or now - made_at > timedelta(days=days)]
