"""The peers: first come, EASY backfill, and multifactor fair-share with backfill as Slurm has it.

All keep the cap and put a lab's cards on one node, the fullest that suffices. Who is at the cap steps aside.
"""

from collections.abc import Iterator

from benchmarks.replay.cluster import CAP, Cluster, Entry
from benchmarks.replay.engine import Start
from benchmarks.replay.trace import DAY


class _Books:
    """Counts of a plan in the making, so that a peer decides everything in one go."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.free = [sorted(cards) for cards in cluster.free]
        self.held = {person: account.held for person, account in cluster.people.items()}
        self.begun: list[tuple[float, int, int]] = []

    def capped(self, entry: Entry) -> bool:
        return self.held.get(entry.job.person, 0) + entry.job.gpus > CAP

    def best(self, entry: Entry) -> int:
        fitting = [(len(free), node) for node, free in enumerate(self.free) if len(free) >= entry.job.gpus]
        return min(fitting)[1] if fitting else -1

    def take(self, entry: Entry, node: int, now: float) -> Start:
        gpus = entry.job.gpus
        cards, self.free[node] = self.free[node][:gpus], self.free[node][gpus:]
        self.held[entry.job.person] = self.held.get(entry.job.person, 0) + gpus
        self.begun.append((now + entry.job.limit, node, gpus))
        return Start(entry, node, tuple(cards))

    def shadow(self, entry: Entry, now: float) -> tuple[float, int, int]:
        """Where and when the job can start by the limits of what runs, and how many cards are left over there then."""
        free = [len(cards) for cards in self.free]
        ends = [(max(other.due, now), other.node, other.job.gpus) for other in self.cluster.running.values()]
        for at, node, gpus in sorted([*ends, *self.begun]):
            free[node] += gpus
            if free[node] >= entry.job.gpus:
                return at, node, free[node] - entry.job.gpus
        return now, -1, 0


def limit_based_starts(order: list[Entry], cluster: Cluster, now: float) -> dict[str, float]:
    """The plain estimate: everybody in order, each where cards come free first if every lab runs to its limit."""
    free = [[now] * len(cards) for cards in cluster.free]
    for entry in cluster.running.values():
        free[entry.node] += [max(entry.due, now)] * entry.job.gpus
    starts = {}
    for entry in order:
        gpus = entry.job.gpus
        able = [(sorted(times)[gpus - 1], node) for node, times in enumerate(free) if len(times) >= gpus]
        if able:
            at, node = min(able)
            free[node] = [*sorted(free[node])[gpus:], *[at + entry.job.limit] * gpus]
            starts[entry.job.id] = at
    return starts


def _by_submit(cluster: Cluster) -> list[Entry]:
    return sorted(cluster.queue.values(), key=lambda entry: (entry.job.submit, entry.job.id))


class FifoStrict:
    """First come, first served; nobody passes."""

    name, tick = "fifo_strict", 0.0

    def decide(self, cluster: Cluster, now: float) -> Iterator[Start]:
        """Who starts now."""
        books = _Books(cluster)
        for entry in _by_submit(cluster):
            if books.capped(entry):
                continue
            node = books.best(entry)
            if node < 0:
                return
            yield books.take(entry, node, now)


class FifoSkip:
    """First come, first served; what does not fit is skipped."""

    name, tick = "fifo_skip", 0.0

    def decide(self, cluster: Cluster, now: float) -> Iterator[Start]:
        """Who starts now."""
        books = _Books(cluster)
        for entry in _by_submit(cluster):
            node = -1 if books.capped(entry) else books.best(entry)
            if node >= 0:
                yield books.take(entry, node, now)


def _backfill(order: list[Entry], cluster: Cluster, now: float) -> Iterator[Start]:
    """In order until one does not fit; it gets a reservation, and the rest may start where they do not delay it."""
    books = _Books(cluster)
    held_from, held_node, spare = 0.0, -1, 0
    for entry in order:
        if books.capped(entry):
            continue
        if held_node < 0:
            node = books.best(entry)
            if node >= 0:
                yield books.take(entry, node, now)
            else:
                held_from, held_node, spare = books.shadow(entry, now)
            continue
        gpus = entry.job.gpus
        late = now + entry.job.limit > held_from
        fitting = [(len(free), node) for node, free in enumerate(books.free) if len(free) >= gpus and (node != held_node or not late or spare >= gpus)]
        if fitting:
            node = min(fitting)[1]
            spare -= gpus if node == held_node and late else 0
            yield books.take(entry, node, now)


class Easy:
    """EASY backfill: the first that waits has a reservation."""

    name, tick = "easy", 0.0

    def decide(self, cluster: Cluster, now: float) -> Iterator[Start]:
        """Who starts now."""
        yield from _backfill(_by_submit(cluster), cluster, now)


class SlurmLike:
    """Slurm's multifactor priority (age, fair-share with a half-life of 7 days, job size) over backfill."""

    name, tick = "slurm_like", 300.0
    AGE, FAIR, SIZE = 1000.0, 10000.0, 1000.0
    OLDEST = 7 * DAY

    def decide(self, cluster: Cluster, now: float) -> Iterator[Start]:
        """Who starts now."""
        usage = {person: account.usage(now) for person, account in cluster.people.items()}
        total = sum(usage.values()) or 1.0
        members = max(1, len(usage))

        def priority(entry: Entry) -> float:
            age = min(1.0, (now - entry.job.submit) / self.OLDEST)
            fair = 2.0 ** -(usage.get(entry.job.person, 0.0) / total * members)
            return self.AGE * age + self.FAIR * fair + self.SIZE * entry.job.gpus / sum(cluster.sizes)

        order = sorted(cluster.queue.values(), key=lambda entry: (-priority(entry), entry.job.submit, entry.job.id))
        yield from _backfill(order, cluster, now)
