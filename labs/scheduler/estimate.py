"""When a waiting lab may start: the queue run ahead twice, once with labs that end early and once with labs that end late.

How much of their limit labs use is taken from what their owners' past labs used. Labs far down the line follow the pace of the first ones.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from labs.scheduler.ahead import Ahead
from labs.scheduler.house import House
from labs.scheduler.snapshot import Estimate, Running, Snapshot, Waiting

#: Of labs far down the line, so many share one estimate.
CHUNK = 25


def estimates_of(house: House, line: Sequence[Waiting], promised: Iterable[str]) -> dict[str, Estimate]:
    """For every waiting lab that something known would start."""
    policy, now = house.snapshot.policy, house.now
    near = line[: policy.estimate_depth]
    early = Ahead(house, near, lambda lab: _span(lab, house.snapshot, now, policy.estimate_early)).starts()
    late = Ahead(house, near, lambda lab: _span(lab, house.snapshot, now, policy.estimate_late)).starts()
    found = {lab.lab_id: _range(house, early.get(lab.lab_id), late.get(lab.lab_id)) for lab in near}
    booked = {one.lab_id: one.start for one in house.reservations}
    found |= {lab_id: Estimate(now, booked[lab_id] + timedelta(seconds=policy.estimate_margin_s)) for lab_id in promised if lab_id in booked}
    known = {lab_id: estimate for lab_id, estimate in found.items() if estimate}
    return known | _far(house, line, known)


def run_share(runs: Sequence[float], spent: float, quantile: float) -> float:
    """What part of its limit a lab will have used at its end, after it has used `spent` of it, by sorted past ones."""
    first = bisect_right(runs, spent)
    if first == len(runs):
        return spent + (1 - spent) * quantile if spent < 1 else 1.0
    return min(max(runs[first + int(quantile * (len(runs) - first - 1))], spent), 1.0)


def _span(lab: Waiting | Running, snapshot: Snapshot, now: datetime, quantile: float) -> timedelta:
    """How much longer it runs from now, or from its start."""
    person = snapshot.people.get(lab.owner_id)
    runs = (person.runs if person else ()) or snapshot.runs
    if isinstance(lab, Waiting):
        return timedelta(hours=lab.asked.hours) * run_share(runs, 0.0, quantile)
    limit = max(lab.ends_at - lab.started_at, timedelta(seconds=1))
    spent = min(max((now - lab.started_at) / limit, 0.0), 1.0)
    return limit * (run_share(runs, spent, quantile) - spent)


def _range(house: House, early: datetime | None, late: datetime | None) -> Estimate | None:
    """The range, stretched for labs that will ask meanwhile and go first."""
    if early is None or late is None:
        return None
    policy, margin = house.snapshot.policy, timedelta(seconds=house.snapshot.policy.estimate_margin_s)
    low, high = min(early, late) - house.now, max(early, late) - house.now
    return Estimate(house.now + low * policy.estimate_shrink, house.now + high * policy.estimate_stretch + margin)


def _far(house: House, line: Sequence[Waiting], known: dict[str, Estimate]) -> dict[str, Estimate]:
    """Labs beyond those looked at: as many times later as they are further down."""
    depth = house.snapshot.policy.estimate_depth
    if len(line) <= depth or not known:
        return {}
    soonest = max(estimate.soonest for estimate in known.values()) - house.now
    latest = max(estimate.latest for estimate in known.values()) - house.now
    found: dict[str, Estimate] = {}
    for first in range(depth, len(line), CHUNK):
        factor = (first + CHUNK / 2) / depth
        shared = Estimate(house.now + soonest * (factor / 2), house.now + latest * factor)
        found.update(dict.fromkeys((lab.lab_id for lab in line[first : first + CHUNK] if not lab.blocked), shared))
    return found
