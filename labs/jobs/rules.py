"""When a schedule runs next. Pure."""

import re
from collections.abc import Collection, Sequence
from datetime import date, datetime, time, timedelta, tzinfo

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
WEEK = 7
#: What stands for the file's path in a program that a file starts.
FILE = "{file}"
LONGEST = 200
#: The house's own folder in a workspace.
HOUSE = ".gpulab"
UNFINISHED = ("~", ".part", ".partial", ".tmp", ".crdownload", ".swp")


def schedule_fault(*, weekdays: Collection[int], at: str) -> str:
    """Why this can be no schedule; empty when it can."""
    if not weekdays or not set(weekdays) <= set(range(WEEK)):
        return "Choose at least one day of the week."
    return "" if CLOCK.fullmatch(at) else "A time is such as 07:30."


def watch_fault(folder: str) -> str:
    """Why files can arrive in no such folder; empty when they can."""
    parts = folder.split("/")
    if not folder or folder.startswith("/") or any(part in ("", ".", "..") for part in parts) or len(folder) > LONGEST:
        return "Name a folder below the workspace, such as inbox."
    return "" if folder.isprintable() and parts[0] != HOUSE else "Files cannot be watched there."


def is_whole(name: str) -> bool:
    """Is this the name of a file that has come, and not of one that is still being written or hides itself?"""
    return name.isprintable() and not name.startswith(".") and not name.endswith(UNFINISHED)


def with_file(command: Sequence[str], path: str) -> tuple[str, ...]:
    """The program with the file's path in place of each `{file}`."""
    return tuple(part.replace(FILE, path) for part in command)


def next_run(*, weekdays: Collection[int], at: str, zone: tzinfo, after: datetime) -> datetime:
    """The first moment behind `after` that is that time on one of those days in that zone.

    A time that the clocks skip in spring is the moment into which it falls; one that they repeat in autumn is the first of the two.
    """
    clock, today = time.fromisoformat(at), after.astimezone(zone).date()
    moments = (_moment(today + timedelta(days=ahead), clock, zone) for ahead in range(WEEK + 1))
    return next(moment for moment in moments if moment > after and moment.astimezone(zone).weekday() in weekdays)


def _moment(day: date, clock: time, zone: tzinfo) -> datetime:
    return datetime.combine(day, clock, zone)


def days_words(weekdays: Collection[int]) -> str:
    """`every day`, `on working days`, `on Mondays and Fridays`."""
    chosen = sorted(set(weekdays))
    if len(chosen) == WEEK:
        return "every day"
    if chosen == [0, 1, 2, 3, 4]:
        return "on working days"
    names = [f"{DAYS[number]}s" for number in chosen]
    return "on " + (" and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0])
