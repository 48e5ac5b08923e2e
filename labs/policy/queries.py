"""What people and groups may have now. Everything is loaded for all who are asked about at once, and resolved by `table`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet
from django.utils import timezone

from labs.people.models import User
from labs.people.queries import groups_by_person, people_taught_ids
from labs.policy.models import GroupLimits, LimitOverride, LimitWindow, QuotaRequest, RoleLimits
from labs.policy.rules import CAP_NAMES, LIMIT_NAMES, Caps, Limits, Share
from labs.policy.table import Table, Who, limits_for
from labs.policy.windows import Window


def limits_of(*, user: User, now: datetime) -> Limits:
    """What a person may have, however full the house is. Read anew at each request."""
    return limits_of_people(users=[user], now=now)[user.pk]


def limits_of_people(*, users: Iterable[User], now: datetime, load: Callable[[], float | None] | None = None) -> dict[int, Limits]:
    """The same for many, in five queries however many they are.

    `load` tells the percentage of cards in use and is asked only where a limit depends on it; without it none counts that needs a quiet house.
    """
    table, who = table_load(now=now), who_are(users=users)
    at = timezone.localtime(now, timezone.get_default_timezone())
    percent = load() if load and table.minds_load else None
    return {one.user_id: limits_for(table, one, at, percent) for one in who}


def table_load(*, now: datetime) -> Table:
    """All limits of the house that are in force."""
    rows = list(LimitOverride.objects.filter(_in_force(now)).order_by("pk"))
    grants: dict[int, tuple[dict[str, int | None], ...]] = {}
    for row in rows:
        if row.user_id and row.request_id:
            grants[row.user_id] = (*grants.get(row.user_id, ()), _values(row))
    return Table(
        roles={row.role: _values(row) for row in RoleLimits.objects.all()},
        persons={row.user_id: _values(row) for row in rows if row.user_id and not row.request_id},
        groups={row.group_id: _values(row) for row in rows if row.group_id},
        grants=grants,
        windows=tuple(window_of(row) for row in LimitWindow.objects.all()),
    )


def who_are(*, users: Iterable[User]) -> list[Who]:
    """People as the table sees them."""
    users = list(users)
    groups = groups_by_person(user_ids=[user.pk for user in users])
    return [Who(user.pk, user.role, frozenset(groups.get(user.pk, ()))) for user in users]


def window_of(row: LimitWindow) -> Window:
    """The record as the rules see it."""
    return Window(
        limit=row.limit,
        words=row.name,
        times=float(row.times),
        plus=row.plus,
        days=frozenset(int(day) for day in row.days),
        start=row.start,
        end=row.end,
        below=row.below,
        role=row.role,
        group_id=row.group_id,
    )


def shares_of_people(*, user_ids: Iterable[int]) -> dict[int, tuple[Share, ...]]:
    """The capped groups of each person, without what is held: that is known further up. Three queries."""
    capped = {share.group_id: share for share in group_shares()}
    groups = groups_by_person(user_ids=user_ids) if capped else {}
    return {user_id: tuple(capped[one] for one in mine if one in capped) for user_id, mine in groups.items()}


def group_shares() -> list[Share]:
    """Every group that has a cap."""
    rows = GroupLimits.objects.select_related("group")
    shares = [Share(row.pk, group_words(row), Caps(**{name: getattr(row, name) for name in CAP_NAMES})) for row in rows]
    return [share for share in shares if share.caps != Caps()]


def group_limits_lock(*, user_id: int) -> None:
    """Lock the caps of the person's groups until the transaction ends. Whoever locks a person too does so afterwards: one order, no deadlock."""
    if GroupLimits.objects.exists():
        groups = groups_by_person(user_ids=[user_id]).get(user_id, ())
        list(GroupLimits.objects.select_for_update().filter(pk__in=groups).order_by("pk"))


def group_words(row: GroupLimits) -> str:
    """`team Vision`, `course Deep Learning 101`."""
    return f"{row.group.get_kind_display().lower()} {row.group}"


@dataclass(frozen=True, slots=True)
class Fairness:
    """A group's part of the house: weight among its neighbours, GPUs guaranteed and at most; None is neither."""

    weight: int
    guarantee: int | None
    cap: int | None


def group_fairness() -> dict[int, Fairness]:
    """Weight and guarantee of each group that has a row; every other has weight 1 and no guarantee."""
    return {row.pk: Fairness(row.weight, row.guarantee, row.gpus) for row in GroupLimits.objects.all()}


def limits_of_role(*, role: str) -> dict[str, int | None]:
    """The role's row as a dictionary."""
    return _values(RoleLimits.objects.get(pk=role))


def overrides_in_force(*, now: datetime) -> list[LimitOverride]:
    """Every exception that holds now, grants included, for the quota page."""
    return list(LimitOverride.objects.select_related("user", "group", "created_by", "request").filter(_in_force(now)).order_by("-created_at"))


def exceptions_of(*, user: User, now: datetime) -> list[LimitOverride]:
    """What holds for this person beside the role: their own exception, their grants, their groups' exceptions."""
    mine = Q(user=user) | Q(group_id__in=groups_by_person(user_ids=[user.pk]).get(user.pk, ()))
    return list(LimitOverride.objects.select_related("group", "request").filter(mine & _in_force(now)).order_by("until", "pk"))


def groups_limited() -> QuerySet[GroupLimits]:
    """The caps of whole groups, by name."""
    return GroupLimits.objects.select_related("group").order_by("group__name")


def windows_all() -> QuerySet[LimitWindow]:
    """Every window, oldest first."""
    return LimitWindow.objects.select_related("group").order_by("pk")


def requests_of(*, user: User) -> QuerySet[QuotaRequest]:
    """What this person asked for, newest first."""
    return QuotaRequest.objects.select_related("answered_by", "grant").filter(user=user)


def requests_to_answer(*, user: User) -> QuerySet[QuotaRequest]:
    """Open requests that this person may answer, oldest first: all for an administrator, those of a teacher's people, none for others."""
    found = QuotaRequest.objects.select_related("user").filter(state=QuotaRequest.State.OPEN, user__is_active=True).order_by("created_at")
    return found if user.is_administrator else found.filter(user_id__in=people_taught_ids(user=user))


def request_for_answerer(*, user: User, request_id: int) -> QuotaRequest:
    """A request that this person may answer or has answered: any for an administrator, one of a teacher's people; QuotaRequest.DoesNotExist otherwise."""
    found = QuotaRequest.objects.select_related("user", "answered_by")
    return found.get(pk=request_id) if user.is_administrator else found.get(pk=request_id, user_id__in=people_taught_ids(user=user))


def _values(row: RoleLimits | LimitOverride) -> dict[str, int | None]:
    return {name: getattr(row, name) for name in LIMIT_NAMES}


def _in_force(now: datetime) -> Q:
    return Q(until__isnull=True) | Q(until__gt=now)
