"""A node while a plan is made: what is free on it, when the rest comes free, and what is booked for later."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from labs.scheduler.snapshot import Card, NodeView, Running, Snapshot, Waiting

#: What cards are counted by: model and MIG profile (empty for whole cards).
Kind = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Release:
    """What comes free when a lab ends."""

    at: datetime
    kind: Kind | None
    gpus: int
    cpus: int
    memory_mib: int
    lab: Running | Waiting | None = None  # whose it is; nobody's may come free at any moment, and no lab builds on that


@dataclass(slots=True)
class Booking:
    """What is kept for a waiting lab from `at` on, and what is left for others beside it then."""

    lab_id: str
    at: datetime
    until: datetime
    kind: Kind | None
    gpus: int
    cpus: int
    memory_mib: int
    spare_gpus: int = 0
    spare_cpus: int = 0
    spare_memory_mib: int = 0

    def spend(self, kind: Kind | None, gpus: int, cpus: int, memory_mib: int) -> None:
        """Somebody else uses this much at `at`."""
        self.spare_gpus -= gpus if kind == self.kind else 0
        self.spare_cpus -= cpus
        self.spare_memory_mib -= memory_mib


@dataclass(slots=True, eq=False)
class Room:
    """A node while the plan is made; each is like itself alone."""

    node: NodeView
    cpus: int
    memory_mib: int
    total: dict[Kind, int] = field(default_factory=dict)
    free: dict[Kind, list[Card]] = field(default_factory=dict)
    kept: dict[str, list[Card]] = field(default_factory=dict)  # lab -> free cards that only it may take
    releases: list[Release] = field(default_factory=list)
    running: list[tuple[Running, Kind]] = field(default_factory=list)  # with cards
    bookings: list[Booking] = field(default_factory=list)
    suits: dict[tuple[str, str], list[Kind]] = field(default_factory=dict)  # wish for model and slice -> kinds

    def free_for(self, kind: Kind, lab_id: str) -> int:
        """Free cards of that kind that the lab may take."""
        mine = sum((card.model, card.slice) == kind for card in self.kept.get(lab_id, ())) if self.kept else 0
        return len(self.free.get(kind, ())) + mine

    def cards_for(self, kind: Kind, lab_id: str) -> list[Card]:
        """Those cards, the ones kept for it first."""
        mine = [card for card in self.kept.get(lab_id, ()) if (card.model, card.slice) == kind]
        return mine + self.free.get(kind, [])


def rooms_of(snapshot: Snapshot, now: datetime) -> list[Room]:
    """Every node, with its cards and what runs there."""
    rooms: list[Room] = []
    where: dict[str, tuple[Room, Kind]] = {}
    for node in snapshot.nodes:
        room = Room(node, node.free_cpus, node.free_memory_mib)
        rooms.append(room)
        for card in node.cards:
            _card_into(room, card, where)
    by_node = {room.node.id: room for room in rooms}
    for lab in snapshot.running:
        if lab.node_id in by_node:
            _running_into(by_node[lab.node_id], lab, where, now)
    for room, kind in where.values():  # busy, and nobody says until when: any moment
        room.releases.append(Release(now, kind, 1, 0, 0))
    for room in rooms:
        _rest_into(room, now)
    return rooms


def _card_into(room: Room, card: Card, where: dict[str, tuple[Room, Kind]]) -> None:
    kind = (card.model, card.slice)
    room.total[kind] = room.total.get(kind, 0) + 1
    if not card.free:
        where[card.uuid] = (room, kind)
    elif card.kept_for:
        room.kept.setdefault(card.kept_for, []).append(card)
    else:
        room.free.setdefault(kind, []).append(card)


def _running_into(room: Room, lab: Running, where: dict[str, tuple[Room, Kind]], now: datetime) -> None:
    cards = [where.pop(uuid) for uuid in lab.gpu_uuids if uuid in where]
    kind = cards[0][1] if cards else None
    room.releases.append(Release(max(lab.notice_until or lab.ends_at, now), kind, len(cards), lab.cpus, lab.memory_mib, lab))
    if kind:
        room.running.append((lab, kind))


def _rest_into(room: Room, now: datetime) -> None:
    """Cores and memory that are used by nobody who is known: they too may come free at any moment."""
    cpus = room.node.cpus - room.cpus - sum(release.cpus for release in room.releases)
    memory = room.node.memory_mib - room.memory_mib - sum(release.memory_mib for release in room.releases)
    if cpus > 0 or memory > 0:
        room.releases.append(Release(now, None, 0, max(cpus, 0), max(memory, 0)))


def kind_suits(kind: Kind, lab: Waiting) -> bool:
    """A whole card or a slice, as the lab asks, and of its model."""
    model, profile = kind
    return (not lab.gpu_model or model == lab.gpu_model) and bool(profile) == bool(lab.wants_slice) and lab.wants_slice in ("", "any", profile)


def kinds_for(room: Room, lab: Waiting) -> list[Kind]:
    """The kinds of card on the node that suit the lab, free or not."""
    wish = (lab.gpu_model, lab.wants_slice)
    found = room.suits.get(wish)
    if found is None:
        found = room.suits[wish] = [kind for kind in room.total if kind_suits(kind, lab)]
    return found


def room_take(room: Room, lab: Waiting, cards: list[Card], kind: Kind | None, end: datetime) -> None:
    """The lab starts there now and ends by then."""
    taken = {card.uuid for card in cards}
    if kind:
        room.free[kind] = [card for card in room.free.get(kind, ()) if card.uuid not in taken]
        room.kept.pop(lab.lab_id, None)
    cpus, memory = (0, 0) if lab.placed else (lab.asked.cpus, lab.asked.memory_mib)
    room.cpus -= cpus
    room.memory_mib -= memory
    room.releases.append(Release(end, kind, len(cards), cpus, memory, lab))
    for booking in room.bookings:
        if booking.at < end:
            booking.spend(kind, len(cards), cpus, memory)


def room_book(room: Room, booking: Booking) -> None:
    """Keep it, and work out what is left beside it."""
    gpus, cpus, memory = available(room, booking.kind, booking.at, booking.lab_id)
    booking.spare_gpus, booking.spare_cpus, booking.spare_memory_mib = gpus - booking.gpus, cpus - booking.cpus, memory - booking.memory_mib
    for other in room.bookings:
        if booking.at <= other.at < booking.until:
            other.spend(booking.kind, booking.gpus, booking.cpus, booking.memory_mib)
    room.bookings.append(booking)


def available(room: Room, kind: Kind | None, at: datetime, lab_id: str) -> tuple[int, int, int]:
    """Cards of the kind, cores and memory that are surely free at that moment, by the limits of what runs and what is booked."""
    gpus, cpus, memory = room.free_for(kind, lab_id) if kind else 0, room.cpus, room.memory_mib
    for when, more_gpus, more_cpus, more_memory in _changes(room, kind, sure=True):
        if when <= at:
            gpus, cpus, memory = gpus + more_gpus, cpus + more_cpus, memory + more_memory
    return gpus, cpus, memory


def opening(room: Room, lab: Waiting, kind: Kind | None, start: datetime, end: datetime) -> datetime | None:
    """The earliest moment from `start` on at which it fits for as long as from `start` to `end`; None if never."""
    asked, span = lab.asked, end - start
    need_cpus, need_memory = (0, 0) if lab.placed else (asked.cpus, asked.memory_mib)
    gpus, cpus, memory = room.free_for(kind, lab.lab_id) if kind else 0, room.cpus, room.memory_mib
    fits = gpus >= asked.gpus and (lab.placed or (cpus >= need_cpus and memory >= need_memory))
    found = start if fits else None
    for at, more_gpus, more_cpus, more_memory in sorted(_changes(room, kind)):
        if found is not None and at >= found + span:
            return found
        gpus, cpus, memory = gpus + more_gpus, cpus + more_cpus, memory + more_memory
        fits = gpus >= asked.gpus and (lab.placed or (cpus >= need_cpus and memory >= need_memory))
        found = (found or max(at, start)) if fits else None
    return found


def _changes(room: Room, kind: Kind | None, *, sure: bool = False) -> Iterator[tuple[datetime, int, int, int]]:
    for release in room.releases:
        if release.lab or not sure:
            yield release.at, release.gpus if release.kind == kind else 0, release.cpus, release.memory_mib
    for booking in room.bookings:
        gpus = booking.gpus if booking.kind == kind else 0
        yield booking.at, -gpus, -booking.cpus, -booking.memory_mib
        yield booking.until, gpus, booking.cpus, booking.memory_mib
