"""Limits that are wider at some hours of the week or in a quiet house. Pure; moments are in the house's own time zone."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from labs.policy.rules import Later, Wider

WEEK = frozenset(range(7))
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Window:
    """`limit` x `times` + `plus` from `start` to `end` on these days (0 is Monday; of a night: the day it begins).

    The same `start` and `end` are the whole day round. `below`: only while less than this percentage of the cards is in use.
    """

    limit: str
    words: str
    times: float = 1.0
    plus: int = 0
    days: frozenset[int] = WEEK
    start: time = time(0)
    end: time = time(0)
    below: int | None = None
    role: str = ""
    group_id: int | None = None

    @property
    def always(self) -> bool:
        """Is it open at every hour of the week?"""
        return self.days == WEEK and self.start == self.end

    def is_for(self, role: str, groups: Iterable[int]) -> bool:
        """Everybody, one role, or one group and all below it."""
        return self.role in ("", role) and (self.group_id is None or self.group_id in groups)

    def value(self, usual: int) -> int:
        """What the limit is while it is open; never less than usual."""
        return max(usual, int(usual * self.times) + self.plus)

    def is_quiet(self, load: float | None) -> bool:
        """Does the house's load (percentage of cards in use) allow it? An unknown load allows nothing."""
        return self.below is None or (load is not None and load < self.below)


@dataclass(frozen=True, slots=True)
class Now:
    """What a limit is now, and until when it is wider than usual (None: as long as the house is quiet, or for good)."""

    value: int
    wider: Wider | None


def span_at(window: Window, at: datetime) -> tuple[datetime, datetime] | None:
    """The opening that contains the moment."""
    for day in (at.date() - DAY, at.date()):
        if day.weekday() in window.days:
            opens = datetime.combine(day, window.start, at.tzinfo)
            closes = datetime.combine(day if window.end > window.start else day + DAY, window.end, at.tzinfo)
            if opens <= at < closes:
                return opens, closes
    return None


def opening_after(window: Window, at: datetime) -> tuple[datetime, datetime]:
    """The next opening after the moment."""
    for ahead in range(9):
        day = at.date() + ahead * DAY
        opens = datetime.combine(day, window.start, at.tzinfo)
        if day.weekday() in window.days and opens > at:
            return opens, datetime.combine(day if window.end > window.start else day + DAY, window.end, at.tzinfo)
    raise ValueError("A window opens on at least one day of the week.")


def limit_now(limit: str, usual: int, windows: Iterable[Window], at: datetime, load: float | None) -> Now:
    """The widest of the windows that are open counts; they do not add up."""
    open_ = [(window.value(usual), window) for window in windows if window.is_quiet(load) and span_at(window, at)]
    value, best = max(open_, key=lambda pair: pair[0], default=(usual, None))
    if best is None or value == usual:
        return Now(usual, None)
    until = _closes(value, usual, [window for _, window in open_], windows, at)
    return Now(value, Wider(limit, usual, value, until, _words(best, value, usual, until)))


def limit_later(limit: str, usual: int, now: int, windows: Iterable[Window], at: datetime, load: float | None) -> list[Later]:
    """Wider values that this limit will have at another time of the week or in a quieter house; for each value the first time."""
    found: dict[int, tuple[datetime, Later]] = {}
    for window in windows:
        value = window.value(usual)
        if value <= now:
            continue
        is_open = span_at(window, at) is not None
        opens, closes = (at, at) if is_open else opening_after(window, at)
        words = _quiet_words(window) if is_open else f"from {opens:%a %H:%M} to {closes:%a %H:%M}{' ' + _quiet_words(window) if window.below else ''}"
        if value not in found or opens < found[value][0]:
            found[value] = (opens, Later(limit, value, f"It is {value} {words}."))
    return [later for _, later in sorted(found.values(), key=lambda pair: pair[0])]


def _closes(value: int, usual: int, open_: list[Window], windows: Iterable[Window], at: datetime) -> datetime | None:
    """When the limit falls below `value` by the clock: openings that follow each other count as one."""
    enough = [window for window in windows if window.value(usual) >= value and (window in open_ or window.below is None)]
    moment = at
    for _ in range(3 * len(WEEK) * len(enough)):
        ends = [span[1] for window in enough if (span := span_at(window, moment))]
        if not ends:
            return moment
        if any(window.always for window in enough):
            return None
        moment = max(ends)
    return None


def _words(window: Window, value: int, usual: int, until: datetime | None) -> str:
    when = f" until {until:%a %H:%M}" if until else ""
    quiet = f" {_quiet_words(window)}" if window.below else ""
    return f"{value} instead of {usual}{when}{quiet} ({window.words})"


def _quiet_words(window: Window) -> str:
    return f"while less than {window.below}% of the cards are in use"
