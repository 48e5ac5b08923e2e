"""One workspace and what is under way in it, and the broom that sweeps its trash and its forgotten uploads."""

import threading
import time

from worker.desk.errors import Wrong, wrong_of
from worker.desk.exports import Exports
from worker.desk.fetch import Fetches
from worker.desk.paths import Root
from worker.desk.room import Room
from worker.desk.trash import sweep
from worker.desk.uploads import Uploads

SWEEP_EVERY_S = 3600.0


class Store:
    """Everything that the routes act on."""

    def __init__(self, workspace: str, *, left: "int | None") -> None:
        self.root = Root(workspace)
        self.room = Room(left)
        self.uploads = Uploads(self.root, self.room)
        self.fetches = Fetches(self.uploads, self.room)
        self.exports = Exports(self.root)
        self.sweep_at: float | None = None  # when something is to be swept next, in seconds of the epoch
        self._wake = threading.Event()

    def sweep_soon(self) -> None:
        """Something was put where it is swept."""
        self._wake.set()

    def sweep(self) -> None:
        """Now. What cannot be swept is left for the next time."""
        try:
            due = [at for at in (sweep(self.root, time.time()), self.uploads.sweep(time.time())) if at is not None]
        except (OSError, Wrong):
            due = [time.time() + SWEEP_EVERY_S]
        self.sweep_at = min(due, default=None)

    def sweep_for_ever(self) -> None:
        """At once, every hour, and when something was thrown away."""
        while True:
            self.sweep()
            self._wake.wait(SWEEP_EVERY_S)
            self._wake.clear()

    @staticmethod
    def words(error: Exception) -> Wrong:
        """What went wrong, for people."""
        return error if isinstance(error, Wrong) else wrong_of(error) if isinstance(error, OSError) else Wrong(str(error))
