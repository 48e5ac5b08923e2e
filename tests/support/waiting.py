"""Waiting for a condition with a deadline, instead of sleeping for luck."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(condition: Callable[[], T], within: float = 30.0, what: str = "the condition", every: float = 0.05) -> T:
    """The first truthy answer of `condition`; fails in words after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what} did not come true within {within:g} s; last answer: {answer!r}")
        time.sleep(every)
