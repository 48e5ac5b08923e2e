"""GPU-hours in a rolling window, from the spells for which cards were held; and when a used-up budget returns. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

WEEK, MONTH = timedelta(days=7), timedelta(days=30)
HOUR = timedelta(hours=1)
#: Less of a card than this is a rounding error.
NOTHING = 1e-9


@dataclass(frozen=True, slots=True)
class Spell:
    """A card, or a `share` of one, was held from `start` to `end`; None goes on."""

    start: datetime
    end: datetime | None
    share: float = 1.0


def hours_since(spells: Iterable[Spell], since: datetime, now: datetime) -> float:
    """GPU-hours of the spells inside [since, now]."""
    return sum(spell.share * max((min(spell.end or now, now) - max(spell.start, since)) / HOUR, 0.0) for spell in spells)


def back_at(spells: Iterable[Spell], *, window: timedelta, budget: float, now: datetime) -> datetime | None:
    """The first moment at which less than `budget` GPU-hours lie within `window`, if nothing more is used; None for never.

    What was used leaves a rolling window as it was used: the oldest hours first.
    """
    if budget <= 0:
        return None
    rates: dict[datetime, float] = {}  # by how much the number of cards in use changes at a moment
    used = 0.0
    for spell in spells:
        start, end = max(spell.start, now - window), min(spell.end or now, now)
        if end > start:
            rates[start] = rates.get(start, 0.0) + spell.share
            rates[end] = rates.get(end, 0.0) - spell.share
            used += spell.share * ((end - start) / HOUR)
    surplus, rate = used - budget, 0.0
    for begin, finish in pairwise(sorted(rates)):
        rate += rates[begin]
        leaving = rate * ((finish - begin) / HOUR)
        if rate > NOTHING and leaving >= surplus:
            return begin + window + max(surplus, 0.0) / rate * HOUR
        surplus -= leaving
    return now
