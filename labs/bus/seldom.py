"""A complaint that could be made every second: made at once, and then once a minute while it lasts."""

import logging
import time

EVERY_S = 60.0


class Seldom:
    """Warns by a log. A service that is away for an hour fills neither a disk nor the pipe to a supervisor that does not read."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._next = 0.0

    def warning(self, words: str, *values: object) -> None:
        """Say it, unless it was said within the minute."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + EVERY_S
            self._log.warning(words, *values)
