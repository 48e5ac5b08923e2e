"""Windows that are set aside: how many cards others may still use across each of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from labs.scheduler.rooms import Kind, Room
from labs.scheduler.snapshot import Hold, Waiting


@dataclass(slots=True)
class Gate:
    """A moment at which holds need cards of one scope. `slack` is what strangers may hold then beside what holds there now."""

    at: datetime
    node_id: str
    model: str
    sliced: bool
    slack: int
    left: dict[str, int]  # hold -> cards that its own people have not taken yet
    words: str
    until: datetime  # when the last of its holds ends

    def covers(self, room: Room, kind: Kind) -> bool:
        """Are these cards in its scope?"""
        return self.node_id in ("", room.node.id) and self.model in ("", kind[0]) and self.sliced == bool(kind[1])


class Gates:
    """All windows that a plan must respect."""

    def __init__(self, holds: tuple[Hold, ...], rooms: list[Room], now: datetime, last: datetime) -> None:
        self._now = now
        current = [hold for hold in holds if hold.until > now and hold.start < last]
        self.holds = {hold.id: hold for hold in current}
        self._closing = [hold for hold in current if hold.closes]
        moments = sorted({max(hold.start, now) for hold in current if not hold.closes})
        self.gates = [gate for at in moments for gate in _gates_at(at, current, rooms)]
        self._people = frozenset(owner for hold in current for owner in hold.people)

    @property
    def moments(self) -> list[datetime]:
        """When a window begins or ends."""
        return sorted({at for hold in self.holds.values() for at in (max(hold.start, self._now), hold.until)})

    def own(self, lab: Waiting) -> tuple[str, ...]:
        """The holds whose cards the lab may use."""
        if lab.hold_id:
            return (lab.hold_id,)
        if lab.owner_id not in self._people:
            return ()
        return tuple(hold.id for hold in self.holds.values() if lab.owner_id in hold.people)

    def left(self, hold_id: str) -> int:
        """Cards of a hold that is on now which its own labs have not taken."""
        return min((gate.left[hold_id] for gate in self.gates if hold_id in gate.left), default=0)

    def closed(self, room: Room, end: datetime) -> str:
        """What the node is set aside for before the lab would end; empty when for nothing."""
        return next((hold.words for hold in self._closing if hold.node_id in ("", room.node.id) and hold.start < end), "")

    def against(self, room: Room, kind: Kind | None, gpus: int, end: datetime, own: tuple[str, ...]) -> str:
        """For whom cards are held that the lab would need; empty when for nobody."""
        if kind:
            for gate in self.gates:
                if gate.at < end and gate.covers(room, kind) and max(gate.slack, 0) + sum(gate.left.get(hold, 0) for hold in own) < gpus:
                    return gate.words
        return ""

    def passes(self, room: Room, kind: Kind | None, lab: Waiting, start: datetime, end: datetime) -> bool:
        """Would the lab be in nobody's way there if it started later? By what is known now of who is there then."""
        if any(hold.node_id in ("", room.node.id) and hold.start < end and start < hold.until for hold in self._closing):
            return False
        if lab.hold_id and self.holds[lab.hold_id].start > start:
            return False
        own = self.own(lab)
        return all(
            max(gate.slack, 0) + sum(gate.left.get(hold, 0) for hold in own) >= lab.asked.gpus
            for gate in self.gates
            if kind and gate.at < end and start < gate.until and gate.covers(room, kind)
        )

    def take(self, room: Room, kind: Kind | None, gpus: int, end: datetime, own: tuple[str, ...]) -> None:
        """A lab starts there and ends by then."""
        for gate in self.gates:
            if kind and gate.at < end and gate.covers(room, kind):
                rest = gpus
                for hold in own:
                    part = min(rest, gate.left.get(hold, 0))
                    rest -= part
                    if part:
                        gate.left[hold] -= part
                gate.slack -= rest


def _gates_at(at: datetime, holds: list[Hold], rooms: list[Room]) -> Iterator[Gate]:
    wanted = [(hold, sliced, count) for hold in holds for sliced, count in ((False, hold.gpus), (True, hold.slices))]
    active = [(hold, sliced, count) for hold, sliced, count in wanted if not hold.closes and count and hold.start <= at < hold.until]
    for node_id, model, sliced in sorted({(hold.node_id, hold.model, sliced) for hold, sliced, _ in active}):
        within = [(hold, count) for hold, kind, count in active if kind == sliced and node_id in ("", hold.node_id) and model in ("", hold.model)]
        words = " and ".join(hold.words for hold, _ in within)
        gate = Gate(at, node_id, model, sliced, 0, {}, words, max(hold.until for hold, _ in within))
        gate.left = {hold.id: max(count - _own_use(hold, gate, rooms, at), 0) for hold, count in within}
        gate.slack = sum(_open_at(room, gate, at) for room in rooms) - sum(gate.left.values())
        yield gate


def _open_at(room: Room, gate: Gate, at: datetime) -> int:
    """Cards of the scope that nobody uses then, by the limits of what runs."""
    if room.node.closed:
        return 0
    free = sum(room.free_for(kind, "") for kind in room.total if gate.covers(room, kind))
    kept = sum(gate.covers(room, (card.model, card.slice)) for cards in room.kept.values() for card in cards)
    return free + kept + sum(len(lab.gpu_uuids) for lab, kind in room.running if gate.covers(room, kind) and (lab.notice_until or lab.ends_at) <= at)


def _own_use(hold: Hold, gate: Gate, rooms: list[Room], at: datetime) -> int:
    """Cards of the hold that its own labs and people use then."""
    return sum(
        len(lab.gpu_uuids)
        for room in rooms
        for lab, kind in room.running
        if (lab.hold_id == hold.id or lab.owner_id in hold.people) and gate.covers(room, kind) and (lab.notice_until or lab.ends_at) > at
    )
