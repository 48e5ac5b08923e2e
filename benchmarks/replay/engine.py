"""The replay itself: events in order, and a policy that is asked whenever something changed."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from benchmarks.replay.cluster import Cluster, Entry
from benchmarks.replay.trace import Job

ARRIVE, END, TAKE, TICK = range(4)


@dataclass(frozen=True, slots=True)
class Start:
    """Start this job now on that node, with these cards."""

    entry: Entry
    node: int
    cards: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Reclaim:
    """Take this job's cards back at that moment, for another."""

    entry: Entry
    at: float
    taken_for: str = ""


class Policy(Protocol):
    """Decides who starts; `tick` is how often it is asked while somebody waits, in seconds."""

    name: str
    tick: float

    def decide(self, cluster: Cluster, now: float) -> Iterable[Start | Reclaim]:
        """What to do now, all of it."""


class Replay:
    """One policy over one list of jobs."""

    def __init__(self, policy: Policy, jobs: list[Job], sizes: tuple[int, ...]) -> None:
        self.policy = policy
        self.cluster = Cluster(sizes)
        self.entries = [Entry(job, job.submit) for job in jobs]
        self.busy = 0.0  # GPU-seconds of runs inside the window
        self._events: list[tuple[float, int, int, Entry | None]] = []
        self._count = 0
        self._tick_at = 0.0

    def run(self) -> list[Entry]:
        """To the end of the last job."""
        for entry in self.entries:
            self._push(entry.job.submit, ARRIVE, entry)
        while self._events:
            now = self._events[0][0]
            changed = False
            while self._events and self._events[0][0] <= now:
                changed |= self._happen(*heapq.heappop(self._events))
            if changed:
                self._decide(now)
        return self.entries

    def _push(self, at: float, kind: int, entry: Entry | None) -> None:
        self._count += 1
        heapq.heappush(self._events, (at, kind * 1_000_000_000 + self._count, entry.attempts if entry else 0, entry))

    def _happen(self, now: float, order: int, attempt: int, entry: Entry | None) -> bool:
        kind = order // 1_000_000_000
        if entry is None:
            return bool(self.cluster.queue) and now >= self._tick_at
        if kind == ARRIVE:
            self.cluster.queue[entry.job.id] = entry
        elif entry.attempts != attempt or entry.job.id not in self.cluster.running:
            return False
        elif kind == END:
            self.cluster.stop(entry, now)
        else:
            self.cluster.requeue(entry, now)
        return True

    def _decide(self, now: float) -> None:
        for act in list(self.policy.decide(self.cluster, now)):
            if isinstance(act, Reclaim):
                act.entry.notice, act.entry.taken_for = act.at, act.taken_for
                self._push(act.at, TAKE, act.entry)
            else:
                self.cluster.start(act.entry, act.node, act.cards, now)
                self._push(now + act.entry.job.run, END, act.entry)
        if self.cluster.queue and self.policy.tick:
            self._tick_at = now + self.policy.tick
            self._push(self._tick_at, TICK, None)
