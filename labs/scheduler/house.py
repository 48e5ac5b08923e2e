"""The whole house while a plan is made: rooms, windows, who holds what, what was decided so far."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from labs.scheduler.fit import Spot, beside_bookings, may_run_on, nearest, spot_best
from labs.scheduler.gates import Gates
from labs.scheduler.ledger import Ledger
from labs.scheduler.rooms import Booking, Kind, Room, kinds_for, opening, room_book, room_take, rooms_of
from labs.scheduler.snapshot import Placement, Reservation, Snapshot, Waiting
from labs.scheduler.words import KEPT_CARDS, KEPT_MEMORY, NO_NODE, closed_words, held_words, set_aside_words, shortage_words


class Opening(NamedTuple):
    """When and where a lab could start; the soonest, then the smallest node."""

    at: datetime
    total: int
    node_id: str
    room: Room
    kind: Kind | None


class House:
    """What is free, and what has been given away and kept."""

    def __init__(self, snapshot: Snapshot, now: datetime) -> None:
        self.snapshot, self.now = snapshot, now
        self.rooms = rooms_of(snapshot, now)
        longest = max((lab.asked.hours for lab in snapshot.waiting), default=0)
        self.gates = Gates(snapshot.holds, self.rooms, now, now + timedelta(hours=longest))
        self.ledger = Ledger(snapshot)
        self.placements: list[Placement] = []
        self.reservations: list[Reservation] = []
        self.fetch: dict[tuple[str, int], None] = {}
        self._suited: dict[tuple[object, ...], tuple[list[Room], list[str]]] = {}
        self._ends: dict[float, datetime] = {}

    def end(self, lab: Waiting) -> datetime:
        """When the lab would end if it started now: at its limit, or with its class."""
        if lab.hold_id in self.gates.holds:
            return self.gates.holds[lab.hold_id].until
        hours = lab.asked.hours
        return self._ends.get(hours) or self._ends.setdefault(hours, self.now + timedelta(hours=hours))

    def suited(self, lab: Waiting) -> tuple[list[Room], list[str]]:
        """Nodes that hold the image and are open; and what is wrong with the others. Remembers the images to fetch."""
        hold = self.gates.holds.get(lab.hold_id)
        key = (lab.image_id, lab.image_runtime, lab.on_node, lab.hold_id)
        if key not in self._suited:
            rooms = [room for room in self.rooms if may_run_on(room.node, lab) and (hold is None or hold.node_id in ("", room.node.id))]
            self._suited[key] = self._open(rooms, lab.image_id)
        return self._suited[key]

    def place(self, lab: Waiting, spot: Spot) -> None:
        """The lab starts there."""
        end, room, kind = self.end(lab), spot.room, spot.kind
        cards = nearest(room.cards_for(kind, lab.lab_id), lab.asked.gpus) if kind else []
        over = not self.ledger.inside(lab)
        room_take(room, lab, cards, kind, end)
        self.gates.take(room, kind, len(cards), end, self.gates.own(lab))
        self.ledger.take(lab)
        self.placements.append(Placement(lab.lab_id, room.node.id, tuple(card.uuid for card in cards), over))

    def spot(self, lab: Waiting) -> Spot | None:
        """Where it can start now."""
        return spot_best(lab, self.suited(lab)[0], self.gates, self.end(lab))

    def soonest(self, lab: Waiting) -> Opening | None:
        """Where it can start first by the limits of what runs; None if nothing is known that would let it."""
        end = self.end(lab)
        return min((found for room in self.suited(lab)[0] for found in self._openings(room, lab, end)), key=lambda one: one[:3], default=None)

    def _openings(self, room: Room, lab: Waiting, end: datetime) -> Iterator[Opening]:
        for kind in kinds_for(room, lab) if lab.asked.gpus else (None,):
            total = room.total[kind] if kind else 0
            at = opening(room, lab, kind, self.now, end) if total >= lab.asked.gpus else None
            if at is not None and not self.gates.closed(room, at + (end - self.now)):
                yield Opening(at, total, room.node.id, room, kind)

    def book(self, lab: Waiting) -> None:
        """Keep what it needs on the node where it can start first."""
        found = self.soonest(lab)
        if found:
            self.keep(lab, found.room, found.kind, found.at)

    def keep(self, lab: Waiting, room: Room, kind: Kind | None, at: datetime) -> None:
        """A reservation there, from then on, for its whole limit."""
        asked, until = lab.asked, at + (self.end(lab) - self.now)
        cpus, memory = (0, 0) if lab.placed else (asked.cpus, asked.memory_mib)
        room_book(room, Booking(lab.lab_id, at, until, kind, asked.gpus, cpus, memory))
        self.reservations.append(Reservation(lab.lab_id, room.node.id, kind[0] if kind else "", asked.gpus, at))

    def shortage(self, lab: Waiting) -> tuple[str, ...]:
        """Every reason why nothing fits now."""
        rooms, others = self.suited(lab)
        if not rooms:
            return tuple(others) or (NO_NODE,)
        missing = shortage_words(lab, rooms)
        found = [missing] if missing else list(dict.fromkeys(words for room in rooms for words in self._barred(room, lab)))
        return (*(found or [NO_NODE]), *others)

    def _barred(self, room: Room, lab: Waiting) -> list[str]:
        """What stands between the lab and what is free there."""
        end, asked = self.end(lab), lab.asked
        if not lab.placed and (room.cpus < asked.cpus or room.memory_mib < asked.memory_mib):
            return []
        kinds = [kind for kind in kinds_for(room, lab) if room.free_for(kind, lab.lab_id) >= asked.gpus] if asked.gpus else [None]
        found = []
        for kind in kinds:
            closed, held = self.gates.closed(room, end), self.gates.against(room, kind, asked.gpus, end, self.gates.own(lab))
            found += [set_aside_words(room, closed)] if closed else []
            found += [held_words(held)] if held else []
            if not beside_bookings(room, kind, lab, end):
                alone = replace(lab, placed=True)  # cards only
                found.append(KEPT_CARDS if kind and not beside_bookings(room, kind, alone, end) else KEPT_MEMORY)
        return found

    def _open(self, rooms: list[Room], image_id: int) -> tuple[list[Room], list[str]]:
        suited, reasons = [], []
        for room in rooms:
            node = room.node
            image = self.snapshot.images.get((node.id, image_id))
            if node.closed:
                reasons.append(closed_words(room))
            elif image is None or not image.present:
                self.fetch[(node.id, image_id)] = None
                reasons.append(image.words if image else "The image is about to be prepared.")
            else:
                suited.append(room)
        return suited, list(dict.fromkeys(reasons))
