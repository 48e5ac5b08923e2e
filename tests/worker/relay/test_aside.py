"""A log that nobody reads any more."""

import logging
import os
import threading
from collections.abc import Iterator

import pytest

from tests.support.waiting import wait_for
from worker.relay.aside import logged_aside


@pytest.fixture
def pipe() -> Iterator[tuple[logging.Logger, int]]:
    """A logger that writes into a pipe as small as they come, and the end at which nobody reads yet."""
    out, into = os.pipe()
    logger = logging.Logger("a log of its own")
    with os.fdopen(into, "w", buffering=1) as stream:
        logger.addHandler(logging.StreamHandler(stream))
        yield logger, out


def test_a_log_that_nobody_reads_holds_up_nobody_and_is_there_for_who_reads_it_later(pipe: tuple[logging.Logger, int]) -> None:
    logger, out = pipe
    ended = threading.Event()

    def serve() -> None:
        for number in range(2000):
            logger.info("request %d %s", number, "x" * 100)
        ended.set()

    with logged_aside(logger), os.fdopen(out) as reader:
        threading.Thread(target=serve, daemon=True).start()
        wait_for(ended.is_set, within=60, what="200 KB logged into a pipe of 64 KiB")
        assert [next(reader).split()[1] for _ in range(2000)] == [str(number) for number in range(2000)]


def test_what_was_logged_last_is_written_before_the_end(pipe: tuple[logging.Logger, int]) -> None:
    logger, out = pipe
    with logged_aside(logger):
        logger.info("goodbye")
    assert os.read(out, 100) == b"goodbye\n"
    os.close(out)
