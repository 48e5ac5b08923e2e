"""The announcements above every page. Looked up once in some seconds for the whole house, not once a page."""

from collections.abc import Collection
from datetime import datetime

from django.core.cache import cache

from labs.announcements.models import Announcement
from labs.announcements.queries import announcements_for, announcements_standing
from labs.people.models import User

KEY = "announcements"
FRESH_S = 5


def banners_of(*, user: User, hidden: Collection[int], now: datetime) -> list[Announcement]:
    """What the person is told now, without what they have put away."""
    standing: list[Announcement] | None = cache.get(KEY)
    if standing is None:
        standing = list(announcements_standing(now=now))
        cache.set(KEY, standing, FRESH_S)
    return announcements_for(user=user, standing=[one for one in standing if one.stands(now) and one.pk not in hidden])


def banners_changed() -> None:
    """Look anew at the next page."""
    cache.delete(KEY)
