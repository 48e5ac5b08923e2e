"""A week laid out as a grid of half hours."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from portal.pages.week import Item, monday_of, spell_of, week_of

MONDAY = date(2026, 11, 23)
NOW = datetime(2026, 11, 24, 10, 40, tzinfo=UTC)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, 22 + day, hour, minute, tzinfo=UTC)


def item(start: datetime, until: datetime) -> Item:
    return Item("class", "Vision 101", start, until)


def test_a_class_stands_in_the_rows_of_its_half_hours() -> None:
    week = week_of([item(at(2, 10), at(2, 11, 30))], MONDAY, UTC, NOW)
    (block,) = week.days[1].blocks
    assert (block.first, block.last, block.times) == (5, 8, "10:00–11:30")  # the grid begins at 8
    assert week.hours == tuple(range(8, 20))


def test_odd_minutes_are_rounded_outwards_and_told_exactly() -> None:
    (block,) = week_of([item(at(2, 10, 10), at(2, 10, 40))], MONDAY, UTC, NOW).days[1].blocks
    assert (block.first, block.last, block.times) == (5, 7, "10:10–10:40")


def test_what_lasts_for_days_is_cut_at_midnight_and_opens_the_night() -> None:
    week = week_of([item(at(2, 22), at(4, 6))], MONDAY, UTC, NOW)
    assert [[block.times for block in day.blocks] for day in week.days[1:4]] == [["from 22:00"], ["all day"], ["until 06:00"]]
    assert week.hours == tuple(range(24))
    assert [(block.first, block.last) for day in week.days[1:4] for block in day.blocks] == [(45, 49), (1, 49), (1, 13)]


def test_what_began_before_the_week_is_shown_from_its_first_day() -> None:
    week = week_of([item(at(-3, 10), at(1, 12))], MONDAY, UTC, NOW)
    assert [block.times for block in week.days[0].blocks] == ["until 12:00"]


def test_something_very_short_still_has_a_row() -> None:
    (block,) = week_of([item(at(2, 10), at(2, 10, 1))], MONDAY, UTC, NOW).days[1].blocks
    assert block.last - block.first == 1


def test_days_are_the_houses() -> None:
    week = week_of([item(at(2, 23, 30), at(3, 0, 30))], MONDAY, ZoneInfo("Europe/Berlin"), NOW)
    assert [len(day.blocks) for day in week.days] == [0, 0, 1, 0, 0, 0, 0]


def test_now_is_marked_today_alone() -> None:
    week = week_of([], MONDAY, UTC, NOW)
    assert [day.now_row for day in week.days] == [0, 6, 0, 0, 0, 0, 0]
    assert week.is_empty


@pytest.mark.parametrize("day", range(7))
def test_every_day_belongs_to_the_week_of_its_monday(day: int) -> None:
    assert monday_of(MONDAY + timedelta(days=day)) == MONDAY


def test_a_week_has_an_hour_more_when_the_clocks_go_back() -> None:
    start, until = spell_of(date(2026, 10, 19), ZoneInfo("Europe/Berlin"))
    assert until.astimezone(UTC) - start.astimezone(UTC) == timedelta(days=7, hours=1)
