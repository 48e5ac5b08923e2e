"""The worker's own timer: every loop ticks by the clock, so that a lost message costs one period and no more."""

import logging
import threading
import time
from collections.abc import Callable

from django.db import close_old_connections

log = logging.getLogger(__name__)


class Ticker(threading.Thread):
    """Calls `tick` every `period_s` in a thread of its own: a loop that hangs holds up no other."""

    def __init__(self, *, name: str, period_s: float, tick: Callable[[], object]) -> None:
        super().__init__(name=f"tick-{name}", daemon=True)
        self.period_s = period_s
        self.tick = tick
        self.ending = threading.Event()

    def run(self) -> None:
        """Tick until told to end. An exception is logged and costs one tick."""
        while True:
            began = time.monotonic()
            close_old_connections()
            try:
                self.tick()
            except Exception:
                log.exception("%s failed; it is tried again in %g s", self.name, self.period_s)
            finally:
                close_old_connections()
            if self.ending.wait(max(self.period_s - (time.monotonic() - began), 0.1)):
                return

    def end(self) -> None:
        """Tick no more; a tick under way is finished."""
        self.ending.set()
