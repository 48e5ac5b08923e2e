"""Start the jobs of schedules whose moment has come."""

from datetime import datetime

from labs.jobs.queries import triggers_due
from labs.jobs.services import trigger_due_fire
from labs.lifecycle.models import Lab


def tick(*, now: datetime) -> list[Lab]:
    """One round; each moment of a schedule starts one job, however many rounds and workers there are."""
    fired = [trigger_due_fire(trigger=trigger, now=now) for trigger in triggers_due(now=now)]
    return [lab for lab in fired if lab]
