"""The house's clock, as every worker has it: the database's time, carried on by this machine's boot clock.

A worker whose own clock is an hour or a day wrong must not end anybody's lab. And should the database's clock jump, the
time that has passed since is told by a clock that never jumps: times of labs go on as before, and somebody is told.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

log = logging.getLogger(__name__)
LOOK_EVERY_S = 5.0
#: More than this between two looks is a jump; less is how clocks drift and are set right.
JUMP = timedelta(seconds=60)


def boot_s() -> float:
    """Seconds since this machine booted, also those in which it slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class HouseClock:
    """`look` reads the database's clock and may fail; `beat` counts seconds and never jumps."""

    def __init__(self, look: Callable[[], datetime], *, beat: Callable[[], float] = boot_s) -> None:
        self._look = look
        self._beat = beat
        self._lock = threading.Lock()
        self._at = look()
        self._beat_at = self._looked_at = beat()
        self.jump = timedelta()

    def now(self) -> datetime:
        """The house's time. With the database away it goes on alone."""
        if self._beat() - self._looked_at >= LOOK_EVERY_S and self._lock.acquire(blocking=False):
            try:
                self._adjust()
            finally:
                self._lock.release()
        at, beat_at = self._at, self._beat_at
        return at + timedelta(seconds=self._beat() - beat_at)

    def _adjust(self) -> None:
        self._looked_at = self._beat()
        try:
            found = self._look()
        except Exception as error:
            log.warning("the house's clock is not seen now and goes on alone: %s", error)
            return
        beat = self._beat()
        expected = self._at + timedelta(seconds=beat - self._beat_at)
        jump = found - expected
        if abs(jump) <= JUMP:
            self.jump = timedelta()
            self._beat_at, self._at = beat, found
            return
        if jump.total_seconds() // 60 != self.jump.total_seconds() // 60:
            log.error("the database's clock jumped by %s: labs' times go on as before; set it right, or restart the workers to take it", jump)
        self.jump = jump
