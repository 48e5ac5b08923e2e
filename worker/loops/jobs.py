"""Start the jobs of schedules whose moment has come, and of files that have arrived."""

from datetime import datetime

from labs.jobs.queries import arrivals_waiting, triggers_due
from labs.jobs.services import arrival_fire, trigger_due_fire
from labs.lifecycle.models import Lab


def tick(*, now: datetime) -> list[Lab]:
    """One round; each moment of a schedule and each file starts one job, however many rounds and workers there are."""
    fired = [trigger_due_fire(trigger=trigger, now=now) for trigger in triggers_due(now=now)]
    fired += [arrival_fire(arrival=arrival, now=now) for arrival in arrivals_waiting()]
    return [lab for lab in fired if lab]
