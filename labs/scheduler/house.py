"""The whole house while a plan is made: rooms, windows, who holds what, what was decided so far."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from labs.scheduler.fit import Spot, beside_bookings, impossible, may_run_on, most_cards, nearest, spot_best
from labs.scheduler.gates import Gates
from labs.scheduler.ledger import Ledger
from labs.scheduler.rooms import Booking, Kind, Room, kind_suits, kinds_for, opening, room_book, room_take, rooms_of
from labs.scheduler.snapshot import Placement, Reservation, Snapshot, Waiting
from labs.scheduler.stock import Stock
from labs.scheduler.words import KEPT_CARDS, KEPT_MEMORY, NO_NODE, cards_short, closed_words, held_words, kept_short, set_aside_words, space_short

Choices = Sequence[tuple[Room, Kind | None]]


class Opening(NamedTuple):
    """When and where a lab could start; the soonest, then the smallest node."""

    at: datetime
    total: int
    node_id: str
    room: Room
    kind: Kind | None


class Suit(NamedTuple):
    """Nodes that hold a lab's image and are open, and what is wrong with the others."""

    rooms: list[Room]
    nodes: frozenset[str]
    others: tuple[str, ...]


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
        self._stock = Stock(self.rooms)
        self._suited: dict[tuple[object, ...], Suit] = {}
        self._able: dict[tuple[object, ...], list[tuple[int, int]]] = {}  # wish for cards -> cores and memory of nodes that have them
        self._never: dict[tuple[object, ...], str] = {}
        self._ends: dict[float, datetime] = {}

    def end(self, lab: Waiting) -> datetime:
        """When the lab would end if it started now: at its limit, or with its class."""
        if lab.hold_id in self.gates.holds:
            return self.gates.holds[lab.hold_id].until
        hours = lab.asked.hours
        return self._ends.get(hours) or self._ends.setdefault(hours, self.now + timedelta(hours=hours))

    def suited(self, lab: Waiting) -> Suit:
        """Nodes that hold the image and the data and are open; and what is wrong with the others. Remembers the images to fetch."""
        key = (lab.image_id, lab.image_runtime, lab.on_node, lab.hold_id, lab.lacks)
        found = self._suited.get(key)
        if found is None:
            hold = self.gates.holds.get(lab.hold_id)
            rooms = [room for room in self.rooms if may_run_on(room.node, lab) and (hold is None or hold.node_id in ("", room.node.id))]
            found = self._suited[key] = self._open(rooms, lab)
        return found

    def impossible(self, lab: Waiting) -> str:
        """Words when no node could serve the wish even if it were empty; most often the first one could."""
        asked, wish = lab.asked, (lab.asked.gpus, lab.gpu_model, lab.wants_slice, lab.image_runtime, lab.on_node)
        able = self._able.get(wish)
        if able is None:
            nodes = (room.node for room in self.rooms if may_run_on(room.node, lab) and most_cards(room.node, lab) >= asked.gpus)
            able = self._able[wish] = list(dict.fromkeys((node.cpus, node.memory_mib) for node in nodes))
        for cpus, memory in able:
            if lab.placed or (cpus >= asked.cpus and memory >= asked.memory_mib):
                return ""
        size = (wish, asked.cpus, asked.memory_mib, lab.placed)
        return self._never.get(size) or self._never.setdefault(size, impossible(lab, self.snapshot.nodes))

    def place(self, lab: Waiting, spot: Spot) -> None:
        """The lab starts there."""
        end, room, kind = self.end(lab), spot.room, spot.kind
        cards = nearest(room.cards_for(kind, lab.lab_id), lab.asked.gpus) if kind else []
        over = not self.ledger.inside(lab)
        room_take(room, lab, cards, kind, end)
        if kind:
            self._stock.taken(room, kind, len(cards))
        self.gates.take(room, kind, len(cards), end, self.gates.own(lab))
        self.ledger.take(lab)
        self.placements.append(Placement(lab.lab_id, room.node.id, tuple(card.uuid for card in cards), over))

    def spot(self, lab: Waiting, choices: Choices) -> Spot | None:
        """Where it can start now."""
        return spot_best(lab, choices, self.gates, self.end(lab))

    def without_cards(self, lab: Waiting) -> tuple[str, ...]:
        """Every reason, when no suited node has the cards."""
        suit = self.suited(lab)
        if not suit.rooms:
            return suit.others or (NO_NODE,)
        away = [room.node.away_words for room in suit.rooms if any(kind_suits((card.model, card.slice), lab) for card in room.node.away)]
        return (cards_short(lab, self._stock.most(lab, suit.nodes)), *away, *suit.others)

    def short_of(self, lab: Waiting) -> str:
        """Why a long lab leaves the last free cards to shorter ones; empty where it need not."""
        policy, asked = self.snapshot.policy, lab.asked
        if not asked.gpus or lab.wants_slice or lab.hold_id or lab.placed or lab.priority > 0:
            return ""
        free, total = self._stock.whole(lab)
        kept = min(policy.left_free(asked.hours, total), total - asked.gpus)  # one as large as the house may have it all
        if kept <= 0 or free - asked.gpus >= kept:
            return ""
        shorter = max((band for band in policy.bands_h if band < asked.hours), default=0)
        return kept_short(shorter, kept, free)

    def choices(self, lab: Waiting) -> Choices:
        """Suited nodes that have the cards now."""
        suit = self.suited(lab)
        return self._stock.choices(lab, suit.nodes) if lab.asked.gpus else [(room, None) for room in suit.rooms]

    def soonest(self, lab: Waiting) -> Opening | None:
        """Where it can start first by the limits of what runs; None if nothing is known that would let it."""
        end = self.end(lab)
        return min((found for room in self.suited(lab).rooms for found in self._openings(room, lab, end)), key=lambda one: one[:3], default=None)

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

    def promise(self, lab: Waiting, room: Room, kind: Kind) -> bool:
        """Keep what comes free there; False if that will never be enough."""
        at = opening(room, lab, kind, self.now, self.end(lab))
        if at is not None:
            self.keep(lab, room, kind, at)
        return at is not None

    def keep(self, lab: Waiting, room: Room, kind: Kind | None, at: datetime) -> None:
        """A reservation there, from then on, for its whole limit."""
        asked, until = lab.asked, at + (self.end(lab) - self.now)
        cpus, memory = (0, 0) if lab.placed else (asked.cpus, asked.memory_mib)
        room_book(room, Booking(lab.lab_id, at, until, kind, asked.gpus, cpus, memory))
        self.reservations.append(Reservation(lab.lab_id, room.node.id, kind[0] if kind else "", asked.gpus, at))

    def shortage(self, lab: Waiting, choices: Choices) -> tuple[str, ...]:
        """Every reason why nothing fits now, where cards are free."""
        wide = [(room, kind) for room, kind in choices if lab.placed or (room.cpus >= lab.asked.cpus and room.memory_mib >= lab.asked.memory_mib)]
        barred = dict.fromkeys(words for room, kind in wide for words in self._barred(room, kind, lab))
        missing = (space_short(lab, [room for room, _ in choices]),) if choices and not wide else ()
        return (*missing, *barred, *self.suited(lab).others) or (NO_NODE,)

    def _barred(self, room: Room, kind: Kind | None, lab: Waiting) -> Iterator[str]:
        """What stands between the lab and what is free there."""
        end, asked = self.end(lab), lab.asked
        if closed := self.gates.closed(room, end):
            yield set_aside_words(room, closed)
        if held := self.gates.against(room, kind, asked.gpus, end, self.gates.own(lab)):
            yield held_words(held)
        if not beside_bookings(room, kind, lab, end):
            cards_only = replace(lab, placed=True)
            yield KEPT_CARDS if kind and not beside_bookings(room, kind, cards_only, end) else KEPT_MEMORY

    def _open(self, rooms: list[Room], lab: Waiting) -> Suit:
        suited: list[Room] = []
        reasons: list[str] = []
        lacks = dict(lab.lacks)
        for room in rooms:
            node = room.node
            image = self.snapshot.images.get((node.id, lab.image_id))
            if node.closed:
                reasons.append(closed_words(room))
            elif node.id in lacks:
                reasons.append(lacks[node.id])
            elif image is None or not image.present:
                self.fetch[(node.id, lab.image_id)] = None
                reasons.append(image.words if image else "The image is about to be prepared.")
            else:
                suited.append(room)
        return Suit(suited, frozenset(room.node.id for room in suited), tuple(dict.fromkeys(reasons)))
