"""When a schedule runs next. Pure."""

import re
from calendar import month_name
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice, pairwise

from cronsim import CronSim, CronSimError

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
WEEK = 7
#: What each field of a cron expression is, and may be.
FIELDS = (
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31, or L for the last"),
    ("month", "1 to 12, or JAN to DEC"),
    ("day of the week", "0 to 7, where 0 and 7 are Sunday, or SUN to SAT"),
)
#: A job has a lab, a place in the queue and a start of its own: what is to be done more often is a program that waits inside one job.
FLOOR = timedelta(minutes=15)
SHOWN = 3
LONGEST_CRON = 100
ANY_DAY = datetime(2026, 1, 1, tzinfo=UTC)
#: What stands for the file's path in a program that a file starts.
FILE = "{file}"
LONGEST = 200
#: The house's own folder in a workspace.
HOUSE = ".gpulab"
UNFINISHED = ("~", ".part", ".partial", ".tmp", ".crdownload", ".swp")


def weekly_fault(*, weekdays: Collection[int], at: str) -> str:
    """Why these can be no days and time; empty when they can."""
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


def weekly_cron(*, weekdays: Collection[int], at: str) -> str:
    """These days of the week (Monday is 0) at that time as a cron expression, whose Sunday is 0."""
    days = ",".join(str((day + 1) % WEEK) for day in sorted(set(weekdays))) if len(set(weekdays)) < WEEK else "*"
    return f"{int(at[3:])} {int(at[:2])} * * {days}"


def cron_fault(cron: str) -> str:
    """Why this expression can be no schedule; empty when it can. A sixth field, seconds, is refused like every other number of them."""
    parts = cron.upper().split()
    if len(cron) > LONGEST_CRON:
        return f"An expression has at most {LONGEST_CRON} characters."
    if len(parts) != len(FIELDS):
        return f"Five fields, with spaces between: {', '.join(name for name, _ in FIELDS)}. Such as 0 */6 * * *."
    for number, (name, values) in enumerate(FIELDS):
        if not _is_field(number, parts[number]):
            return f"{parts[number]} is no {name}: that is {values}."
    if not _comes(cron):
        return f"It never comes: {_never(parts)}."
    return _too_often(cron)


def next_runs(*, cron: str, zone: tzinfo, after: datetime, count: int = SHOWN) -> list[datetime]:
    """The first moments behind `after` at which the expression is due in that zone; fewer where there are none within 50 years.

    A time that the clocks skip in spring is the moment at which they go on; one that they repeat in autumn is the first of the two. Expressions whose
    minutes or hours begin with `*` follow the clock through both. All of it as in Debian's cron.
    """
    moments = (moment.astimezone(UTC) for moment in CronSim(cron, after.astimezone(zone)))
    return list(islice((moment for moment in moments if moment > after), count))


def cron_words(cron: str) -> str:
    """`on Mondays and Fridays at 07:30`, `at 08:00 on the first day of every month`."""
    due = CronSim(cron, ANY_DAY)
    days = {(day - 1) % WEEK for day in due.weekdays if isinstance(day, int)}
    if cron.split()[2:4] == ["*", "*"] and len(due.minutes) == len(due.hours) == 1 and all(isinstance(day, int) for day in due.weekdays):
        return f"{days_words(days)} at {_clock(timedelta(hours=min(due.hours), minutes=min(due.minutes)))}"
    said = due.explain()
    return said[0].lower() + said[1:]


def _is_field(number: int, part: str) -> bool:
    fields = ["*"] * len(FIELDS)
    fields[number] = part
    try:
        CronSim(" ".join(fields), ANY_DAY)
    except CronSimError:
        return False
    return True


def _comes(cron: str) -> bool:
    try:
        return bool(next_runs(cron=cron, zone=UTC, after=ANY_DAY, count=1))
    except CronSimError:  # each field is right, and none of the months has that day
        return False


def _never(parts: Sequence[str]) -> str:
    """The day that none of the months has."""
    days, months = CronSim(f"0 0 {parts[2]} * *", ANY_DAY).days, CronSim(f"0 0 * {parts[3]} *", ANY_DAY).months
    return f"there is no {min(days)} {' or '.join(month_name[month] for month in sorted(months))}"


def _too_often(cron: str) -> str:
    """The two times of a day, or of a day and the next, that are closer than the floor."""
    due = CronSim(cron, ANY_DAY)
    times = sorted(timedelta(hours=hour, minutes=minute) for hour in due.hours for minute in due.minutes)
    for first, second in pairwise([*times, times[0] + timedelta(days=1)]):
        if second - first < FLOOR:
            return f"At most once in {FLOOR.seconds // 60} minutes: {_clock(first)} and {_clock(second)} are closer."
    return ""


def _clock(since_midnight: timedelta) -> str:
    minutes = since_midnight // timedelta(minutes=1)
    return f"{minutes // 60 % 24:02}:{minutes % 60:02}"


def days_words(weekdays: Collection[int]) -> str:
    """`every day`, `on working days`, `on Mondays and Fridays`."""
    chosen = sorted(set(weekdays))
    if len(chosen) == WEEK:
        return "every day"
    if chosen == [0, 1, 2, 3, 4]:
        return "on working days"
    names = [f"{DAYS[number]}s" for number in chosen]
    return "on " + (" and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0])
