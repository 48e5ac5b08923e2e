"""When a class meets, and whether the house has the cards for it. Pure."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from dateutil.rrule import DAILY, rrule

#: A series has at most so many meetings: a year of every weekday.
MOST_MEETINGS = 366
#: Images are fetched, and people told, this long before a class.
PREPARE_BEFORE = timedelta(hours=1)
#: From then on the cards are kept, members may start their labs, and prepared labs are started one after another.
OPEN_BEFORE = timedelta(minutes=10)
#: The last prepared lab is asked for this long before the class.
ALL_BEFORE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Hours:
    """Weekly hours in the house's time zone; `without` are spells of days (both ends included) that are left out."""

    weekdays: tuple[int, ...]  # Monday is 0
    from_time: time
    to_time: time
    first_day: date
    last_day: date
    without: tuple[tuple[date, date], ...] = ()


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One time that it happens. `day` names it for good, also when it is moved."""

    day: date
    starts_at: datetime
    ends_at: datetime


def occurrences(hours: Hours, zone: tzinfo) -> list[Occurrence]:
    """Every time that the weekly hours happen, in order, as moments of UTC: at ten stays at ten when the clocks change.

    Hours that end before they begin end on the next day.
    """
    begin, end = datetime.combine(hours.first_day, time()), datetime.combine(hours.last_day, time())
    days = [moment.date() for moment in rrule(DAILY, dtstart=begin, until=end, byweekday=hours.weekdays)]
    meets = [day for day in days if not any(first <= day <= last for first, last in hours.without)]
    found = [Occurrence(day, _moment(day, hours.from_time, zone), _moment(_last(day, hours), hours.to_time, zone)) for day in meets]
    return [one for one in found if one.starts_at < one.ends_at]  # not where the clocks leap over all of it


def _last(day: date, hours: Hours) -> date:
    return day + timedelta(days=hours.to_time <= hours.from_time)


def _moment(day: date, at: time, zone: tzinfo) -> datetime:
    return datetime.combine(day, at, zone).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Pool:
    """Units that are alike: whole cards, or slices, of one model on one node."""

    node_id: str
    model: str
    is_slice: bool = False


@dataclass(frozen=True, slots=True)
class Demand:
    """Cards (or slices) that are set aside from `start` to `until`; an empty node or model is any. `words` name it."""

    words: str
    start: datetime
    until: datetime
    cards: int
    is_slice: bool = False
    node_id: str = ""
    model: str = ""

    def takes(self, pool: Pool) -> bool:
        """Can its cards come from there?"""
        return pool.is_slice == self.is_slice and self.node_id in ("", pool.node_id) and self.model in ("", pool.model)


@dataclass(frozen=True, slots=True)
class Closure:
    """A node that nobody may use from `start` to `until`."""

    node_id: str
    words: str
    start: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Clash:
    """A time at which the cards do not suffice: how many are missing, and who else holds some (or why a node is away)."""

    start: datetime
    until: datetime
    asked: int
    missing: int
    others: tuple[str, ...]


def lacking(pools: Mapping[Pool, int], demands: Sequence[Demand]) -> int:
    """How many cards are missing when all demands are to be met at once, each from any pool that suits it."""
    left = dict(pools)
    given: list[Counter[Pool]] = [Counter() for _ in demands]

    def place(index: int, seen: set[Pool]) -> bool:
        """One more card for a demand, if need be by moving another demand's card to another pool."""
        for pool in left:
            if pool in seen or not demands[index].takes(pool):
                continue
            seen.add(pool)
            if left[pool]:
                left[pool] -= 1
            elif not any(other[pool] and place(at, seen) and _moved(other, pool) for at, other in enumerate(given)):
                continue
            given[index][pool] += 1
            return True
        return False

    return sum(not place(index, set()) for index, demand in enumerate(demands) for _ in range(demand.cards))


def _moved(given: Counter[Pool], pool: Pool) -> bool:
    given[pool] -= 1
    return True


def clashes(wanted: Iterable[Demand], others: Sequence[Demand], closures: Sequence[Closure], pools: Mapping[Pool, int]) -> list[Clash]:
    """Each wanted time for which the cards do not suffice beside what is set aside already."""
    found = (_clash(demand, others, closures, pools) for demand in wanted)
    return [clash for clash in found if clash]


def _clash(wanted: Demand, others: Sequence[Demand], closures: Sequence[Closure], pools: Mapping[Pool, int]) -> Clash | None:
    """The worst moment of one wanted time."""
    beside = [other for other in others if overlaps(wanted, other)]
    shut = [closure for closure in closures if overlaps(wanted, closure)]
    all_beside: list[Demand | Closure] = [*beside, *shut]
    moments = {wanted.start} | {one.start for one in all_beside if one.start > wanted.start}
    worst = max((_missing(moment, wanted, beside, shut, pools), moment) for moment in moments)
    if not worst[0]:
        return None
    words = [one.words for one in all_beside if one.start <= worst[1] < one.until and _concerns(one, wanted)]
    return Clash(wanted.start, wanted.until, wanted.cards, worst[0], tuple(dict.fromkeys(words)))


def _missing(moment: datetime, wanted: Demand, beside: Sequence[Demand], shut: Sequence[Closure], pools: Mapping[Pool, int]) -> int:
    away = {closure.node_id for closure in shut if closure.start <= moment < closure.until}
    there = {pool: count for pool, count in pools.items() if pool.node_id not in away}
    at_once = [other for other in beside if other.start <= moment < other.until]
    return max(lacking(there, [*at_once, wanted]) - lacking(there, at_once), 0)


def _concerns(one: Demand | Closure, wanted: Demand) -> bool:
    """Could it be what stands in the way?"""
    return one.node_id in ("", wanted.node_id) or not wanted.node_id


def overlaps(one: Demand | Closure, other: Demand | Closure) -> bool:
    """Do the two share a moment?"""
    return one.start < other.until and other.start < one.until


def due(people: int, starts_at: datetime, now: datetime) -> int:
    """How many of the prepared labs should have been asked for by now, so that they do not all start at once."""
    opens, full = starts_at - OPEN_BEFORE, starts_at - ALL_BEFORE
    if now < opens:
        return 0
    return min(people, math.ceil(people * min((now - opens) / (full - opens), 1.0)) or 1)


def lab_hours(starts: datetime, ends: datetime) -> int:
    """The hours of a lab that ends with its class, rounded up."""
    return max(math.ceil((ends - starts) / timedelta(hours=1)), 1)


def clash_words(clash: Clash, zone: tzinfo) -> str:
    """`Tue 24 Nov, 10:00–12:00: 8 are asked for and 4 are there. Vision 101 holds 4.`"""
    there = clash.asked - clash.missing
    who = f" {', '.join(clash.others)}." if clash.others else " The house has no more."
    return f"{spell_words(clash.start, clash.until, zone)}: {_are(clash.asked)} asked for and {_are(there)} left.{who}"


def _are(count: int) -> str:
    return f"{count or 'none'} {'is' if count < 2 else 'are'}"


def spell_words(start: datetime, until: datetime, zone: tzinfo) -> str:
    """`Tue 24 Nov, 10:00–12:00`, with the second day named when it is another."""
    begin, end = start.astimezone(zone), until.astimezone(zone)
    last = f"{end:%H:%M}" if begin.date() == end.date() else f"{end:%a %d %b, %H:%M}"
    return f"{begin:%a %d %b, %H:%M}–{last}"


def until_words(until: datetime, now: datetime, zone: tzinfo) -> str:
    """`14:00`, or `Tue 24 Nov 14:00` on another day."""
    end = until.astimezone(zone)
    return f"{end:%H:%M}" if end.date() == now.astimezone(zone).date() else f"{end:%a %d %b %H:%M}"
