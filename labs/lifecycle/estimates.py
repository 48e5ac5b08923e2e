"""Writing down when labs were thought to start, so that it can be told how well such words do."""

from datetime import datetime, timedelta

from labs.lifecycle import states
from labs.lifecycle.models import Estimate, Lab
from labs.scheduler.snapshot import Plan

#: A wait that is over within this was none that anybody planned by.
SHORT = timedelta(minutes=1)


def estimates_note(*, made: Plan, now: datetime) -> int:
    """Keep the first estimate of every lab that waits for its first start, and note which of them have come; how many are new.

    Called after a plan was carried out. Estimates of labs that left the queue without a start are dropped.
    """
    Estimate.objects.filter(came_at=None, lab__state__in=states.HOLDING).update(came_at=now)
    Estimate.objects.filter(came_at=None, lab__state__in=states.FINAL).delete()
    said = {lab_id: wait.estimate for lab_id, wait in made.waits.items() if wait.estimate and wait.estimate.latest - now > SHORT}
    fresh = Lab.objects.filter(state=states.QUEUED, estimate=None, pk__in=said).values_list("pk", flat=True) if said else []
    rows = [Estimate(lab_id=lab_id, made_at=now, earliest=said[lab_id].soonest, latest=said[lab_id].latest) for lab_id in fresh]
    Estimate.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)
