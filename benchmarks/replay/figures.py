"""The figures of a replay. Minutes, hours, shares; definitions in docs/scheduling.md."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from benchmarks.replay.cluster import Entry
from benchmarks.replay.trace import HOUR, WINDOW, Job

#: A lab of so many GPUs is a gang.
GANG = 4


def p95(values: Sequence[float]) -> float:
    """The 95th percentile; 0 where there is nothing."""
    return sorted(values)[max(0, -(-len(values) * 95 // 100) - 1)] if values else 0.0


def mean(values: Sequence[float]) -> float:
    """The mean; 0 where there is nothing."""
    return sum(values) / len(values) if values else 0.0


def served_labs(entries: Sequence[Entry]) -> dict[int, float]:
    """Of each person: how well their labs were served, the mean of time run over time run and waited."""
    shares: dict[int, list[float]] = defaultdict(list)
    for entry in entries:
        shares[entry.job.person].append(entry.job.run / (entry.job.run + entry.waited))
    return {person: mean(labs) for person, labs in shares.items()}


def served_time(entries: Sequence[Entry]) -> dict[int, float]:
    """Of each person: GPU time run over GPU time run and waited, all labs together; long waits of big labs weigh most."""
    run: dict[int, float] = defaultdict(float)
    spent: dict[int, float] = defaultdict(float)
    for entry in entries:
        run[entry.job.person] += entry.job.gpus * entry.job.run
        spent[entry.job.person] += entry.job.gpus * (entry.job.run + entry.waited)
    return {person: run[person] / spent[person] for person in run}


def jain(values: Sequence[float]) -> float:
    """Jain's index: 1 when all have the same."""
    return sum(values) ** 2 / (len(values) * sum(value * value for value in values)) if values else 1.0


def worst_wait_floor_h(jobs: Sequence[Job], gpus: int) -> float:
    """Hours that the worst wait has at least, whoever schedules `jobs` (in order of submission), knows all runs and owes nobody anything.

    At any moment, what was asked for until then and cannot be done yet, were every card busy all the time, takes so long to be done. The lab
    that is done last was asked for before that moment, and began its run before its end.
    """
    floor, left, last = 0.0, 0.0, 0.0
    longest = max((job.run for job in jobs), default=0.0)
    for job in jobs:
        left = max(0.0, left - gpus * (job.submit - last)) + job.gpus * job.run
        last = job.submit
        floor = max(floor, left / gpus - longest)
    return floor / HOUR


def figures(entries: Sequence[Entry], gpus: int, begins: Mapping[str, float]) -> dict[str, float]:
    """The row of one policy at one load, over all windows; `begins` tells of each job when its window began."""
    waits = [entry.waited / 60 for entry in entries]
    interactive = [entry.waited / 60 for entry in entries if entry.job.interactive]
    gangs = [entry.waited / 60 for entry in entries if entry.job.gpus >= GANG]
    labs, time = list(served_labs(entries).values()), list(served_time(entries).values())
    windows = len(set(begins.values()))
    return {
        "mean_wait_min": mean(waits),
        "p95_wait_min": p95(waits),
        "interactive_p95_min": p95(interactive),
        "interactive_60s_pct": 100 * mean([wait <= 1 for wait in interactive]),
        "gang_p95_min": p95(gangs),
        "gang_max_h": max(gangs, default=0.0) / 60,
        "max_wait_h": max(waits, default=0.0) / 60,
        "jain": jain(labs),
        "worst": min(labs, default=1.0),
        "jain_time": jain(time),
        "worst_time": min(time, default=1.0),
        "utilisation_pct": 100 * sum(_inside(entry, begins[entry.job.id]) for entry in entries) / (gpus * WINDOW * max(1, windows)),
        "lost_gpu_h": sum(entry.lost for entry in entries) / HOUR,
        "lost_pct": 100 * sum(entry.lost for entry in entries) / max(1.0, sum(entry.job.gpus * entry.job.run for entry in entries)),
    }


def _inside(entry: Entry, begin: float) -> float:
    """GPU-seconds of the run that was kept, as far as it lies in the window."""
    return entry.job.gpus * max(0.0, min(entry.started + entry.job.run, begin + WINDOW) - entry.started)
