"""The idle rule of the house (`labs.idleness.rules`) on labelled, synthetic days: what it gives back, and whom it stops wrongly.

The run of the trace is work. Interactive labs pause in it: stretches at the GPU (exponential, 45 minutes) with pauses between (log-normal,
median 5 minutes). Then an idle tail: three of ten labs are forgotten until their limit ends them, the others are stopped by their owners
(exponential, 10 minutes). A third of the labs live while 80% of the cards are taken. Nobody answers a warning, which is the worst case for
whoever only paused.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from benchmarks.replay.house import moment
from benchmarks.replay.trace import HOUR, Job
from labs.idleness.rules import Do, Rules, Signs, Warned, due, limit_now, signs_told, used_at

MINUTE = 60.0
BUSY_MEAN, TAIL_MEAN = 45 * MINUTE, 10 * MINUTE
FORGOTTEN = 0.3
PAUSE_MEDIAN_LOG, PAUSE_SPREAD = 5.70, 0.9  # log-normal: e^5.70 s is five minutes
CROWDED = 1 / 3
LABS = 4000


@dataclass(frozen=True, slots=True)
class Day:
    """One lab: its quiet stretches (begin, end), when its work ended, when it would end by itself."""

    quiet: tuple[tuple[float, float], ...]
    worked: float
    end: float
    gpus: int
    crowded: bool


def days(jobs: list[Job], seed: int) -> Iterator[Day]:
    """Labelled days of up to 4,000 labs of the trace."""
    rng = random.Random(seed)
    for job in rng.sample(jobs, min(LABS, len(jobs))):
        quiet, at = [], rng.expovariate(1 / BUSY_MEAN) if job.interactive else job.run
        while at < job.run:
            back = at + rng.lognormvariate(PAUSE_MEDIAN_LOG, PAUSE_SPREAD)
            quiet.append((at, min(back, job.run)))
            at = back + rng.expovariate(1 / BUSY_MEAN)
        tail = job.limit if rng.random() < FORGOTTEN else rng.expovariate(1 / TAIL_MEAN)
        end = min(max(job.limit, job.run), job.run + tail)
        yield Day((*quiet, (job.run, end)), job.run, end, job.gpus, rng.random() < CROWDED)


def stopped_at(day: Day, rules: Rules) -> float | None:
    """When the rule stops the lab, looked at each minute of its quiet stretches; None where it does not."""
    limit = limit_now(taken_pct=90.0 if day.crowded else 50.0, rules=rules)
    signs = Signs(gpus=1, cpus=8, gpu_pct=0.0, cpu_pct=1.0, jupyter=True, kernels=1, ssh=0)
    told = signs_told(signs, rules)
    for begin, end in day.quiet:
        used, warned, at = moment(begin), Warned(), begin
        while at < end:
            used = used_at(signs, told, before=used, now=moment(at))
            act, percent = due(used=used, now=moment(at), limit=limit, warned=warned)
            if act == Do.STOP:
                return at
            if act == Do.WARN:
                warned = Warned(percent, moment(at))
            at += min(MINUTE, limit / timedelta(seconds=1))
    return None


def idle_figures(jobs: list[Job], seed: int) -> dict[str, float]:
    """Percent of idle GPU-hours given back, and percent of labs stopped before their work was done."""
    idle = back = 0.0
    wrong = count = 0
    for day in days(jobs, seed):
        count += 1
        idle += day.gpus * (day.end - day.worked)
        stop = stopped_at(day, Rules())
        wrong += stop is not None and stop < day.worked
        back += day.gpus * (day.end - max(stop, day.worked)) if stop is not None else 0.0
    return {
        "labs": count,
        "idle_gpu_h": round(idle / HOUR, 1),
        "back_pct": round(100 * back / max(idle, 1.0), 1),
        "wrong_pct": round(100 * wrong / max(count, 1), 2),
    }
