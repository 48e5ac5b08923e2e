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
from labs.policy.models import GroupLimits, LimitOverride, LimitWindow, RoleLimits
from labs.policy.rules import CAP_NAMES, LIMIT_NAMES


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
            words = ", ".join(f"{name} {_or_none(old)} → {_or_none(new)}" for name, (old, new) in changed.items())
            words, after = f"Limits of {role}: {words}.", {name: getattr(row, name) for name in LIMIT_NAMES}
            event_record(kind="quota.role", subject=f"role:{role}", words=words, actor=actor, now=now, before=was, after=after)
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
        _one_at_a_time(user or group)
        before = LimitOverride.objects.filter(user=user, group=group, request=None).first()
        was = _values(before) if before else {}
        if before:
            before.delete()
        row = LimitOverride(user=user, group=group, until=until, note=note[:200], created_by=actor, created_at=now, **_known(values))
        _clean(row)
        row.save()
        given = _values(row)
        words = ", ".join(f"{name} {value}" for name, value in given.items()) or "nothing"
        words = f"Exception for {user or group}: {words}. {note}".strip()
        event_record(kind="quota.override", subject=_subject(row), words=words, actor=actor, now=now, before=was, after=given)
        _tell()
    return row


def override_clear(*, override_id: int, actor: User, now: datetime) -> None:
    """End an exception."""
    with transaction.atomic():
        row = LimitOverride.objects.select_related("user", "group").get(pk=override_id)
        words = f"Exception for {row.user or row.group} ended."
        event_record(kind="quota.override", subject=_subject(row), words=words, actor=actor, now=now, before=_values(row), after={})
        row.delete()
        _tell()


def group_limits_set(*, group: Group, values: Mapping[str, int | None], actor: User, now: datetime) -> GroupLimits:
    """Set what a whole group may have: the caps of CAP_NAMES, `guarantee` and `weight`. Refused when the guarantee is above the cap."""
    unknown = set(values) - {*CAP_NAMES, "guarantee", "weight"}
    if unknown:
        raise Refused(f"A group has no limit {', '.join(sorted(unknown))}.")
    with transaction.atomic():
        _one_at_a_time(group)
        row = GroupLimits.objects.select_for_update().filter(pk=group.pk).first() or GroupLimits(group=group)
        was = {name: getattr(row, name) for name in values}
        for name, value in values.items():
            setattr(row, name, value)
        row.weight = row.weight or 1
        _clean(row)
        if row.guarantee is not None and row.gpus is not None and row.guarantee > row.gpus:
            raise Refused("The guarantee cannot be above the cap.", field="guarantee")
        row.save()
        _changed(f"group:{group.pk}", f"Caps of {group}", was, {name: getattr(row, name) for name in values}, actor, now)
    return row


def group_limits_clear(*, group: Group, actor: User, now: datetime) -> None:
    """The group as a whole has no cap, no guarantee and the usual weight again."""
    with transaction.atomic():
        row = GroupLimits.objects.select_for_update().get(pk=group.pk)
        was = {name: getattr(row, name) for name in (*CAP_NAMES, "guarantee", "weight")}
        row.delete()
        _changed(f"group:{group.pk}", f"Caps of {group}", was, dict.fromkeys(was), actor, now)


def window_add(*, values: Mapping[str, Any], actor: User, now: datetime) -> LimitWindow:
    """A time of the week, or a quiet house, in which a limit is wider. Refused when it widens nothing or is for two kinds of people."""
    row = LimitWindow(**values, created_by=actor, created_at=now)
    _clean(row)
    if row.times <= 1 and not row.plus:
        raise Refused("It has to widen something: more than x 1, or plus at least 1.", field="times")
    if row.role and row.group_id:
        raise Refused("It is for a role or for a group; both at once is not possible.", field="group")
    with transaction.atomic():
        row.save()
        event_record(kind="quota.window", subject=f"window:{row.pk}", words=f"{row} added.", actor=actor, now=now, before={}, after=_window_values(row))
        _tell()
    return row


def window_remove(*, window_id: int, actor: User, now: datetime) -> None:
    """Take a window away. Labs that run above the usual limit go on, over quota."""
    with transaction.atomic():
        row = LimitWindow.objects.get(pk=window_id)
        event_record(kind="quota.window", subject=f"window:{row.pk}", words=f"{row} removed.", actor=actor, now=now, before=_window_values(row), after={})
        row.delete()
        _tell()


def _one_at_a_time(whose: User | Group | None) -> None:
    """Who sets limits of the same person or group waits until the transaction ends: there may be no row of limits yet that could be locked."""
    if whose is not None:
        type(whose)._default_manager.select_for_update(no_key=True).get(pk=whose.pk)


def _changed(subject: str, what: str, was: Mapping[str, Any], now_is: Mapping[str, Any], actor: User, now: datetime) -> None:
    """The event of a change, and the news; nothing where nothing changed."""
    changed = {name: [was[name], value] for name, value in now_is.items() if was[name] != value}
    if changed:
        words = ", ".join(f"{name} {_or_none(old)} → {_or_none(new)}" for name, (old, new) in changed.items())
        event_record(kind="quota.group", subject=subject, words=f"{what}: {words}.", actor=actor, now=now, before=dict(was), after=dict(now_is))
        _tell()


def _or_none(value: object) -> object:
    return "no limit" if value is None else value


def _values(row: LimitOverride) -> dict[str, int]:
    return {name: value for name in LIMIT_NAMES if (value := getattr(row, name)) is not None}


def _window_values(row: LimitWindow) -> dict[str, str]:
    names = ("name", "limit", "times", "plus", "days", "start", "end", "below", "role", "group")
    return {name: str(getattr(row, name)) for name in names}


def _known(values: Mapping[str, int | None]) -> dict[str, Any]:
    unknown = set(values) - set(LIMIT_NAMES)
    if unknown:
        raise Refused(f"There is no limit {', '.join(sorted(unknown))}.")
    return dict(values)


def _clean(row: RoleLimits | LimitOverride | GroupLimits | LimitWindow) -> None:
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
