"""A trace as jobs: windows, thinning, and what the trace does not hold (people, time limits), drawn from a seed.

Columns: timestamp (submit time), duration (s), num_gpus, cluster (a team). Times below are seconds since the trace's first
timestamp, sizes are GPUs.
"""

import csv
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

HOUR, DAY = 3600.0, 86400.0
WINDOW = 21 * DAY
#: So many windows share no job.
SET = 5
#: How far each later set of windows moves in the order in which jobs are picked.
TURN = 0.618
MOST_GPUS = 8
LONGEST = DAY
#: Hours; a job's limit is the next of them over its run times U(1, 3).
BANDS = (1, 4, 12, 24, 72)
#: People of a team: the square root of its jobs over this, their shares of the jobs Pareto (docs/scheduling.md says why as many).
ROOT_OVER, PARETO = 3, 1.2


@dataclass(frozen=True, slots=True)
class Job:
    """One lab that somebody asks for. `run` is known to nobody but the replay; `limit` to all. Seconds."""

    id: str
    person: int
    team: str
    submit: float
    run: float
    gpus: int
    limit: float
    pick: float  # uniform; thinning keeps the smallest

    @property
    def interactive(self) -> bool:
        """One GPU and a limit of at most four hours."""
        return self.gpus == 1 and self.limit <= 4 * HOUR


class NoTrace(Exception):
    """The trace cannot be used; the words say why."""


def trace_read(path: Path, seed: int) -> list[Job]:
    """All jobs of at most eight GPUs, in order of submission. Raises NoTrace."""
    try:
        with path.open(newline="") as file:
            rows = [(_moment(row["timestamp"]), float(row["duration"]), int(row["num_gpus"]), row["cluster"]) for row in csv.DictReader(file)]
    except OSError as error:
        raise NoTrace(f"There is no trace at {path} ({error.strerror}). Give one with --trace: a CSV of timestamp, duration, num_gpus, cluster.") from error
    except (KeyError, ValueError) as error:
        raise NoTrace(f"{path} is no trace: each row needs timestamp, duration, num_gpus and cluster ({error}).") from error
    rows = sorted(row for row in rows if 0 < row[2] <= MOST_GPUS and row[1] > 0)
    if not rows:
        raise NoTrace(f"{path} holds no job of at most {MOST_GPUS} GPUs.")
    return _jobs(rows, random.Random(seed))


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def _jobs(rows: list[tuple[float, float, int, str]], rng: random.Random) -> list[Job]:
    """Rows with people and limits added; each job's draws do not depend on window or load."""
    people, shares = _people(Counter(row[3] for row in rows), rng)
    jobs = []
    for number, (moment, duration, gpus, team) in enumerate(rows):
        run = min(duration, LONGEST)
        wish = run * rng.uniform(1, 3) / HOUR
        limit = next(band for band in BANDS if band >= wish) * HOUR
        person = rng.choices(people[team], shares[team])[0]
        jobs.append(Job(f"{number:06d}", person, team, moment - rows[0][0], run, gpus, limit, rng.random()))
    return jobs


def _people(teams: Counter[str], rng: random.Random) -> tuple[dict[str, list[int]], dict[str, list[float]]]:
    people: dict[str, list[int]] = {}
    shares: dict[str, list[float]] = {}
    taken = 0
    for team, jobs in sorted(teams.items()):
        count = max(1, round(jobs**0.5 / ROOT_OVER))
        people[team] = list(range(taken + 1, taken + count + 1))
        shares[team] = [rng.paretovariate(PARETO) for _ in range(count)]
        taken += count
    return people, shares


@dataclass(frozen=True, slots=True)
class Window:
    """Jobs of 21 days, thinned. `offered` is what they ask for as a share of what the cards could do in that time."""

    begin: float
    offered: float
    jobs: tuple[Job, ...]


def window_of(jobs: list[Job], number: int, load: float, gpus: int) -> Window:
    """One window, thinned to that load, or all there is where the trace holds less.

    The windows of one set of five (0 to 4, 5 to 9, ...) are disjoint and end with the trace, one after another. Where it is too short for
    that, they overlap evenly and a job belongs to one of those that cover it. Later sets cover the same days and draw other jobs.
    """
    begins, turn = _begins(jobs), number // SET
    left = load * gpus * WINDOW
    kept = []
    for job in sorted(_mine(jobs, begins, number), key=lambda job: (job.pick + turn * TURN) % 1):
        if left <= 0:
            break
        left -= job.gpus * job.run
        kept.append(job)
    offered = sum(job.gpus * job.run for job in kept) / (gpus * WINDOW)
    return Window(begins[number % SET], offered, tuple(sorted(kept, key=lambda job: (job.submit, job.id))))


def _begins(jobs: list[Job]) -> list[float]:
    """Where the windows of a set begin."""
    first, end = jobs[0].submit, jobs[-1].submit + 1
    step = min(WINDOW, max(0.0, end - first - WINDOW) / (SET - 1))
    return [end - WINDOW - step * (SET - 1 - number) for number in range(SET)]


def _mine(jobs: list[Job], begins: list[float], number: int) -> Iterator[Job]:
    rng = random.Random(number // SET)
    for job in jobs:
        draw = rng.random()
        covering = [place for place, begin in enumerate(begins) if begin <= job.submit < begin + WINDOW]
        if covering and covering[int(draw * len(covering))] == number % SET:
            yield job
