"""All limits of the house as plain values, and what they come to for one person. Pure: a change is tried on a changed table."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from labs.policy.rules import BUDGETS, LIMIT_NAMES, Later, Limits, Wider
from labs.policy.windows import Window, limit_later, limit_now

Values = Mapping[str, int | None]
#: Limits that a window may widen. The guarantee is not among them: what is wider for a time is over quota.
WIDENABLE = ("gpus_max", "labs", "pending", "cpus", "memory_gib", "hours_max")


@dataclass(frozen=True, slots=True)
class Who:
    """A person as the table sees them: role, and their groups with all above."""

    user_id: int
    role: str
    groups: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Table:
    """Roles, standing exceptions of persons and groups, grants that end by themselves, windows."""

    roles: Mapping[str, Values]
    persons: Mapping[int, Values]
    groups: Mapping[int, Values]
    grants: Mapping[int, tuple[Values, ...]]
    windows: tuple[Window, ...] = ()

    @property
    def minds_load(self) -> bool:
        """Does any limit depend on how full the house is?"""
        return any(window.below is not None for window in self.windows)


def limits_for(table: Table, who: Who, at: datetime, load: float | None = None) -> Limits:
    """Role, then the most generous exception of the person's groups, then their own; grants and windows only widen."""
    values = dict(table.roles[who.role])
    offers = [table.groups[group] for group in who.groups if group in table.groups]
    for name in LIMIT_NAMES:
        offered = [value for offer in offers if (value := offer.get(name)) is not None]
        if offered:
            values[name] = max(offered)
    values |= {name: value for name, value in table.persons.get(who.user_id, {}).items() if value is not None}
    for grant in table.grants.get(who.user_id, ()):
        values |= {name: _most(name, values[name], value) for name, value in grant.items() if value is not None}
    values["gpus_max"] = max(values["gpus_max"] or 0, values["gpus"] or 0)
    return _widened(values, [window for window in table.windows if window.is_for(who.role, who.groups)], at, load)


def _widened(values: dict[str, int | None], windows: list[Window], at: datetime, load: float | None) -> Limits:
    wider: list[Wider] = []
    later: list[Later] = []
    for name in WIDENABLE if windows else ():
        its = [window for window in windows if window.limit == name]
        usual = values[name] or 0
        now = limit_now(name, usual, its, at, load)
        values[name] = now.value
        wider += [now.wider] if now.wider else []
        later += limit_later(name, usual, now.value, its, at, load)
    return Limits(**values, wider=tuple(wider), later=tuple(later))  # type: ignore[arg-type]  # only budgets may be None


def _most(name: str, had: int | None, granted: int) -> int | None:
    """A grant never narrows, and no limit is wider than any."""
    return None if had is None and name in BUDGETS else max(had or 0, granted)
