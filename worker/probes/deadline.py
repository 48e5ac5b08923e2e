"""One thread that does the work nobody may wait long for. A library that hangs holds this thread and no other."""

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class StillBusy(Exception):
    """The work did not end in time. `seconds` is how long it has been going on."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer for {seconds:.0f} s")
        self.seconds = seconds


class OneThread:
    """Does work in its single daemon thread, one piece at a time.

    While a piece hangs, further calls fail at once instead of queueing up behind it; its late answer is thrown away,
    because it tells of a moment that is past.
    """

    def __init__(self, *, name: str) -> None:
        self._asked: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._busy_since: float | None = None
        self._lock = threading.Lock()
        threading.Thread(target=self._serve, name=name, daemon=True).start()

    def call(self, work: Callable[[], T], *, within_s: float) -> T:
        """The answer of `work`, its own exception, or StillBusy after `within_s`."""
        began = self._begin()
        answer: Future[T] = Future()
        self._asked.put(lambda: _settle(answer, work))
        try:
            return answer.result(timeout=within_s)
        except TimeoutError:
            raise StillBusy(time.monotonic() - began) from None

    def end(self) -> None:
        """Let the thread end once it is free. One that hangs ends with the process."""
        self._asked.put(None)

    def _begin(self) -> float:
        with self._lock:
            now = time.monotonic()
            if self._busy_since is not None:
                raise StillBusy(now - self._busy_since)
            self._busy_since = now
            return now

    def _serve(self) -> None:
        while (work := self._asked.get()) is not None:
            work()
            self._busy_since = None


def _settle(answer: "Future[T]", work: Callable[[], T]) -> None:
    try:
        answer.set_result(work())
    except Exception as error:
        answer.set_exception(error)
