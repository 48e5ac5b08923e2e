"""What fairness needs to know of people and groups: what they used lately, where they stand in the tree, how long their labs run.

Use decays with a half-life of days, so it is read anew every few minutes and not at every look at the queue.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import log
from typing import TypeVar

from django.conf import settings
from django.core.cache import cache
from django.db.models import Q

from labs.lifecycle import states
from labs.lifecycle.allowances import Allowance
from labs.lifecycle.models import Lab, Lease, Reclaim
from labs.people.models import Group as GroupRow
from labs.people.models import Membership
from labs.policy.queries import Fairness, group_fairness
from labs.scheduler.snapshot import Group, Person

T = TypeVar("T")
#: How long what was read of the past is good enough.
READ_EVERY_S = 300
#: What is older than so many half-lives counts for less than a thirtieth.
HALF_LIVES = 5
#: The past from which the length of labs is learnt, and how many labs of it.
RUNS_SINCE, RUNS_MOST = timedelta(days=60), 5000
#: Fewer labs than these say little of a person: everybody's are taken then.
RUNS_LEAST = 5
#: Labs that their owner did not end: they do not tell how long their owner's labs run.
CUT_SHORT = ("preempted", "administrator", "person_disabled")


@dataclass(frozen=True, slots=True)
class Tree:
    """The groups and who is in them. `branches`: each person's groups with all above them, the person's team first."""

    groups: Mapping[int, GroupRow]
    branches: Mapping[int, tuple[int, ...]]

    def path_of(self, user_id: int) -> tuple[int, ...]:
        """From the organisation down to the person's team; empty for somebody of no group."""
        mine = self.branches.get(user_id, ())
        return tuple(reversed(self.upwards(mine[0]))) if mine else ()

    def asking(self) -> dict[int, GroupRow]:
        """By person, the nearest group that asks for encrypted workspaces; who is in none is left out."""
        if not any(row.encrypted_only for row in self.groups.values()):
            return {}
        first = {user_id: next((one for one in mine if self.groups[one].encrypted_only), None) for user_id, mine in self.branches.items()}
        return {user_id: self.groups[group_id] for user_id, group_id in first.items() if group_id is not None}

    def upwards(self, group_id: int | None) -> list[int]:
        """The group and all above it."""
        found: list[int] = []
        while group_id is not None and group_id not in found:
            found.append(group_id)
            group_id = self.groups[group_id].parent_id
        return found


def tree_load() -> Tree:
    """Everybody's groups, in two queries."""
    groups = {row.pk: row for row in GroupRow.objects.all()}
    tree = Tree(groups, {})
    branches: dict[int, dict[int, None]] = {}
    rows = Membership.objects.order_by("pk").values_list("user_id", "group_id")
    for user_id, group_id in sorted(rows, key=lambda row: groups[row[1]].kind != GroupRow.Kind.TEAM):
        branches.setdefault(user_id, {}).update(dict.fromkeys(tree.upwards(group_id)))
    return Tree(groups, {user_id: tuple(mine) for user_id, mine in branches.items()})


def people_view(*, allowances: Mapping[int, Allowance], tree: Tree, now: datetime) -> dict[int, Person]:
    """The people of `allowances` as the scheduler sees them."""
    used, runs = usage_decayed(now=now), runs_past(now=now)
    return {
        user_id: Person(
            owner_id=user_id,
            weight=one.limits.weight,
            usage=used.get(user_id, 0.0),
            path=tree.path_of(user_id),
            groups=tuple(share.group_id for share in one.shares),
            runs=runs.get(user_id, ()),
        )
        for user_id, one in allowances.items()
    }


def groups_view(*, shares: Mapping[int, float], tree: Tree, now: datetime) -> dict[int, Group]:
    """The groups with what their people used and hold. `shares`: what each person holds now."""
    used, held = _summed(usage_decayed(now=now), tree), _summed(shares, tree)
    known = group_fairness()
    plain = Fairness(weight=1, guarantee=None, cap=None)
    rows = ((row, known.get(row.pk, plain)) for row in tree.groups.values())
    return {
        row.pk: Group(
            id=row.pk,
            name=f"{row.get_kind_display().lower()} {row.name}",
            weight=fair.weight,
            usage=used.get(row.pk, 0.0),
            held=held.get(row.pk, 0.0),
            guarantee=fair.guarantee,
        )
        for row, fair in rows
    }


def usage_decayed(*, now: datetime) -> dict[int, float]:
    """GPU-hours by person, from leases; what was used a half-life ago counts half."""
    return _kept("usage", now, lambda: _usage(now))


def runs_past(*, now: datetime) -> dict[int, tuple[float, ...]]:
    """By person who had a few, sorted: which part of their limit past labs ran, 0 to 1. Under 0: everybody's."""
    return _kept("runs", now, lambda: _runs(now))


def may_lose_s(*, now: datetime) -> float:
    """Card-seconds of work that taking cards back may still throw away: a part of what everybody used lately, less what it has cost."""
    numbers = settings.DEFAULTS["fairness"]
    part: float = sum(usage_decayed(now=now).values()) * numbers["reclaim_may_lose_pct"] / 100
    allowed: float = max(part, numbers["reclaim_may_lose_least_h"])
    return 3600 * (allowed - _lost(now))


def _lost(now: datetime) -> float:
    """Card-hours of labs whose cards were taken back, or are about to be; what is a half-life ago counts half."""
    half_life = timedelta(days=settings.DEFAULTS["fairness"]["half_life_days"])
    taken = Reclaim.objects.filter(Q(outcome=Reclaim.Outcome.TAKEN) | Q(closed_at=None), noticed_at__gt=now - HALF_LIVES * half_life)
    rows = taken.values_list("lab__gpus", "lab__started_at", "noticed_at")
    return sum((cards * decayed_hours(started, noticed, now, half_life) for cards, started, noticed in rows if started is not None), start=0.0)


def decayed_hours(start: datetime, end: datetime, now: datetime, half_life: timedelta) -> float:
    """Hours from start to end, each counted by what is left of it after its age."""
    scale = half_life / timedelta(hours=1) / log(2)
    return scale * float(0.5 ** ((now - end) / half_life) - 0.5 ** ((now - start) / half_life))


def _usage(now: datetime) -> dict[int, float]:
    half_life = timedelta(days=settings.DEFAULTS["fairness"]["half_life_days"])
    lately = Lease.objects.filter(Q(closed_at=None) | Q(closed_at__gt=now - HALF_LIVES * half_life), opened_at__lt=now, lab__meeting=None)
    used: dict[int, float] = {}
    for owner_id, opened, closed, share in lately.values_list("lab__owner_id", "opened_at", "closed_at", "gpu__share").iterator():
        used[owner_id] = used.get(owner_id, 0.0) + share * decayed_hours(opened, min(closed or now, now), now, half_life)
    return used


def _runs(now: datetime) -> dict[int, tuple[float, ...]]:
    ended = Lab.objects.filter(state__in=states.FINAL, meeting=None, started_at__isnull=False, ended_at__gt=now - RUNS_SINCE).exclude(reason_code__in=CUT_SHORT)
    found: dict[int, list[float]] = {0: []}
    for owner_id, started, over, hours in ended.order_by("-ended_at").values_list("owner_id", "started_at", "ended_at", "hours")[:RUNS_MOST]:
        if started is None or over is None:  # not by the filter; for the reader and the type checker
            continue
        part = min((over - started) / timedelta(hours=hours), 1.0)
        found.setdefault(owner_id, []).append(part)
        found[0].append(part)
    return {owner_id: tuple(sorted(parts)) for owner_id, parts in found.items() if not owner_id or len(parts) >= RUNS_LEAST}


def _summed(by_person: Mapping[int, float], tree: Tree) -> dict[int, float]:
    """What people have, added up in every group above them."""
    found: dict[int, float] = {}
    for user_id, amount in by_person.items():
        for group_id in tree.branches.get(user_id, ()):
            found[group_id] = found.get(group_id, 0.0) + amount
    return found


def _kept(name: str, now: datetime, read: Callable[[], T]) -> T:
    """What was read for this stretch of minutes, by whichever process came first."""
    found: T | None = cache.get_or_set(f"fairness:{name}:{int(now.timestamp()) // READ_EVERY_S}", read, READ_EVERY_S)
    return read() if found is None else found
