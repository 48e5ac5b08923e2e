"""When a workspace is measured, and at what its owner is warned."""

from datetime import UTC, datetime, timedelta

import pytest

from labs.storage.rules import GIB, Doings, Measurement, is_due, level_of

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("last", "doings", "due"),
    [
        (Measurement(), Doings(), True),
        (Measurement(NOW - 9 * MINUTE), Doings(live=True), False),
        (Measurement(NOW - 10 * MINUTE), Doings(live=True), True),
        (Measurement(NOW - 23 * 60 * MINUTE), Doings(), False),
        (Measurement(NOW - 24 * 60 * MINUTE), Doings(), True),
        (Measurement(NOW - 2 * MINUTE), Doings(ended_at=NOW - MINUTE), True),
        (Measurement(NOW - 2 * MINUTE), Doings(ended_at=NOW - 3 * MINUTE), False),
        (Measurement(NOW - 2 * MINUTE, asked_at=NOW - MINUTE), Doings(), True),
        (Measurement(NOW - MINUTE, asked_at=NOW - 2 * MINUTE), Doings(), False),
    ],
)
def test_a_workspace_is_measured_often_while_it_is_used_once_more_after_that_and_when_its_owner_asks(last: Measurement, doings: Doings, due: bool) -> None:
    assert is_due(last, doings, NOW) is due


@pytest.mark.parametrize(
    ("percent", "told", "level"),
    [
        (79.9, 0, 0),
        (80, 0, 80),
        (95, 80, 95),
        (100, 95, 95),
        (100.1, 95, 100),
        (300, 0, 100),
        (99, 100, 100),
        (94, 100, 80),
        (76, 80, 80),
        (74, 80, 0),
        (0, 100, 0),
    ],
)
def test_a_level_is_reached_once_and_left_only_well_below_it(percent: float, told: int, level: int) -> None:
    assert level_of(int(percent * GIB), 100, told) == level


def test_a_limit_of_nothing_is_passed_by_the_first_byte_and_by_nothing_else() -> None:
    assert (level_of(0, 0, 0), level_of(1, 0, 0)) == (0, 100)
