"""Writing down when labs were thought to start, so that it can be told how well such words do."""

from datetime import datetime, timedelta

from labs.lifecycle import states
from labs.lifecycle.models import Estimate, Lab
from labs.scheduler.plan import plan
from labs.scheduler.snapshot import Snapshot

#: A wait that is over within this was none that anybody planned by.
SHORT = timedelta(minutes=1)
#: What is said later than this after the click is not what its owner read first.
FIRST = timedelta(minutes=2)


def estimates_note(*, snapshot: Snapshot, now: datetime) -> int:
    """Keep the first estimate of every lab that came into the queue just now, and note which of them have started; how many are new.

    Called with the snapshot of the plan that was carried out. Estimates of labs that left the queue without a start are dropped.
    """
    Estimate.objects.filter(came_at=None, lab__state__in=states.HOLDING).update(came_at=now)
    Estimate.objects.filter(came_at=None, lab__state__in=states.FINAL).delete()
    new = set(Lab.objects.filter(state=states.QUEUED, estimate=None, requested_at__gt=now - FIRST).values_list("pk", flat=True))
    waits = plan(snapshot, now).waits if new else {}
    said = {lab_id: wait.estimate for lab_id, wait in waits.items() if lab_id in new and wait.estimate and wait.estimate.latest - now > SHORT}
    rows = [Estimate(lab_id=lab_id, made_at=now, earliest=one.soonest, latest=one.latest) for lab_id, one in said.items()]
    Estimate.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)
