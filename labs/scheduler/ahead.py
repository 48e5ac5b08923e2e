"""The queue run ahead: labs end one after the other, and the first in line that fits starts. Counts only, no cards."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush
from itertools import count
from typing import NamedTuple

from labs.scheduler.house import House
from labs.scheduler.rooms import Booking, Kind, Room, kinds_for
from labs.scheduler.snapshot import Running, Waiting
from labs.scheduler.standing import Standing

Span = Callable[[Waiting | Running], timedelta]


class Seat:
    """A node in the run ahead."""

    __slots__ = ("bookings", "cpus", "free", "memory_mib", "room")

    def __init__(self, room: Room) -> None:
        self.room, self.cpus, self.memory_mib = room, room.cpus, room.memory_mib
        self.free = {kind: len(room.free.get(kind, ())) for kind in room.total}
        self.bookings: dict[str, Booking] = {booking.lab_id: booking for booking in room.bookings}


class End(NamedTuple):
    """A lab ends, or (without a seat) a window begins or ends."""

    at: datetime
    number: int
    seat: Seat | None = None
    kind: Kind | None = None
    gpus: int = 0
    cpus: int = 0
    memory_mib: int = 0
    lab: Running | Waiting | None = None


class Ticket(NamedTuple):
    """A waiting lab in the run ahead, with all that is asked of it again and again."""

    lab: Waiting
    gpus: int
    cpus: int
    memory_mib: int
    limit: timedelta
    shape: int  # labs of one shape fit, or do not, alike
    places: list[tuple[Seat, list[Kind | None]]]
    seats: frozenset[Seat | None]


class Ahead:
    """One run. Labs that something unknown holds up never start in it."""

    def __init__(self, house: House, line: Sequence[Waiting], span: Span) -> None:
        self._house, self._span = house, span
        self._seats = {room.node.id: Seat(room) for room in house.rooms}
        self._booked = {booking.lab_id: seat for seat in self._seats.values() for booking in seat.room.bookings}
        self._standing = Standing({lab.owner_id: house.ledger.lefts(lab.owner_id) for lab in line})
        self._tickets = self._line([lab for lab in line if not lab.blocked and (not lab.hold_id or lab.hold_id in house.gates.holds)])
        self._started: dict[str, datetime] = {}
        self._stuck: dict[int, set[Seat | None]] = {}  # shapes that fit nowhere, but perhaps on these nodes, where something has ended since
        self._numbers = count()
        self._ends = [End(at, next(self._numbers)) for at in house.gates.moments]
        for seat in self._seats.values():
            self._ends += self._ends_of(seat)
        heapify(self._ends)

    def starts(self) -> dict[str, datetime]:
        """When each lab of the line starts."""
        line = self._tickets
        while self._ends and line:
            now = self._ends[0].at
            freed = set()
            while self._ends and self._ends[0].at <= now:
                freed.add(self._end(heappop(self._ends)))
            started = {ticket.lab.lab_id for ticket in line if self._start(ticket, now, freed)}
            if started:
                line = [ticket for ticket in line if ticket.lab.lab_id not in started]
        return self._started

    def _line(self, labs: Sequence[Waiting]) -> list[Ticket]:
        shapes: dict[tuple[object, ...], tuple[int, list[tuple[Seat, list[Kind | None]]], frozenset[Seat | None]]] = {}
        tickets = []
        for lab in labs:
            asked, own = lab.asked, lab.lab_id if lab.lab_id in self._booked else ""
            cpus, memory = (0, 0) if lab.placed else (asked.cpus, asked.memory_mib)
            where = (lab.image_id, lab.image_runtime, lab.on_node, lab.lacks, lab.hold_id, own)
            key = (asked.gpus, cpus, memory, asked.hours, lab.gpu_model, lab.wants_slice, *where)
            if key not in shapes:
                places = self._places(lab)
                shapes[key] = (len(shapes), places, frozenset(seat for seat, _ in places))
            tickets.append(Ticket(lab, asked.gpus, cpus, memory, timedelta(hours=asked.hours), *shapes[key]))
        return tickets

    def _places(self, lab: Waiting) -> list[tuple[Seat, list[Kind | None]]]:
        """Where it could ever run."""
        gpus, found = lab.asked.gpus, []
        for room in self._house.suited(lab).rooms:
            kinds: list[Kind | None] = [kind for kind in kinds_for(room, lab) if room.total[kind] >= gpus] if gpus else [None]
            if kinds:
                found.append((self._seats[room.node.id], kinds))
        return found

    def _ends_of(self, seat: Seat) -> Iterator[End]:
        """What runs there now, by when it is expected to end."""
        now = self._house.now
        for release in seat.room.releases:
            lab, at = release.lab, release.at
            if lab is not None and not (isinstance(lab, Running) and lab.notice_until):
                at = min(max(now + self._span(lab), now), at)
            yield End(at, next(self._numbers), seat, release.kind, release.gpus, release.cpus, release.memory_mib, lab)

    def _end(self, end: End) -> Seat | None:
        """A lab ends there; None when a window begins or ends, which may concern every node."""
        seat = end.seat
        if seat is None:
            self._stuck.clear()
            return None
        if end.kind:
            seat.free[end.kind] += end.gpus
        seat.cpus += end.cpus
        seat.memory_mib += end.memory_mib
        if end.lab:
            self._standing.give(end.lab)
        return seat

    def _start(self, ticket: Ticket, now: datetime, freed: set[Seat | None]) -> bool:
        """Start the lab if it fits. A shape that was stuck is tried only where something has ended since."""
        shape, since = ticket.shape, self._stuck.get(ticket.shape)
        if since is not None and ticket.seats.isdisjoint(freed) and not since:
            return False
        if not self._standing.may(ticket.lab):
            if since is not None:
                since |= freed
            return False
        fresh = freed if since is None else since | freed
        for seat, kinds in ticket.places:
            if since is not None and seat not in fresh:
                continue
            for kind in kinds:
                if self._fits(seat, kind, ticket, now):
                    self._take(seat, kind, ticket, now)
                    return True
        self._stuck[shape] = set()
        return False

    def _fits(self, seat: Seat, kind: Kind | None, ticket: Ticket, now: datetime) -> bool:
        if (kind and seat.free[kind] < ticket.gpus) or seat.cpus < ticket.cpus or seat.memory_mib < ticket.memory_mib:
            return False
        end = now + ticket.limit
        for booking in seat.bookings.values():
            other = booking.kind == kind and booking.lab_id != ticket.lab.lab_id and booking.at < end
            if kind and other and seat.free[kind] - booking.gpus < ticket.gpus:
                return False
        return self._house.gates.passes(seat.room, kind, ticket.lab, now, end)

    def _take(self, seat: Seat, kind: Kind | None, ticket: Ticket, now: datetime) -> None:
        lab = ticket.lab
        self._started[lab.lab_id] = now
        if kind:
            seat.free[kind] -= ticket.gpus
        seat.cpus -= ticket.cpus
        seat.memory_mib -= ticket.memory_mib
        booked = self._booked.get(lab.lab_id)
        if booked:
            del booked.bookings[lab.lab_id]
            self._stuck.clear()
        self._standing.take(lab)
        at = now + max(self._span(lab), timedelta(seconds=1))
        heappush(self._ends, End(at, next(self._numbers), seat, kind, ticket.gpus, ticket.cpus, ticket.memory_mib, lab))
