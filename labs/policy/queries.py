"""What a person may have now."""

from datetime import datetime

from django.db.models import Q

from labs.people.models import User
from labs.people.queries import group_ids_with_ancestors
from labs.policy.models import LimitOverride, RoleLimits
from labs.policy.rules import LIMIT_NAMES, Limits


def limits_of(*, user: User, now: datetime) -> Limits:
    """Role, then the most generous override of the person's groups, then the person's own. Read anew at each request."""
    values = limits_of_role(role=user.role)
    groups = LimitOverride.objects.filter(_in_force(now), group_id__in=group_ids_with_ancestors(user=user))
    for name in LIMIT_NAMES:
        offered = [value for override in groups if (value := getattr(override, name)) is not None]
        if offered:
            values[name] = max(offered)
    own = LimitOverride.objects.filter(_in_force(now), user=user).first()
    if own:
        values |= {name: value for name in LIMIT_NAMES if (value := getattr(own, name)) is not None}
    values["gpus_max"] = max(values["gpus_max"] or 0, values["gpus"] or 0)
    return Limits(**values)  # type: ignore[arg-type]  # only gpu_hours_week may be None


def limits_of_role(*, role: str) -> dict[str, int | None]:
    """The role's row as a dictionary."""
    row = RoleLimits.objects.get(pk=role)
    return {name: getattr(row, name) for name in LIMIT_NAMES}


def overrides_in_force(*, now: datetime) -> list[LimitOverride]:
    """Every exception that holds now, for the quota page."""
    return list(LimitOverride.objects.select_related("user", "group", "created_by").filter(_in_force(now)).order_by("-created_at"))


def override_of(*, user: User) -> LimitOverride | None:
    """The person's own exception, in force or not."""
    return LimitOverride.objects.filter(user=user).first()


def _in_force(now: datetime) -> Q:
    return Q(until__isnull=True) | Q(until__gt=now)
