"""Is a version of the host's software known to be unsafe? Pure. The table is `safe_versions.json`, with its sources."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

#: How the names of checks of versions begin.
VERSION_CHECK = "version: "
GREEN, YELLOW, RED = "green", "yellow", "red"
#: A distribution's own build: it may carry fixes that its number does not show.
DISTRIBUTION = re.compile(r"(ds|dfsg|deb|ubuntu|amzn|suse)\d*|\.(el|fc)\d+")
NUMBERS = re.compile(r"\d+(?:\.\d+)*")
BEFORE = re.compile(r"[-~.]?(rc|beta|alpha|dev)")


@dataclass(frozen=True, slots=True)
class Rule:
    """The lowest safe versions of one component, one a branch. `escape`: below it, a program may get out of its container."""

    component: str
    words: str
    minimum: tuple[str, ...]
    escape: bool
    why: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A line of a node's health."""

    name: str
    state: str
    words: str
    fix: str = ""


def rules_read(table: Mapping[str, Any]) -> dict[str, Rule]:
    """The rules of the table's part for hosts, by component."""
    rows = table["host"]
    return {row["component"]: Rule(row["component"], row["words"], tuple(row["minimum"]), row["escape"], row["why"]) for row in rows}


def versions_judge(found: Mapping[str, str], rules: Mapping[str, Rule]) -> list[Judged]:
    """One line a component that the host has; an empty version is one that could not be read."""
    return [version_judge(version, rules[component]) for component, version in found.items() if component in rules]


def version_judge(version: str, rule: Rule) -> Judged:
    """Green at or above its branch's minimum; below it red where an escape applies and yellow elsewhere; never green on a guess."""
    name = VERSION_CHECK + rule.words
    numbers = NUMBERS.match(version)
    if not numbers:
        return Judged(name, YELLOW, f"Its version could not be read; {_least(rule.minimum)} is safe.", f"Look at it on the host. {rule.why}")
    least = _minimum_for(_parts(numbers.group()), rule.minimum)
    if not least or not _below(version, least):
        return Judged(name, GREEN, f"{version}: no known hole.")
    if DISTRIBUTION.search(version[numbers.end() :]):
        words = f"{version} is a distribution's own build of a version before {least}: whether it has the fixes cannot be told from its number."
        return Judged(name, YELLOW, words, f"Compare it with the distribution's notes on {rule.why}, or install {least}.")
    return Judged(name, RED if rule.escape else YELLOW, _words(version, rule), f"Update {rule.words} to {least} or later.")


def _words(version: str, rule: Rule) -> str:
    if rule.escape:
        return f"{version} lets a program in a container get out of it ({rule.why}): images other than the house's own start no new lab here."
    return f"{version} has known holes ({rule.why})."


def _least(minimum: Iterable[str]) -> str:
    return " or ".join(minimum)


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _minimum_for(parts: tuple[int, ...], minimum: tuple[str, ...]) -> str:
    """The minimum of the version's own branch; between two branches that of the next; empty above all branches."""
    if len(minimum) == 1:
        return minimum[0]
    known = sorted(minimum, key=_parts)
    length = _branch_length(known)
    own = [least for least in known if _parts(least)[:length] == parts[:length]]
    return (own or [least for least in known if _parts(least) > parts] or [""])[0]


def _branch_length(known: list[str]) -> int:
    """How many leading numbers tell the branches apart: 535 and 580; 1.3 and 1.4."""
    return max(next(n for n, (a, b) in enumerate(zip(_parts(one), _parts(two), strict=False), 1) if a != b) for one, two in pairwise(known))


def _below(version: str, least: str) -> bool:
    numbers = NUMBERS.match(version)
    parts = _parts(numbers.group()) if numbers else ()
    if parts == _parts(least) and numbers:
        return BEFORE.match(version[numbers.end() :].lower()) is not None
    return parts < _parts(least)
