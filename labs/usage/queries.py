"""GPU-hours, derived from leases."""

from datetime import datetime

from labs.lifecycle.holdings import gpu_hours_since
from labs.people.models import User
from labs.policy.budgets import WEEK


def gpu_hours(*, user: User, since: datetime, now: datetime) -> float:
    """GPU-hours of one person in [since, now]."""
    return gpu_hours_since(user_ids=[user.pk], since=since, now=now).get(user.pk, 0.0)


def gpu_hours_week(*, user: User, now: datetime) -> float:
    """GPU-hours of the last seven days."""
    return gpu_hours(user=user, since=now - WEEK, now=now)
