"""How much of the person's limit is left, as it was measured when the page was opened and counted since."""

import threading
from http import HTTPStatus

from worker.desk.errors import Wrong

GIB = 1024**3


class Room:
    """Bytes that may still be written; None is without a limit. Threads share it."""

    def __init__(self, left: int | None) -> None:
        self._left = left
        self._lock = threading.Lock()

    @property
    def left(self) -> int | None:
        """Bytes."""
        return self._left

    def check(self, size: int) -> None:
        """Raises Wrong when so much does not fit."""
        if self._left is not None and size > self._left:
            raise Wrong(
                f"This needs {size / GIB:.2f} GiB, and {max(self._left, 0) / GIB:.2f} GiB of your disk limit are left. What was there is untouched. "
                "Delete something for ever, or ask for more on My quota.",
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            )

    def take(self, size: int) -> None:
        """So much is written now. Raises Wrong when it does not fit."""
        with self._lock:
            self.check(size)
            if self._left is not None:
                self._left -= size

    def give(self, size: int) -> None:
        """So much was removed."""
        with self._lock:
            if self._left is not None:
                self._left += size
