"""What people wish to have tidied, what is to be done on a node, and what was done."""

from datetime import datetime

from django.db.models import Max, QuerySet

from labs.lifecycle import states
from labs.lifecycle.models import Lab
from labs.people.models import User
from labs.storage.models import WorkspaceUse
from labs.tidying.models import Chore, Wish
from labs.tidying.rules import ASKED, CACHES, CHECKPOINTS, DONE, LOOK, caches_due, checkpoints_due

Place = tuple[int, str]


def wish_of(*, user: User, now: datetime) -> Wish:
    """What the person wishes; what holds for everybody while they have said nothing, not kept."""
    return Wish.objects.filter(owner=user).first() or Wish(owner=user, changed_at=now, caches_at=now)


def chores_of(*, user: User) -> QuerySet[Chore]:
    """One's own, newest first."""
    return Chore.objects.select_related("node").filter(owner=user)


def looks_of(*, user: User) -> dict[str, Chore]:
    """By node: the last look at the person's workspace there that was done."""
    return {row.node_id: row for row in reversed(Chore.objects.filter(owner=user, kind=LOOK, state=DONE))}


def was_shown(*, wish: Wish) -> bool:
    """Was everything that would go looked for since the person last said what stays? On each node that holds files of theirs."""
    nodes = set(WorkspaceUse.objects.filter(owner=wish.owner_id).values_list("node_id", flat=True))
    seen = Chore.objects.filter(owner=wish.owner_id, kind=LOOK, state=DONE, asked_at__gte=wish.changed_at)
    return bool(nodes) and nodes <= set(seen.values_list("node_id", flat=True))


def chores_open(*, node_id: str) -> list[Chore]:
    """What the node has to do, oldest first."""
    return list(Chore.objects.select_related("owner").filter(node_id=node_id, state=ASKED, owner__is_active=True).order_by("asked_at", "pk"))


def chores_planned(*, now: datetime) -> list[tuple[Wish, str, str]]:
    """What is due by people's rules: wish, node, kind. Four statements for the whole house."""
    wishes = {wish.pk: wish for wish in Wish.objects.select_related("owner").filter(owner__is_active=True) if wish.on or wish.caches}
    places: list[Place] = list(WorkspaceUse.objects.filter(owner__in=wishes).order_by("owner_id", "node_id").values_list("owner_id", "node_id"))
    if not places:
        return []
    labs = Lab.objects.filter(owner__in=wishes, node__isnull=False).order_by()
    live = set(labs.filter(state__in=states.HOLDING).values_list("owner_id", "node_id"))
    ended = {(owner, node): at for owner, node, at in labs.values_list("owner_id", "node_id").annotate(Max("ended_at"))}
    rows = Chore.objects.filter(owner__in=wishes).order_by().values_list("owner_id", "node_id", "kind").annotate(Max("asked_at"))
    last = {(owner, node, kind): at for owner, node, kind, at in rows}
    found = []
    for place in places:
        wish, is_live, over = wishes[place[0]], place in live, ended.get(place)
        if wish.on and checkpoints_due(last=last.get((*place, CHECKPOINTS)), live=is_live, ended_at=over, now=now):
            found.append((wish, place[1], CHECKPOINTS))
        since = max(filter(None, (wish.caches_at, last.get((*place, CACHES)))))
        if wish.caches and caches_due(since=since, live=is_live, ended_at=over):
            found.append((wish, place[1], CACHES))
    return found
