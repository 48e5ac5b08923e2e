"""Limits that are wider at some hours, or in a quiet house."""

from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest

from labs.policy.table import Table, Who, limits_for
from labs.policy.windows import Window, opening_after, span_at
from tests.labs.policy.test_rules import LIMITS, row_of

ZONE = ZoneInfo("Europe/Berlin")
NIGHTS = Window("gpus_max", "nights", times=2, start=time(20), end=time(7))
WEEKENDS = Window("gpus_max", "weekends", times=2, days=frozenset({5, 6}))
QUIET = Window("gpus_max", "a quiet house", plus=2, below=50)


def _at(day: int, hour: int, minute: int = 0) -> datetime:
    """November 2026: the 16th is a Monday."""
    return datetime(2026, 11, day, hour, minute, tzinfo=ZONE)


def _table(*windows: Window) -> Table:
    return Table(roles={"student": row_of(LIMITS)}, persons={}, groups={}, grants={}, windows=windows)


def _cap(at: datetime, *windows: Window, load: float | None = None, groups: frozenset[int] = frozenset()) -> int:
    return limits_for(_table(*windows), Who(1, "student", groups), at, load).gpus_max


@pytest.mark.parametrize(("hour", "cap"), [(19, 2), (20, 4), (23, 4), (0, 4), (6, 4), (7, 2), (12, 2)])
def test_at_night_the_cap_is_twice_as_wide(hour: int, cap: int) -> None:
    assert _cap(_at(18, hour), NIGHTS) == cap


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    fridays = Window("gpus_max", "Friday nights", times=2, days=frozenset({4}), start=time(20), end=time(7))
    assert [_cap(moment, fridays) for moment in (_at(20, 3), _at(20, 21), _at(21, 3), _at(21, 21))] == [2, 4, 4, 2]


def test_nights_and_weekends_end_on_monday_morning_in_one() -> None:
    limits = limits_for(_table(NIGHTS, WEEKENDS), Who(1, "student"), _at(20, 22))
    [wider] = limits.wider
    assert (wider.usual, wider.value, wider.until) == (2, 4, _at(23, 7))
    assert wider.words == "4 instead of 2 until Mon 07:00 (nights)"


def test_windows_do_not_add_up_the_widest_counts() -> None:
    assert _cap(_at(21, 22), NIGHTS, WEEKENDS, Window("gpus_max", "more", plus=3)) == 5


@pytest.mark.parametrize(("load", "cap"), [(None, 2), (0, 4), (49.9, 4), (50, 2), (100, 2)])
def test_a_quiet_house_widens_only_while_it_is_quiet(load: float | None, cap: int) -> None:
    assert _cap(_at(18, 12), QUIET, load=load) == cap


def test_by_day_the_wider_limit_of_the_night_is_announced() -> None:
    limits = limits_for(_table(NIGHTS, QUIET), Who(1, "student"), _at(18, 12))
    assert limits.wider == () and limits.at_best("gpus_max") == 4
    assert limits.later[0].words == "It is 4 while less than 50% of the cards are in use."
    assert [later.words for later in limits_for(_table(NIGHTS), Who(1, "student"), _at(18, 12)).later] == ["It is 4 from Wed 20:00 to Thu 07:00."]


def test_a_window_that_is_always_open_has_no_end() -> None:
    [wider] = limits_for(_table(Window("gpus_max", "for good", plus=1)), Who(1, "student"), _at(18, 12)).wider
    assert wider.until is None and wider.words == "3 instead of 2 (for good)"


def test_a_window_is_for_a_role_or_a_group() -> None:
    assert _cap(_at(18, 22), Window("gpus_max", "n", times=2, role="researcher")) == 2
    assert _cap(_at(18, 22), Window("gpus_max", "n", times=2, group_id=7)) == 2
    assert _cap(_at(18, 22), Window("gpus_max", "n", times=2, group_id=7), groups=frozenset({7})) == 4


def test_the_guarantee_is_never_widened() -> None:
    assert limits_for(_table(NIGHTS), Who(1, "student"), _at(18, 22)).gpus == LIMITS.gpus


def test_the_hours_are_those_of_the_clock_when_it_changes() -> None:
    summer_ends = datetime(2026, 10, 24, 22, tzinfo=ZONE)
    span = span_at(NIGHTS, summer_ends)
    assert span and (span[0].hour, span[1].hour) == (20, 7)
    assert span[1].timestamp() - span[0].timestamp() == 12 * 3600


def test_the_next_opening_is_found_across_the_week() -> None:
    mondays = Window("gpus_max", "Mondays", times=2, days=frozenset({0}), start=time(8), end=time(9))
    assert opening_after(mondays, _at(16, 8)) == (_at(23, 8), _at(23, 9))
    assert opening_after(mondays, _at(16, 7)) == (_at(16, 8), _at(16, 9))
