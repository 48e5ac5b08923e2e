"""What can go wrong, in words, each with the exit code that scripts see."""

from collections.abc import Mapping
from typing import Any

REFUSED, USAGE, SIGN_IN, MISSING, UNREACHABLE, TIME_UP, NOT_RUN, INTERRUPTED = 1, 2, 3, 4, 5, 124, 125, 130


class Fault(Exception):
    """Something that the person should read; `more` is for --json."""

    def __init__(self, words: str, *, code: int = REFUSED, more: Mapping[str, Any] | None = None) -> None:
        super().__init__(words)
        self.words = words
        self.code = code
        self.more = dict(more or {})


class Interrupted(Fault):
    """Ctrl-C."""

    def __init__(self) -> None:
        super().__init__("", code=INTERRUPTED)
