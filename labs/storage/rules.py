"""When a workspace is measured, how much its file system lets it hold, and from when on its owner is warned. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

OFTEN, SELDOM = timedelta(minutes=10), timedelta(days=1)
#: Instead of often where the file system keeps the limit and tells what is held: files that were taken out of it are found by counting alone.
BESIDE = timedelta(hours=1)
#: Percent of the limit of which the owner is told, and how far below it must fall before that is told again.
LEVELS, SLACK = (80, 95, 100), 5
#: Percent of the limit from which the pages of running labs say it.
NEAR = 95
GIB, MIB = 1024**3, 1024**2
#: One file for each so many bytes of a limit, as file systems are made by default, and never fewer than this.
BYTES_A_FILE, LEAST_FILES = 16 * 1024, 100_000


@dataclass(frozen=True, slots=True)
class Measurement:
    """When a workspace was measured last, and when its owner asked for it; None is never."""

    measured_at: datetime | None = None
    asked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Doings:
    """What its owner does: `live` labs, and when the last one ended."""

    live: bool = False
    ended_at: datetime | None = None


def is_due(last: Measurement, doings: Doings, now: datetime, often: timedelta = OFTEN) -> bool:
    """Often while its owner has labs, once more after the last has ended, when the owner asks, and seldom otherwise."""
    if last.measured_at is None:
        return True
    if any(moment is not None and moment > last.measured_at for moment in (last.asked_at, doings.ended_at)):
        return True
    return now - last.measured_at >= (often if doings.live else SELDOM)


def level_of(size: int, limit_gib: int, told: int) -> int:
    """The level at which so many bytes are, with `told` the one that was told last: a little below it is still there."""
    percent = 100 * size / (limit_gib * GIB) if limit_gib else (100.1 if size else 0.0)
    reached = max((level for level in LEVELS if percent > level or (level < LEVELS[-1] and percent >= level)), default=0)
    return told if reached < told and percent >= told - SLACK else reached


def room_of(limit_gib: int, elsewhere: int) -> int:
    """Bytes that a workspace may take of its disk while its owner holds so many elsewhere: whole MiB, and never 0, which file systems take for no limit."""
    return max((limit_gib * GIB - elsewhere) // MIB, 1) * MIB


def files_of(room: int) -> int:
    """Files and folders that may be in so many bytes."""
    return max(room // BYTES_A_FILE, LEAST_FILES)
