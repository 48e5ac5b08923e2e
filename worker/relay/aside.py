"""The log goes out by a thread of its own: whoever should read it and hangs (an engine, a supervisor) holds up no request to a lab."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from logging.handlers import QueueHandler
from queue import Full, Queue
from threading import Thread

#: Lines that wait for a reader; what comes beyond them is lost.
MOST = 5_000
END_S = 2.0
Lines = Queue[logging.LogRecord | None]


class _Aside(QueueHandler):
    def enqueue(self, record: logging.LogRecord) -> None:
        with suppress(Full):  # there is nobody to tell it to
            self.queue.put_nowait(record)


@contextmanager
def logged_aside(root: logging.Logger) -> Iterator[None]:
    """Meanwhile nothing that this logger's handlers write blocks who logs; at the end what waits is written, for 2 s at most."""
    before, lines = list(root.handlers), Lines(MOST)
    writer = Thread(target=_write, args=(lines, before), name="log", daemon=True)
    writer.start()
    root.handlers = [_Aside(lines)]
    try:
        yield
    finally:
        root.handlers = before
        with suppress(Full):  # still nobody reads
            lines.put(None, timeout=END_S)
            writer.join(END_S)


def _write(lines: Lines, handlers: Sequence[logging.Handler]) -> None:
    while (record := lines.get()) is not None:
        for handler in handlers:
            handler.handle(record)
