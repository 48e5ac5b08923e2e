"""How a move of a workspace is told, and when it is tried again. Pure."""

from datetime import timedelta

ASKED, COPYING, LANDING, MOVED, CANCELLED, FAILED = "asked", "copying", "landing", "moved", "cancelled", "failed"
WORDS = {
    ASKED: "Waits for labs to end",
    COPYING: "Being copied",
    LANDING: "Being put in place",
    MOVED: "Moved",
    CANCELLED: "Called off",
    FAILED: "Failed",
}
#: While a move is one of these, no lab of the workspace's owner starts.
OPEN = (ASKED, COPYING, LANDING)
#: The copy that was left behind is removed so long after the move.
KEPT_FOR = timedelta(days=1)
MOST_TRIES = 5


def percent(done: int, total: int) -> int:
    """How much of it was copied; all of it only when it is told to be."""
    return min(99, 100 * done // total) if total else 0


def queue_words(state: str, done: int, total: int, source: str, destination: str) -> str:
    """Why its owner's labs wait."""
    way = f"Your workspace is being moved from node {source} to {destination}"
    if state == ASKED:
        return f"{way}: it begins when your labs there have ended."
    return f"{way}: {percent(done, total) if state == COPYING else 100}%."


def rest(tries: int) -> timedelta:
    """Until it is tried again after so many tries."""
    return timedelta(seconds=min(5 * 2**tries, 300))
