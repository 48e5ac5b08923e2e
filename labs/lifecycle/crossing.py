"""A running lab that is to run longer: would it still hold its cards when a class needs them, or its node when it is closed?"""

from collections import Counter
from datetime import datetime

from django.db.models import Q

from labs.lifecycle import states
from labs.lifecycle.models import Lab, Lease
from labs.people.errors import Refused
from labs.timetable.holdings import closures_between, demands_between, house_zone, pools
from labs.timetable.rules import Demand, Pool, lacking, until_words


def crossing_check(*, lab: Lab, ends_at: datetime, now: datetime) -> None:
    """Refuse an end that crosses a window; the words say until when it may run."""
    was = lab.ends_at or now
    for closure in closures_between(start=was, until=ends_at):
        if closure.node_id == lab.node_id and closure.start >= was:
            raise _until(closure.start, closure.words, now)
    for demand in demands_between(start=was, until=ends_at):
        if demand.start >= was and _needs(demand, lab):
            raise _until(demand.start, f"its GPUs are needed for a class then ({demand.words})", now)


def _needs(demand: Demand, lab: Lab) -> bool:
    """Would the class lack cards if the lab still held its own?"""
    mine = _pools_of(Q(lab=lab))
    if not any(demand.takes(pool) for pool in mine):
        return False
    beside = [other for other in demands_between(start=demand.start, until=demand.until) if other.start <= demand.start]
    late = Q(lab__ends_at=None) | Q(lab__ends_at__gt=demand.start)
    free = pools() - _pools_of(late & Q(lab__meeting=None, lab__state__in=states.HOLDING) & ~Q(lab=lab))
    return lacking(free - mine, beside) > lacking(free, beside)


def _pools_of(leases: Q) -> Counter[Pool]:
    held = Lease.objects.filter(leases, closed_at=None).values_list("gpu__node_id", "gpu__model", "gpu__profile")
    return Counter(Pool(node_id, model, bool(profile)) for node_id, model, profile in held)


def _until(moment: datetime, why: str, now: datetime) -> Refused:
    return Refused(f"It can run until {until_words(moment, now, house_zone())}: {why}.", field="hours", code="window")
