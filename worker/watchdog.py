"""Is this worker still being rung? A worker can be alive and consume nothing any more (celery issue 10302).

Every few seconds a task is sent to this node's own queue; the task itself says that it was consumed. When it is not
heard of for too long while the broker answers, the process ends at once, and what supervises it (the embedded
supervisor, systemd, compose) starts it again. Nothing is lost by that: every step of the work can be done twice.
"""

import logging
import os
import time
from collections.abc import Callable

log = logging.getLogger(__name__)
EVERY_S = 3.0
WITHIN_S = 16.0
#: EX_TEMPFAIL: try again.
STATUS = 75


def process_end() -> None:
    """End now: threads that hang must not hold it up."""
    os._exit(STATUS)


class Watchdog:
    """`send` rings the task that calls `felt`; `broker_answers` tells whether silence is this worker's own."""

    def __init__(
        self,
        *,
        send: Callable[[], object],
        broker_answers: Callable[[], bool],
        end: Callable[[], object] = process_end,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send = send
        self._broker_answers = broker_answers
        self._end = end
        self._clock = clock
        self._well_at = clock()

    def felt(self) -> None:
        """The task was consumed."""
        self._well_at = self._clock()

    def look(self) -> None:
        """Send a pulse, and end the process when none has been felt for too long. A broker that is away is no fault of ours."""
        if not self._broker_answers():
            self._well_at = self._clock()
            return
        silent_s = self._clock() - self._well_at
        if silent_s > WITHIN_S:
            log.critical("nothing was consumed for %.0f s though the broker answers: this worker ends, to be started again", silent_s)
            self._end()
            return
        self._send()
