"""Minutes become hours, ended labs get their summary, old readings are forgotten, and on Mondays people hear of their week."""

from datetime import datetime

from labs.telemetry.hours import hours_roll, summaries_write, telemetry_prune
from labs.usage.digest import digests_queue


def tick(*, now: datetime) -> None:
    """One round; each part is right however often it runs."""
    summaries_write(now=now)
    hours_roll(now=now)
    telemetry_prune(now=now)
    digests_queue(now=now)
