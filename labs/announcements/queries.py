"""Which announcements stand, for whom, and where they are still to be written to terminals."""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import QuerySet, Sum

from labs.announcements.models import Announcement
from labs.lifecycle import states
from labs.lifecycle.models import Lab
from labs.people.models import User
from labs.people.queries import group_ids_with_ancestors, members_below


def announcements_standing(*, now: datetime) -> QuerySet[Announcement]:
    """Those that are shown now, the newest first."""
    return Announcement.objects.select_related("group", "node").filter(withdrawn_at=None, until__gt=now)


def announcements_for(*, user: User, standing: Iterable[Announcement]) -> list[Announcement]:
    """Those that concern the person. Takes no query where all of them are for everybody; an administrator sees them all."""
    found = list(standing)
    if user.is_administrator or all(one.group_id is None and one.node_id is None for one in found):
        return found
    groups = set(group_ids_with_ancestors(user=user))
    nodes = set(Lab.objects.filter(owner=user, state__in=states.PLACED).values_list("node_id", flat=True))
    return [one for one in found if one.group_id in groups or one.node_id in nodes or (one.group_id is None and one.node_id is None)]


def announcements_all() -> QuerySet[Announcement]:
    """Every announcement with how many terminals it reached, the newest first; for administrators."""
    return Announcement.objects.select_related("group", "node", "made_by").annotate(terminals=Sum("told__terminals"))


def announcements_untold(*, node_id: str, now: datetime) -> list[Announcement]:
    """Those that the terminals of this node are still to hear, the oldest first."""
    rows = announcements_standing(now=now).filter(to_terminals=True).exclude(told__node=node_id)
    return [one for one in rows.order_by("made_at", "pk") if one.node_id in (None, node_id)]


def labs_to_tell(*, announcement: Announcement, node_id: str) -> list[Lab]:
    """The running labs of the node whose owners it concerns."""
    labs = Lab.objects.filter(node_id=node_id, state=states.RUNNING)
    if announcement.group_id is not None:
        labs = labs.filter(owner__in=members_below(group_ids=[announcement.group_id])[announcement.group_id])
    return list(labs)


def audience_of(*, announcement: Announcement) -> QuerySet[User]:
    """The active people whom it concerns."""
    people = User.objects.filter(is_active=True)
    if announcement.group_id is not None:
        return people.filter(pk__in=members_below(group_ids=[announcement.group_id])[announcement.group_id])
    if announcement.node_id is not None:
        return people.filter(labs__node=announcement.node_id, labs__state__in=states.PLACED).distinct()
    return people
