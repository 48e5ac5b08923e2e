"""How good the estimates were: what a lab was told when it had waited a little, against when it really started."""

from dataclasses import dataclass, field
from statistics import median

from benchmarks.replay.cluster import Cluster, Entry
from benchmarks.replay.peers import limit_based_starts
from labs.scheduler.snapshot import Plan

LONG_WAIT = 300.0


@dataclass(frozen=True, slots=True)
class Told:
    """What one lab was told: seconds on the replay's clock, and by the limits alone."""

    entry: Entry
    soonest: float
    latest: float
    plain: float


@dataclass(slots=True)
class Scores:
    """The first estimate of each lab, and what came of it."""

    told: dict[str, Told] = field(default_factory=dict)

    def hear(self, made: Plan, cluster: Cluster, begin: float, now: float) -> None:
        """Write down what labs that are told for the first time hear; `begin` is the epoch of the plan's clock."""
        fresh = [lab_id for lab_id, wait in made.waits.items() if wait.estimate and self._key(cluster.queue[lab_id]) not in self.told]
        if not fresh:
            return
        order = [cluster.queue[lab_id] for lab_id, _ in sorted(made.waits.items(), key=lambda item: item[1].place)]
        plain = limit_based_starts(order, cluster, now)
        for lab_id in fresh:
            entry, estimate = cluster.queue[lab_id], made.waits[lab_id].estimate
            if estimate and lab_id in plain:
                soonest, latest = (moment.timestamp() - begin for moment in (estimate.soonest, estimate.latest))
                self.told[self._key(entry)] = Told(entry, soonest, latest, plain[lab_id])

    def figures(self) -> dict[str, float]:
        """Of waits over five minutes: how often the range held, and the median errors in minutes."""
        long = [one for one in self.told.values() if one.entry.waited > LONG_WAIT and not one.entry.lost]
        if not long:
            return {"labs": 0}
        starts = [one.entry.job.submit + one.entry.waited for one in long]
        held = [one.soonest <= start <= one.latest for one, start in zip(long, starts, strict=True)]
        own = median(abs((one.soonest + one.latest) / 2 - start) for one, start in zip(long, starts, strict=True)) / 60
        plain = median(abs(one.plain - start) for one, start in zip(long, starts, strict=True)) / 60
        return {
            "labs": len(long),
            "held_pct": round(100 * sum(held) / len(long), 1),
            "median_error_min": round(own, 1),
            "plain_median_error_min": round(plain, 1),
            "error_ratio": round(own / plain, 3) if plain else 0.0,
        }

    def _key(self, entry: Entry) -> str:
        return f"{id(entry)}"
