"""What programs in labs say, in pieces. A lab is its owner's: they may stop a program of the house's, or have put another of that name in its place.

The engine's library waits for the next piece without an end, whatever deadline its client has, and takes pieces without an end.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

from worker.runtimes.base import RuntimeFault

#: A short question is answered within so many seconds, and in so many bytes.
WITHIN_S, MOST = 30.0, 1024 * 1024
LATE = "A program in the lab did not answer in time."
LONG = "A program in the lab says more than is listened to."


class _Watch:
    """Ends something when its time is up; `again`: from now on."""

    def __init__(self, end: Callable[[], None], within_s: float) -> None:
        self.late = False
        self._end, self._within = end, within_s
        self._over = threading.Event()
        self.again()
        threading.Thread(target=self._look, name="heard", daemon=True).start()

    def again(self) -> None:
        """The time begins anew."""
        self._until = time.monotonic() + self._within

    def over(self) -> None:
        """It is not needed any more."""
        self._over.set()

    def _look(self) -> None:
        while (left := self._until - time.monotonic()) > 0:
            if self._over.wait(left):
                return
        self.late = True
        with suppress(OSError, ValueError, AttributeError):  # it may be closed already
            self._end()


def heard(api: Any, exec_id: str, within_s: float, *, anew: bool = False, demux: bool = False) -> Iterator[Any]:
    """Begin the program and hear it to its end. RuntimeFault when it has not ended `within_s`; `anew`: when it has been silent for so long."""
    pieces = api.exec_start(exec_id, stream=True, demux=demux)
    watch = _Watch(pieces.close, within_s)
    try:
        for piece in pieces:
            if anew:
                watch.again()
            yield piece
    finally:
        watch.over()
        with suppress(OSError, ValueError, AttributeError):  # it may be closed already
            pieces.close()
    if watch.late:
        raise RuntimeFault(LATE)


def said(api: Any, exec_id: str, *, within_s: float = WITHIN_S, most: int = MOST) -> bytes:
    """All that the program says. RuntimeFault when it has not ended in time, or says more than is listened to."""
    text = bytearray()
    with closing(heard(api, exec_id, within_s)) as pieces:  # type: ignore[type-var]  # a generator
        for piece in pieces:
            text += piece
            if len(text) > most:
                raise RuntimeFault(LONG, transient=False)
    return bytes(text)
