"""When a schedule runs: by the house's clock, also on the two nights that it changes, and never too often."""

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.jobs.rules import FLOOR, cron_fault, cron_words, next_runs, weekly_cron

BERLIN = ZoneInfo("Europe/Berlin")


def runs(cron: str, *after: int, count: int = 3) -> list[str]:
    """The next runs behind that moment in Berlin, as its clock and UTC show them."""
    found = next_runs(cron=cron, zone=BERLIN, after=datetime(*after, tzinfo=BERLIN), count=count)  # type: ignore[misc,arg-type]
    return [f"{at.astimezone(BERLIN):%d %H:%M} {at:%H:%M}" for at in found]


def test_a_time_that_the_clocks_skip_in_spring_is_when_they_go_on() -> None:
    assert runs("30 2 * * *", 2026, 3, 28, 12) == ["29 03:00 01:00", "30 02:30 00:30", "31 02:30 00:30"]
    assert runs("30 7 * * 0", 2026, 3, 28, 12, count=1) == ["29 07:30 05:30"]
    assert runs("0 */2 * * *", 2026, 3, 29, 0) == ["29 04:00 02:00", "29 06:00 04:00", "29 08:00 06:00"]


def test_a_time_that_the_clocks_repeat_in_autumn_comes_once() -> None:
    assert runs("30 2 * * *", 2026, 10, 24, 12, count=2) == ["25 02:30 00:30", "26 02:30 01:30"]
    assert runs("*/30 * * * *", 2026, 10, 25, 1, 45) == ["25 02:00 00:00", "25 02:30 00:30", "25 02:00 01:00"]


def test_the_second_of_two_repeated_hours_is_behind_the_first() -> None:
    again = datetime(2026, 10, 25, 2, 10, tzinfo=BERLIN, fold=1)
    (at,) = next_runs(cron="30 2 * * *", zone=BERLIN, after=again, count=1)
    assert at == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


def test_the_very_moment_is_not_the_next_one() -> None:
    assert runs("30 7 * * 1", 2026, 11, 23, 7, 30, count=1) == ["30 07:30 06:30"]


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("", "Five fields"),
        ("@daily", "Five fields"),
        ("0 0 3 * * *", "Five fields"),
        ("60 3 * * *", "60 is no minute: that is 0 to 59."),
        ("0 25 * * *", "25 is no hour"),
        ("0 0 32 * *", "32 is no day of the month"),
        ("0 0 1 FOO *", "FOO is no month"),
        ("0 0 * * 8", "8 is no day of the week"),
        ("0 ٣ * * *", "is no hour"),
        ("0 */0 * * *", "is no hour"),
        ("0 0 31 2 *", "It never comes: there is no 31 February."),
        ("0 0 31 4,6 *", "It never comes: there is no 31 April or June."),
        ("* * * * *", "At most once in 15 minutes: 00:00 and 00:01 are closer."),
        ("0,50 0,23 * * *", "23:50 and 00:00 are closer"),
        ("0 3 * * " + ",".join("1" * 60), "at most 100 characters"),
    ],
)
def test_what_can_be_no_schedule_is_refused_in_words(cron: str, words: str) -> None:
    assert words in cron_fault(cron)


@pytest.mark.parametrize("cron", ["*/15 * * * *", "0 0 29 2 *", "0 5 LW * *", "15 3 * * SUN#1", "0,30 8-18 * * mon-fri", "7 */6 1,15 * *"])
def test_what_can_be_one_is_taken_and_said(cron: str) -> None:
    assert cron_fault(cron) == "" and cron_words(cron)[0].islower()


@given(st.text(alphabet="0123456789*/,-#LWSUNMON \u0663²", max_size=40))
def test_no_text_breaks_it(cron: str) -> None:
    if cron_fault(cron) == "":
        at = next_runs(cron=cron, zone=BERLIN, after=datetime(2026, 1, 1, tzinfo=UTC), count=2)
        assert at and all(second - first >= FLOOR for first, second in pairwise(at)) and cron_words(cron)


@given(st.sets(st.integers(0, 6), min_size=1), st.times())
def test_days_and_a_time_are_an_expression_that_is_read_as_them(days: set[int], clock: object) -> None:
    cron = weekly_cron(weekdays=days, at=f"{clock:%H:%M}")
    assert cron_fault(cron) == "" and cron_words(cron).endswith(f" at {clock:%H:%M}")
    at = next_runs(cron=cron, zone=UTC, after=datetime(2026, 11, 21, tzinfo=UTC), count=len(days))
    assert {one.weekday() for one in at} == days


def test_days_are_named_as_people_do() -> None:
    assert cron_words("30 7 * * 1,5") == "on Mondays and Fridays at 07:30"
    assert cron_words("0 3 * * *") == "every day at 03:00"
    assert cron_words("0 22 * * 1,2,3,4,5") == cron_words("0 22 * * mon-fri") == "on working days at 22:00"
    assert cron_words("0 22 1 * *") == "at 22:00 on the first day of every month"
