"""What people may have now beside what they hold: limits, their groups' caps, budgets; loaded for all who are asked about at once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Sum
from django.utils import timezone

from labs.fleet.models import Gpu
from labs.lifecycle.holdings import held_by_people, spells_since
from labs.lifecycle.models import Lease
from labs.people.models import User
from labs.people.queries import members_below
from labs.policy.budgets import MONTH, WEEK, Spell, back_at
from labs.policy.excess import held_together
from labs.policy.queries import limits_of_people, shares_of_people
from labs.policy.rules import Caps, Held, Limits, Share, budget_spent


@dataclass(frozen=True, slots=True)
class Allowance:
    """One person: what they may have, what they hold, and the caps of their groups with what those hold."""

    limits: Limits
    held: Held
    shares: tuple[Share, ...]


def allowance_of(*, user: User, now: datetime) -> Allowance:
    """One person's."""
    return allowances_of(users=[user], now=now)[user.pk]


def allowances_of(*, users: Iterable[User], now: datetime) -> dict[int, Allowance]:
    """Everybody's, in a number of queries that does not grow with them."""
    users = list(users)
    ids = [user.pk for user in users]
    limits = limits_now(users=users, now=now)
    shares = shares_of_people(user_ids=ids)
    capped = {share.group_id: share for mine in shares.values() for share in mine}
    members = members_below(group_ids=capped)
    held = held_by_people(user_ids={*ids, *(one for group in members.values() for one in group)}, now=now)
    groups = {pk: replace(share, held=held_together(held[one] for one in members[pk])) for pk, share in capped.items()}
    held, groups = _with_returns({pk: held[pk] for pk in ids}, limits, groups, members, now)
    return {pk: Allowance(limits[pk], held[pk], tuple(groups[share.group_id] for share in shares.get(pk, ()))) for pk in ids}


def limits_now(*, users: Iterable[User], now: datetime) -> dict[int, Limits]:
    """What each may have at this hour and with the house as full as it is."""
    return limits_of_people(users=users, now=now, load=load_now)


def load_now() -> float | None:
    """Percentage of the house's healthy cards that are leased; None where there is no card. A joined node, which sees its own only, is told the number."""
    if settings.JOINED:
        with connection.cursor() as cursor:
            cursor.execute("SELECT cards_taken()")
            return cursor.fetchone()[0]  # type: ignore[no-any-return]
    cards = Gpu.objects.filter(health=Gpu.Health.OK, mig=False)
    whole = cards.aggregate(sum=Sum("share"))["sum"]
    busy = cards.filter(pk__in=Lease.objects.filter(closed_at=None).values("gpu_id")).aggregate(sum=Sum("share"))["sum"]
    return 100 * (busy or 0) / whole if whole else None


def budgets_spent(*, users: Iterable[User], now: datetime) -> dict[int, str]:
    """People whose own or whose group's GPU-hours are used up, with the words: what they run may be taken back, and is never killed for it."""
    spent = {pk: budget_spent(one.held, one.limits, one.shares) for pk, one in allowances_of(users=users, now=now).items()}
    return {pk: words for pk, words in spent.items() if words}


def _with_returns(
    held: dict[int, Held], limits: Mapping[int, Limits], groups: dict[int, Share], members: Mapping[int, set[int]], now: datetime
) -> tuple[dict[int, Held], dict[int, Share]]:
    """Say of each budget that is used up when hours return. Nothing is read where none is."""
    people = {pk for pk, one in held.items() if budget_spent(one, limits[pk])}
    spent = {pk for pk, share in groups.items() if budget_spent(share.held, share.caps)}
    if not people and not spent:
        return held, groups
    spells = spells_since(user_ids={*people, *(one for pk in spent for one in members[pk])}, since=now - MONTH)
    for pk in people:
        held[pk] = _returning(held[pk], limits[pk], spells.get(pk, []), now)
    for pk in spent:
        together = [spell for one in members[pk] for spell in spells.get(one, [])]
        groups[pk] = replace(groups[pk], held=_returning(groups[pk].held, groups[pk].caps, together, now))
    return held, groups


def _returning(held: Held, limits: Limits | Caps, spells: list[Spell], now: datetime) -> Held:
    def returns(budget: int | None, used: float, window: timedelta) -> datetime | None:
        if budget is None or used < budget:
            return None
        moment = back_at(spells, window=window, budget=budget, now=now)
        return timezone.localtime(moment, timezone.get_default_timezone()) if moment else None

    return replace(
        held,
        week_back_at=returns(limits.gpu_hours_week, held.gpu_hours_week, WEEK),
        month_back_at=returns(limits.gpu_hours_month, held.gpu_hours_month, MONTH),
    )
