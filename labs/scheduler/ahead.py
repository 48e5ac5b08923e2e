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

Shape = tuple[object, ...]
Span = Callable[[Waiting | Running], timedelta]


class Seat:
    """A node in the run ahead. `freed` is the number of the last end there."""

    __slots__ = ("bookings", "cpus", "free", "freed", "memory_mib", "room")

    def __init__(self, room: Room) -> None:
        self.room, self.cpus, self.memory_mib, self.freed = room, room.cpus, room.memory_mib, 0
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


class Ahead:
    """One run. Labs that something unknown holds up never start in it."""

    def __init__(self, house: House, line: Sequence[Waiting], span: Span) -> None:
        self._house, self._span = house, span
        self._line = [lab for lab in line if not lab.blocked and (not lab.hold_id or lab.hold_id in house.gates.holds)]
        self._seats = {room.node.id: Seat(room) for room in house.rooms}
        self._standing = Standing(house.ledger, line)
        self._booked = {booking.lab_id: seat for seat in self._seats.values() for booking in seat.room.bookings}
        self._started: dict[str, datetime] = {}
        self._stuck: dict[Shape, int] = {}  # shape -> the number of the end after which it last did not fit
        self._suited: dict[Shape, list[tuple[Seat, list[Kind | None]]]] = {}
        self._round = 0
        self._numbers = count()
        self._ends = [End(at, next(self._numbers)) for at in house.gates.moments]
        for seat in self._seats.values():
            self._ends += self._ends_of(seat)
        heapify(self._ends)

    def starts(self) -> dict[str, datetime]:
        """When each lab of the line starts."""
        line = self._line
        while self._ends and line:
            now = self._ends[0].at
            self._round += 1
            while self._ends and self._ends[0].at <= now:
                self._end(heappop(self._ends))
            line = [lab for lab in line if not self._start(lab, now)]
        return self._started

    def _ends_of(self, seat: Seat) -> Iterator[End]:
        """What runs there now, by when it is expected to end."""
        now = self._house.now
        for release in seat.room.releases:
            sure = release.lab is None or (isinstance(release.lab, Running) and release.lab.notice_until)
            at = release.at if sure or release.lab is None else min(max(now + self._span(release.lab), now), release.at)
            yield End(at, next(self._numbers), seat, release.kind, release.gpus, release.cpus, release.memory_mib, release.lab)

    def _end(self, end: End) -> None:
        seat = end.seat
        if seat is None:
            self._stuck.clear()
            return
        seat.freed = self._round
        if end.kind:
            seat.free[end.kind] += end.gpus
        seat.cpus += end.cpus
        seat.memory_mib += end.memory_mib
        if end.lab:
            self._standing.give(end.lab)

    def _start(self, lab: Waiting, now: datetime) -> bool:
        if not self._standing.may(lab):
            return False
        asked = lab.asked
        size = (asked.gpus, asked.cpus, asked.memory_mib, asked.hours, lab.gpu_model, lab.wants_slice)
        shape = (size, lab.image_id, lab.image_runtime, lab.on_node, lab.placed, lab.hold_id, lab.lab_id if lab.lab_id in self._booked else "")
        since = self._stuck.get(shape, -1)
        for seat, kinds in self._places(lab, shape):
            if seat.freed > since:
                for kind in kinds:
                    if self._fits(seat, kind, lab, now):
                        self._take(seat, kind, lab, now)
                        return True
        self._stuck[shape] = self._round
        return False

    def _places(self, lab: Waiting, shape: Shape) -> list[tuple[Seat, list[Kind | None]]]:
        if shape not in self._suited:
            gpus, found = lab.asked.gpus, []
            for room in self._house.suited(lab)[0]:
                kinds: list[Kind | None] = [kind for kind in kinds_for(room, lab) if room.total[kind] >= gpus] if gpus else [None]
                found.append((self._seats[room.node.id], kinds))
            self._suited[shape] = found
        return self._suited[shape]

    def _fits(self, seat: Seat, kind: Kind | None, lab: Waiting, now: datetime) -> bool:
        asked = lab.asked
        if kind and seat.free[kind] < asked.gpus:
            return False
        if not lab.placed and (seat.cpus < asked.cpus or seat.memory_mib < asked.memory_mib):
            return False
        end = now + timedelta(hours=asked.hours)
        if any(not self._leaves(seat, kind, lab, booking) for booking in seat.bookings.values() if booking.at < end):
            return False
        return self._house.gates.passes(seat.room, kind, lab, now, end)

    def _leaves(self, seat: Seat, kind: Kind | None, lab: Waiting, booking: Booking) -> bool:
        """Is enough left there for another lab's booking?"""
        return kind is None or booking.kind != kind or booking.lab_id == lab.lab_id or seat.free[kind] - booking.gpus >= lab.asked.gpus

    def _take(self, seat: Seat, kind: Kind | None, lab: Waiting, now: datetime) -> None:
        asked = lab.asked
        self._started[lab.lab_id] = now
        if kind:
            seat.free[kind] -= asked.gpus
        cpus, memory = (0, 0) if lab.placed else (asked.cpus, asked.memory_mib)
        seat.cpus -= cpus
        seat.memory_mib -= memory
        booked = self._booked.get(lab.lab_id)
        if booked:
            del booked.bookings[lab.lab_id]
            booked.freed = self._round
        self._standing.take(lab)
        at = now + max(self._span(lab), timedelta(seconds=1))
        heappush(self._ends, End(at, next(self._numbers), seat, kind, asked.gpus, cpus, memory, lab))
