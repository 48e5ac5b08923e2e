"""What the campus says of a person, and what that makes them here. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

#: The more a role may, the later it stands; of several the last one counts.
ORDER = ("student", "researcher", "teacher", "administrator")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody whom the campus vouches for: address, name, and the groups that it counts them in."""

    email: str
    name: str
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """The house's reading of the campus's groups: its name there to a role, and to the short name of a group here; whether accounts are made."""

    roles: Mapping[str, str]
    groups: Mapping[str, str]
    makes_accounts: bool


def role_of(visitor: Visitor, roles: Mapping[str, str]) -> str | None:
    """The highest role that one of their groups gives; `student` where none does, None where the campus decides no roles."""
    if not roles:
        return None
    given = [roles[name] for name in visitor.groups if name in roles]
    return max(given, key=ORDER.index, default=ORDER[0])


def groups_of(visitor: Visitor, groups: Mapping[str, str]) -> tuple[frozenset[str], frozenset[str]]:
    """Short names of the groups here that they are in and of those that they are not in, of all that the campus decides on."""
    inside = frozenset(groups[name] for name in visitor.groups if name in groups)
    return inside, frozenset(groups.values()) - inside


def names_of(found: object) -> tuple[str, ...]:
    """Names of groups as a claim brings them: a list of words, or one word; LDAP's whole names are read by their first part."""
    listed: Iterable[object] = found if isinstance(found, list | tuple) else [found]
    return tuple(_first_part(one) for one in listed if isinstance(one, str) and one)


def _first_part(name: str) -> str:
    first = name.split(",", 1)[0]
    return first.partition("=")[2] if first.lower().startswith("cn=") else name
