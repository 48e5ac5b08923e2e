"""Leases and minutes -> figures: GPU-hours by day or week, waits, peaks, hours of the day. Pure."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import pairwise
from math import ceil

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Held:
    """A card, or a `share` of one, held by one person's lab from `start` to `end`; None goes on."""

    owner_id: int
    card: str
    start: datetime
    end: datetime | None
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Busy:
    """What labs did in a span: card-minutes that were measured, those that were idle, percents summed over them, and the peaks."""

    cards: int = 0
    cards_idle: int = 0
    gpu_pct_sum: float = 0.0
    gpu_pct_max: int | None = None
    gpu_memory_mib_max: int | None = None
    memory_mib_max: int | None = None
    shm_mib_max: int | None = None

    @property
    def idle_share(self) -> float | None:
        """The part of the measured card-minutes in which nothing ran; None where nothing was measured."""
        return self.cards_idle / self.cards if self.cards else None

    @property
    def gpu_pct(self) -> float | None:
        """How busy the cards were on average."""
        return self.gpu_pct_sum / self.cards if self.cards else None

    def __add__(self, other: "Busy") -> "Busy":
        return Busy(
            self.cards + other.cards,
            self.cards_idle + other.cards_idle,
            self.gpu_pct_sum + other.gpu_pct_sum,
            most(self.gpu_pct_max, other.gpu_pct_max),
            most(self.gpu_memory_mib_max, other.gpu_memory_mib_max),
            most(self.memory_mib_max, other.memory_mib_max),
            most(self.shm_mib_max, other.shm_mib_max),
        )


@dataclass(frozen=True, slots=True)
class Figures:
    """What somebody used in a span that begins on `start`. Waits are in seconds, from the request to the cards."""

    start: date
    gpu_hours: float = 0.0
    labs: int = 0
    wait_median_s: float | None = None
    wait_p95_s: float | None = None
    gpus_peak: float = 0.0
    busy: Busy = Busy()

    @property
    def busy_hours(self) -> float | None:
        """GPU-hours in which something ran; None where nothing was measured."""
        share = self.busy.idle_share
        return None if share is None else self.gpu_hours * (1 - share)


@dataclass(frozen=True, slots=True)
class Wait:
    """A lab with GPUs that was asked for at `asked` and had its first cards at `placed`."""

    owner_id: int
    asked: datetime
    placed: datetime

    @property
    def seconds(self) -> float:
        """How long it waited."""
        return max((self.placed - self.asked).total_seconds(), 0.0)


def most(*values: int | None) -> int | None:
    """The largest of what is known."""
    return max((value for value in values if value is not None), default=None)


def percentile(values: Sequence[float], share: float) -> float | None:
    """The nearest-rank percentile: at least `share` of the values are no larger."""
    ranked = sorted(values)
    return ranked[max(ceil(share * len(ranked)) - 1, 0)] if ranked else None


def edges_of(first: date, until: datetime, zone: tzinfo, *, weeks: bool) -> list[datetime]:
    """The beginnings, in UTC, of the days (or of the weeks, from Monday) from `first` on, and the end of the last one after `until`."""
    at = first - timedelta(days=first.weekday()) if weeks else first
    edges = [_midnight(at, zone)]
    while edges[-1] <= until:
        at += timedelta(days=7 if weeks else 1)
        edges.append(_midnight(at, zone))
    return edges


def _midnight(day: date, zone: tzinfo) -> datetime:
    """In UTC, because hours between two moments of one zone are counted by its wall clock."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def hours_held(held: Iterable[Held], edges: Sequence[datetime], now: datetime) -> list[float]:
    """GPU-hours in each span between two edges."""
    sums = [0.0] * (len(edges) - 1)
    for one in held:
        start, end = max(one.start, edges[0]), min(one.end or now, now, edges[-1])
        place = bisect_right(edges, start) - 1
        while start < end and place < len(sums):
            upto = min(end, edges[place + 1])
            sums[place] += one.share * ((upto - start) / HOUR)
            start, place = upto, place + 1
    return sums


def peaks_held(held: Iterable[Held], edges: Sequence[datetime], now: datetime) -> list[float]:
    """The most GPUs held at once in each span between two edges."""
    moves = sorted((moment, change) for one in held for moment, change in ((one.start, one.share), (min(one.end or now, now), -one.share)))
    peaks = [0.0] * (len(edges) - 1)
    level, upto = 0.0, 0
    for place, (begin, end) in enumerate(pairwise(edges)):
        while upto < len(moves) and moves[upto][0] <= begin:
            level += moves[upto][1]
            upto += 1
        peaks[place] = level
        while upto < len(moves) and moves[upto][0] < end:
            level += moves[upto][1]
            peaks[place] = max(peaks[place], level)
            upto += 1
    return [round(peak, 2) for peak in peaks]


def figures_of(
    *, held: Sequence[Held], waits: Sequence[Wait], busy: Mapping[date, Busy], edges: Sequence[datetime], zone: tzinfo, now: datetime
) -> list[Figures]:
    """The figures of each span between two edges; `busy` is by local day."""
    hours, peaks = hours_held(held, edges, now), peaks_held(held, edges, now)
    days = [edge.astimezone(zone).date() for edge in edges]
    seconds: list[list[float]] = [[] for _ in hours]
    for wait in waits:
        if edges[0] <= wait.placed < edges[-1]:
            seconds[bisect_right(edges, wait.placed) - 1].append(wait.seconds)
    sums = [Busy() for _ in hours]
    for day, one in busy.items():
        if days[0] <= day < days[-1]:
            sums[bisect_right(days, day) - 1] += one
    return [
        Figures(day, hours[place], len(waited), percentile(waited, 0.5), percentile(waited, 0.95), peaks[place], sums[place])
        for place, (day, waited) in enumerate(zip(days[:-1], seconds, strict=True))
    ]


def total_of(*, rows: Sequence[Figures], waits: Sequence[Wait]) -> Figures:
    """All spans in one; the waits are ranked anew, because percentiles do not add up."""
    seconds = [wait.seconds for wait in waits]
    whole = Figures(rows[0].start) if rows else Figures(date.min)
    return replace(
        whole,
        gpu_hours=sum(row.gpu_hours for row in rows),
        labs=len(seconds),
        wait_median_s=percentile(seconds, 0.5),
        wait_p95_s=percentile(seconds, 0.95),
        gpus_peak=max((row.gpus_peak for row in rows), default=0.0),
        busy=sum((row.busy for row in rows), Busy()),
    )


def held_by_hour(held: Iterable[Held], since: datetime, until: datetime, zone: tzinfo) -> dict[str, list[float]]:
    """For each card the part of each hour of the day, 0 to 23, for which it was held: 1 is always."""
    days = max((until - since) / DAY, 1.0)
    cards: dict[str, list[float]] = {}
    for one in held:
        start, end = max(one.start, since), min(one.end or until, until)
        while start < end:
            local = start.astimezone(zone)
            upto = min(end, start + (HOUR - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)))
            row = cards.setdefault(one.card, [0.0] * 24)
            row[local.hour] += one.share * ((upto - start) / HOUR) / days
            start = upto
    return cards
