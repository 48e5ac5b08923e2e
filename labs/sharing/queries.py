"""Which apps a lab has, and who may enter what."""

from datetime import datetime

from django.db.models import Q, QuerySet

from labs.lifecycle import states
from labs.lifecycle.models import Lab
from labs.people.models import Group, User
from labs.people.queries import group_ids_with_ancestors, members_below
from labs.sharing.models import App, Share


def guests_now(*, now: datetime) -> dict[tuple[str, int], frozenset[int]]:
    """Ids of the people who may enter each shared port of a running lab now, by (lab, port); for the relay. Two queries more where teams are guests."""
    rows = list(_standing(now).values_list("lab_id", "port", "user_id", "group_id"))
    teams = members_below(group_ids={group_id for *_, group_id in rows if group_id})
    found: dict[tuple[str, int], frozenset[int]] = {}
    for lab_id, port, user_id, group_id in rows:
        people = teams[group_id] if group_id else {user_id}
        found[lab_id, port] = found.get((lab_id, port), frozenset()) | people
    return found


def app_shared_with(*, user: User, lab_id: str, port: int, now: datetime) -> Lab | None:
    """The running lab whose port is shared with the person now; None for every other."""
    return next((share.lab for share in shares_with(user=user, now=now) if (share.lab_id, share.port) == (lab_id, port)), None)


def shares_with(*, user: User, now: datetime) -> list[Share]:
    """What the person may enter now of other people's labs, the newest first. Their teams are looked up only where something is shared with teams."""
    rows = _standing(now).select_related("lab__owner").filter(Q(user=user) | Q(group__isnull=False))
    found = list(rows.filter(lab__owner__is_active=True).exclude(lab__owner=user))
    teams = set(group_ids_with_ancestors(user=user)) if any(share.group_id for share in found) else set()
    return [share for share in found if share.user_id == user.pk or share.group_id in teams]


def shares_of(*, lab: Lab, now: datetime) -> list[Share]:
    """With whom the lab's owner shares what now."""
    return list(Share.objects.select_related("user", "group").filter(lab=lab, withdrawn_at=None, until__gt=now))


def apps_of(*, lab: Lab) -> list[App]:
    """The newest app of each tool in the lab's present attempt, running or not."""
    newest: dict[str, App] = {}
    for app in App.objects.filter(lab=lab, attempt=lab.attempt):
        newest.setdefault(app.tool, app)
    return list(newest.values())


def teams_of(*, user: User) -> list[Group]:
    """The teams and courses with which the person can share."""
    ids = group_ids_with_ancestors(user=user)
    return list(Group.objects.filter(pk__in=ids).exclude(kind=Group.Kind.ORGANISATION)) if ids else []


def apps_open(*, node_id: str) -> list[App]:
    """Every app on the node that has not ended, for its worker."""
    rows = App.objects.select_related("lab__node").filter(lab__node=node_id, state__in=App.OPEN)
    return list(rows.order_by("asked_at"))


def _standing(now: datetime) -> QuerySet[Share]:
    return Share.objects.filter(withdrawn_at=None, until__gt=now, lab__state=states.RUNNING)
