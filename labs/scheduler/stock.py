"""Which nodes have free cards of which kind: so that a lab is tried where it could fit, not everywhere."""

from collections.abc import Container

from labs.scheduler.rooms import Kind, Room, kind_suits, kinds_for
from labs.scheduler.snapshot import Waiting


class Stock:
    """Free cards, by kind."""

    def __init__(self, rooms: list[Room]) -> None:
        self._kinds: dict[tuple[str, str], list[Kind]] = {}
        self._open: dict[Kind, list[Room]] = {kind: [] for room in rooms for kind in room.total}
        self._kept: dict[str, list[Room]] = {}
        self._whole: dict[str, tuple[int, int]] = {}
        self._total, self._left = dict.fromkeys(self._open, 0), dict.fromkeys(self._open, 0)
        for room in rooms:
            for kind in room.free:
                self._open[kind].append(room)
                self._left[kind] += len(room.free[kind])
            for kind, count in room.total.items():
                self._total[kind] += count
            for lab_id in room.kept:
                self._kept.setdefault(lab_id, []).append(room)

    def choices(self, lab: Waiting, nodes: Container[str]) -> list[tuple[Room, Kind | None]]:
        """Nodes, of these, that have the cards for the lab now."""
        gpus = lab.asked.gpus
        mine = self._kept.get(lab.lab_id, [])
        found: list[tuple[Room, Kind | None]] = [(room, kind) for room in mine for kind in kinds_for(room, lab) if room.free_for(kind, lab.lab_id) >= gpus]
        for kind in self._suiting(lab):
            found += [(room, kind) for room in self._open[kind] if len(room.free[kind]) >= gpus and room not in mine]
        return [choice for choice in found if choice[0].node.id in nodes]

    def most(self, lab: Waiting, nodes: Container[str]) -> int:
        """The most free cards that one of these nodes has for the lab."""
        mine = (room for room in self._kept.get(lab.lab_id, ()) if room.node.id in nodes)
        kept = (room.free_for(kind, lab.lab_id) for room in mine for kind in kinds_for(room, lab))
        free = (len(room.free[kind]) for kind in self._suiting(lab) for room in self._open[kind] if room.node.id in nodes)
        return max(*kept, *free, 0, 0)

    def whole(self, lab: Waiting) -> tuple[int, int]:
        """How many whole cards that suit the lab are free in the house, and how many there are."""
        found = self._whole.get(lab.gpu_model)
        if found is None:
            kinds = [kind for kind in self._suiting(lab) if not kind[1]]
            found = self._whole[lab.gpu_model] = sum(self._left[kind] for kind in kinds), sum(self._total[kind] for kind in kinds)
        return found

    def taken(self, room: Room, kind: Kind, cards: int) -> None:
        """Cards of that kind were given away there."""
        self._left[kind] -= cards
        self._whole.clear()
        if not room.free.get(kind) and room in self._open[kind]:
            self._open[kind].remove(room)

    def _suiting(self, lab: Waiting) -> list[Kind]:
        wish = (lab.gpu_model, lab.wants_slice)
        if wish not in self._kinds:
            self._kinds[wish] = [kind for kind in self._open if kind_suits(kind, lab)]
        return self._kinds[wish]
