"""Changing limits. A change holds from the next request on and is an event with before and after."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from labs.bus.bus import publish
from labs.bus.doorbell import ring
from labs.ledger.services import event_record
from labs.people.errors import Refused
from labs.people.models import Group, User
from labs.policy.models import LimitOverride, RoleLimits
from labs.policy.rules import LIMIT_NAMES


def role_limits_update(*, role: str, values: Mapping[str, int | None], actor: User, now: datetime) -> RoleLimits:
    """Set a role's limits. Refused when a value cannot be."""
    with transaction.atomic():
        row = RoleLimits.objects.select_for_update().get(pk=role)
        was = {name: getattr(row, name) for name in LIMIT_NAMES}
        for name, value in _known(values).items():
            setattr(row, name, value)
        _clean(row)
        if row.gpus > row.gpus_max:
            raise Refused("The guarantee cannot be above the cap.", field="gpus")
        row.save()
        changed = {name: [was[name], getattr(row, name)] for name in LIMIT_NAMES if was[name] != getattr(row, name)}
        if changed:
            words = ", ".join(f"{name} {old} → {new}" for name, (old, new) in changed.items())
            event_record(kind="quota.role", subject=f"role:{role}", words=f"Limits of {role}: {words}.", actor=actor, now=now, changed=changed)
            _tell()
    return row


def override_set(
    *, user: User | None = None, group: Group | None = None, values: Mapping[str, int | None], until: datetime | None, note: str, actor: User, now: datetime
) -> LimitOverride:
    """Set the exception of one person or one group, in place of an earlier one."""
    if (user is None) == (group is None):
        raise Refused("An exception is for one person or one group.")
    if until is not None and until <= now:
        raise Refused("The end of an exception lies in the future.", field="until")
    with transaction.atomic():
        LimitOverride.objects.filter(user=user, group=group).delete()
        row = LimitOverride(user=user, group=group, until=until, note=note[:200], created_by=actor, created_at=now, **_known(values))
        _clean(row)
        row.save()
        given = {name: value for name, value in values.items() if value is not None}
        words = ", ".join(f"{name} {value}" for name, value in given.items()) or "nothing"
        event_record(
            kind="quota.override", subject=_subject(row), words=f"Exception for {user or group}: {words}. {note}".strip(), actor=actor, now=now, given=given
        )
        _tell()
    return row


def override_clear(*, override_id: int, actor: User, now: datetime) -> None:
    """End an exception."""
    with transaction.atomic():
        row = LimitOverride.objects.select_related("user", "group").get(pk=override_id)
        event_record(kind="quota.override", subject=_subject(row), words=f"Exception for {row.user or row.group} ended.", actor=actor, now=now)
        row.delete()
        _tell()


def _known(values: Mapping[str, int | None]) -> dict[str, Any]:
    unknown = set(values) - set(LIMIT_NAMES)
    if unknown:
        raise Refused(f"There is no limit {', '.join(sorted(unknown))}.")
    return dict(values)


def _clean(row: RoleLimits | LimitOverride) -> None:
    try:
        row.full_clean(validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        field, messages = next(iter(error.message_dict.items()))
        raise Refused(f"{field}: {' '.join(messages)}", field=field) from error


def _tell() -> None:
    publish("queue", "limits")
    ring("worker.schedule")


def _subject(row: LimitOverride) -> str:
    return f"person:{row.user_id}" if row.user_id else f"group:{row.group_id}"
