"""A week as a grid of half hours: what happens on which day, and in which rows. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

#: Hours that are shown even when nothing happens in them.
FIRST_HOUR, LAST_HOUR = 8, 20
ROW = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Item:
    """Something that lasts for a while. `kind` decides its look: class, off, maintenance, lab, wait."""

    kind: str
    title: str
    start: datetime
    until: datetime
    words: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """An item on one day: its grid rows (`first` to before `last`, from 1) and its times in words."""

    item: Item
    first: int
    last: int
    times: str


@dataclass(frozen=True, slots=True)
class Day:
    """One day of the week, with the row in which it is now."""

    day: date
    is_today: bool
    blocks: tuple[Block, ...]
    now_row: int = 0


@dataclass(frozen=True, slots=True)
class Week:
    """Seven days from a Monday, and the hours that the grid shows."""

    days: tuple[Day, ...]
    hours: tuple[int, ...]

    @property
    def is_empty(self) -> bool:
        """Does nothing happen?"""
        return not any(day.blocks for day in self.days)


def monday_of(day: date) -> date:
    """The Monday of its week."""
    return day - timedelta(days=day.weekday())


def spell_of(monday: date, zone: tzinfo) -> tuple[datetime, datetime]:
    """The week's first moment, and the next week's."""
    return _midnight(monday, zone), _midnight(monday + timedelta(days=7), zone)


def week_of(items: Sequence[Item], monday: date, zone: tzinfo, now: datetime) -> Week:
    """Lay the items out. Hours before and after the usual ones are shown where something happens in them."""
    days = [monday + timedelta(days=n) for n in range(7)]
    parts = {day: _parts(items, day, zone) for day in days}
    spells = [spell for rows in parts.values() for spell, _ in rows]
    first = min([FIRST_HOUR, *(start.hour for start, _ in spells)])
    last = max([LAST_HOUR, *(_hour_up(until, start) for start, until in spells)])
    made = [_day(day, parts[day], zone, now, first, last) for day in days]
    return Week(tuple(made), tuple(range(first, last)))


Part = tuple[tuple[datetime, datetime], Item]


def _parts(items: Iterable[Item], day: date, zone: tzinfo) -> list[Part]:
    """What happens on the day, cut at its midnights."""
    begin, end = _midnight(day, zone), _midnight(day + timedelta(days=1), zone)
    rows = [((max(item.start, begin).astimezone(zone), min(item.until, end).astimezone(zone)), item) for item in items]
    return sorted((row for row in rows if row[0][0] < row[0][1]), key=lambda row: (row[0], row[1].kind, row[1].title))


def _day(day: date, parts: Iterable[Part], zone: tzinfo, now: datetime, first: int, last: int) -> Day:
    blocks = [_block(spell, item, zone, first) for spell, item in parts]
    here = now.astimezone(zone)
    is_today = here.date() == day
    return Day(day, is_today, tuple(blocks), _row(here, first) if is_today and first <= here.hour < last else 0)


def _block(spell: tuple[datetime, datetime], item: Item, zone: tzinfo, first: int) -> Block:
    start, until = spell
    begin = _row(start, first)
    end = (_hour_up(until, start) - first) * 2 + 1 if until.date() != start.date() else _row(until + ROW - timedelta(seconds=1), first)
    return Block(item, begin, max(end, begin + 1), _times(item, spell, zone))


def _times(item: Item, spell: tuple[datetime, datetime], zone: tzinfo) -> str:
    """`10:00–12:00`; a day in the middle of something longer says so."""
    start, until = spell
    begins, ends = item.start.astimezone(zone) == start, item.until.astimezone(zone) == until
    if begins and ends:
        return f"{start:%H:%M}–{until:%H:%M}"
    if begins:
        return f"from {start:%H:%M}"
    return f"until {until:%H:%M}" if ends else "all day"


def _row(moment: datetime, first: int) -> int:
    return (moment.hour - first) * 2 + moment.minute // 30 + 1


def _hour_up(until: datetime, start: datetime) -> int:
    """The hour at which it is over, rounded up; midnight is 24."""
    if until.date() != start.date():
        return 24
    return until.hour + (until.minute > 0)


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone)
