"""The data sets on the launch form: what each is, and which machines have it."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from labs.datasets.rules import UNREAD, Shelf
from labs.scheduler.snapshot import NodeView


@dataclass(frozen=True, slots=True)
class SetShown:
    """One row. `value` is what is asked for: the set's name for its newest version, else the version's."""

    value: str
    shelf: Shelf
    ticked: bool
    there: tuple[str, ...]
    lacking: tuple[tuple[str, str], ...]


def sets_shown(*, sets: Iterable[Shelf], ticked: Collection[str], nodes: Sequence[NodeView]) -> list[SetShown]:
    """Each version once, the newest under the set's own name. One that was asked for by its version has a row of its own."""
    rows, named = [], set[str]()
    for one in sets:
        if one.name not in named:
            rows.append(_row(one.name, one, ticked, nodes))
        if one.name in named or str(one) in ticked:
            rows.append(_row(str(one), one, ticked, nodes))
        named.add(one.name)
    return rows


def _row(value: str, one: Shelf, ticked: Collection[str], nodes: Sequence[NodeView]) -> SetShown:
    there = tuple(node.name for node in nodes if one.places.get(node.id) == "")
    lacking = tuple((node.name, why) for node in nodes if (why := one.places.get(node.id, UNREAD)))
    return SetShown(value, one, value in ticked, there, lacking)
