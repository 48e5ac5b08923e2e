"""No lab stays in a moving state past its deadline, also when its own node's worker is away."""

from datetime import datetime

from labs.lifecycle.repairs import lab_overdue, labs_overdue


def tick(*, now: datetime) -> int:
    """One round; how many labs were acted on."""
    return sum(lab_overdue(lab=lab, now=now) for lab in labs_overdue(now=now))
