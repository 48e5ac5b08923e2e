"""Threads that all begin at the same moment, each with a database connection of its own."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import Any

from django.db import connection, connections

Race = Callable[[Callable[[int], Any], int], list[Any]]


@contextmanager
def racing(threads: int) -> Iterator[Race]:
    """`race(what, count)` runs `what(n)` in so many of the threads at once; their answers in order."""
    with ThreadPoolExecutor(threads) as pool:

        def race(what: Callable[[int], Any], count: int) -> list[Any]:
            together = Barrier(count)

            def one(n: int) -> Any:
                connection.ensure_connection()
                together.wait(120)
                return what(n)

            return list(pool.map(one, range(count)))

        yield race
        hang_up = Barrier(threads)

        def close(_: int) -> None:
            hang_up.wait(120)
            connections.close_all()

        list(pool.map(close, range(threads)))
