"""What a change of limits would do, before it is made: whose limits change, and who would hold more than they may."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.utils import timezone

from labs.people.models import Group, Role, User
from labs.people.queries import members_below
from labs.policy.excess import Excess, excesses, held_together
from labs.policy.models import LimitOverride, LimitWindow
from labs.policy.queries import table_load, who_are, window_of
from labs.policy.rules import LIMIT_NAMES, Caps, Held, Limits
from labs.policy.table import Table, Values, limits_for

#: Counts what people hold; labs and leases are further up in the house.
Holdings = Callable[[Iterable[int]], Mapping[int, Held]]


@dataclass(frozen=True, slots=True)
class Effect:
    """Somebody who would be over, and by how much of what."""

    user: User
    excesses: tuple[Excess, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """How many people have other limits then, and who of them would be over. `together` is for the cap of a whole group.

    `limits` are what would bind each of them alone: their own limits, or the caps of the group.
    """

    touched: int
    over: tuple[Effect, ...]
    together: tuple[Excess, ...] = ()
    limits: Mapping[int, Limits | Caps] = field(default_factory=dict)


def role_preview(*, role: str, values: Values, holdings: Holdings, now: datetime, load: float | None = None) -> Preview:
    """Other limits for a role."""
    table = table_load(now=now)
    users = list(User.objects.filter(role=role, is_active=True))
    return _compare(table, replace(table, roles={**table.roles, role: values}), users, holdings, now, load)


def override_preview(
    *, user: User | None = None, group: Group | None = None, values: Values | None, holdings: Holdings, now: datetime, load: float | None = None
) -> Preview:
    """Another standing exception of a person or a group; without `values`, none."""
    table = table_load(now=now)
    given = {name: value for name, value in (values or {}).items() if value is not None}
    if user is not None:
        return _compare(table, replace(table, persons=_put(table.persons, user.pk, given)), [user], holdings, now, load)
    members = _members(group)
    return _compare(table, replace(table, groups=_put(table.groups, group.pk if group else 0, given)), members, holdings, now, load)


def grant_end_preview(*, row: LimitOverride, holdings: Holdings, now: datetime, load: float | None = None) -> Preview:
    """The end of an exception or grant before its time."""
    if not row.request_id:
        return override_preview(user=row.user, group=row.group, values=None, holdings=holdings, now=now, load=load)
    table, user = table_load(now=now), row.user
    left = LimitOverride.objects.filter(user=user, request__isnull=False, until__gt=now).exclude(pk=row.pk)
    kept = tuple({name: getattr(one, name) for name in LIMIT_NAMES} for one in left)
    return _compare(table, replace(table, grants={**table.grants, row.user_id or 0: kept}), [user] if user else [], holdings, now, load)


def window_preview(
    *, added: LimitWindow | None = None, removed: LimitWindow | None = None, holdings: Holdings, now: datetime, load: float | None = None
) -> Preview:
    """One window more or less, at this moment of the week."""
    table, row = table_load(now=now), added or removed
    windows = [one for one in table.windows if removed is None or one != window_of(removed)] + ([window_of(added)] if added else [])
    users = _members(row.group) if row and row.group else list(User.objects.filter(is_active=True, role__in=[row.role] if row and row.role else Role.values))
    return _compare(table, replace(table, windows=tuple(windows)), users, holdings, now, load)


def group_preview(*, group: Group, caps: Caps, holdings: Holdings) -> Preview:
    """Other caps of a whole group: what all hold together beside them, and who of the members holds something of it."""
    users = _members(group)
    held = holdings([user.pk for user in users])
    together = excesses(held_together(held.values()), caps)
    names = {one.held_name for one in together}
    holders = [(user, tuple(one for one in excesses(held[user.pk], Caps(**dict.fromkeys(Caps.__slots__, 0))) if one.held_name in names)) for user in users]
    return Preview(len(users), tuple(Effect(user, its) for user, its in holders if its), together, dict.fromkeys(held, caps))


def _compare(before: Table, after: Table, users: Iterable[User], holdings: Holdings, now: datetime, load: float | None) -> Preview:
    """Whom the change touches, and what those hold beside their new limits. Who was over before is over still, and is told so."""
    at = timezone.localtime(now, timezone.get_default_timezone())
    by_id = {user.pk: user for user in users}
    changed: dict[int, Limits] = {}
    for who in who_are(users=by_id.values()):
        then = limits_for(after, who, at, load)
        if then != limits_for(before, who, at, load):
            changed[who.user_id] = then
    held = holdings(changed)
    found = [Effect(by_id[pk], its) for pk, then in changed.items() if (its := excesses(held[pk], then))]
    return Preview(len(changed), tuple(sorted(found, key=lambda effect: str(effect.user))), limits=changed)


def _put(rows: Mapping[int, Values], key: int, values: Values) -> dict[int, Values]:
    return {**{pk: row for pk, row in rows.items() if pk != key}, **({key: values} if values else {})}


def _members(group: Group | None) -> list[User]:
    ids = members_below(group_ids=[group.pk])[group.pk] if group else set()
    return list(User.objects.filter(pk__in=ids, is_active=True).order_by("display_name"))
