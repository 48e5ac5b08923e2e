"""Which labs over quota give their cards back to one that is inside its quota and has waited."""

from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from typing import NamedTuple

from labs.scheduler.gates import Gates
from labs.scheduler.rooms import Kind, Room, kind_suits, kinds_for
from labs.scheduler.snapshot import Running, Snapshot, Waiting


class Taking(NamedTuple):
    """Labs on one node whose cards suffice; the smallest loses the least work."""

    lost: float  # share x seconds
    node_id: str
    room: Room
    kind: Kind
    labs: tuple[Running, ...]


@dataclass(slots=True)
class _Claims:
    """What was taken from whom in this plan."""

    labs: set[str]
    by_group: dict[int, float]


class Reclaimer:
    """Finds whom to take cards from, each lab once."""

    def __init__(self, snapshot: Snapshot, rooms: Sequence[Room], gates: Gates, now: datetime) -> None:
        self._snapshot, self._gates, self._now = snapshot, gates, now
        self._claims = _Claims(set(), {})
        self._most: dict[Kind, int] | None = None
        self._may_lose = inf if snapshot.may_lose_s is None else snapshot.may_lose_s
        self._patient = now - timedelta(seconds=snapshot.policy.reclaim_after_s)
        self._oldest = _oldest_inside(snapshot)
        self._victims = frozenset(lab.owner_id for room in rooms for lab, _ in room.running if self._may_end(lab))
        self._rooms = [room for room in rooms if any(self._may_end(lab) for lab, _ in room.running)]
        self._potential = {room.node.id: self._potential_of(room) for room in self._rooms}

    @property
    def until(self) -> datetime:
        """When a notice given now is over."""
        return self._now + timedelta(seconds=self._snapshot.policy.reclaim_notice_s)

    def side(self, lab: Waiting) -> tuple[object, ...]:
        """From whom it may take: labs of one shape and side find the same."""
        return self._top(lab.owner_id), lab.owner_id if lab.owner_id in self._victims else None

    def due(self, lab: Waiting) -> bool:
        """Has it waited long enough, and is there anything to take?"""
        if not lab.asked.gpus or lab.hold_id or not self._rooms or lab.since >= self._patient:
            return False
        if self._most is None:
            self._most = {}
            for potential in self._potential.values():
                for kind, count in potential.items():
                    self._most[kind] = max(self._most.get(kind, 0), count)
        return any(kind_suits(kind, lab) and most >= lab.asked.gpus for kind, most in self._most.items())

    def _potential_of(self, room: Room) -> dict[Kind, int]:
        """The cards of each kind, free, kept for somebody or to be taken from anybody, on a node."""
        able: dict[Kind, int] = {}
        for lab, kind in room.running:
            if lab.lab_id not in self._claims.labs and self._may_end(lab):
                able[kind] = able.get(kind, 0) + len(lab.gpu_uuids)
        kept = Counter((card.model, card.slice) for cards in room.kept.values() for card in cards)
        return {kind: count + len(room.free.get(kind, ())) + kept[kind] for kind, count in able.items()}

    def find(self, lab: Waiting, nodes: Container[str], end: datetime) -> Taking | None:
        """The cheapest node, youngest labs first; marks them as taken."""
        all_found = (taking for room in self._rooms if room.node.id in nodes for taking in self._on(room, lab, end))
        found = min((taking for taking in all_found if taking.lost <= self._may_lose), key=lambda one: one[:2], default=None)
        if found is None:
            return None
        self._may_lose -= found.lost
        for victim in found.labs:
            self._claims.labs.add(victim.lab_id)
            for group in self._top(victim.owner_id):
                self._claims.by_group[group] = self._claims.by_group.get(group, 0.0) + victim.share
        self._potential[found.node_id], self._most = self._potential_of(found.room), None
        return found

    def _on(self, room: Room, lab: Waiting, end: datetime) -> Iterator[Taking]:
        for kind in kinds_for(room, lab):
            if self._gates.closed(room, end) or self._gates.against(room, kind, lab.asked.gpus, end, self._gates.own(lab)):
                continue
            booked = [booking for booking in room.bookings if booking.kind == kind]
            free = max(min([room.free_for(kind, lab.lab_id), *(booking.spare_gpus for booking in booked)]), 0)
            latest = max((booking.at for booking in booked), default=self._now)
            able = [one for one, of in room.running if of == kind and one.ends_at > max(latest, self.until) and self._may_take(one, lab)]
            victims = _youngest(able, lab.asked.gpus - free)
            if victims and self._fits(room, lab, victims):
                yield Taking(sum(self._lost(one) for one in victims), room.node.id, room, kind, victims)

    def _fits(self, room: Room, lab: Waiting, victims: tuple[Running, ...]) -> bool:
        cpus = room.cpus + sum(one.cpus for one in victims)
        memory = room.memory_mib + sum(one.memory_mib for one in victims)
        return lab.placed or (cpus >= lab.asked.cpus and memory >= lab.asked.memory_mib)

    def _lost(self, victim: Running) -> float:
        return max(victim.share, 0.01) * (self.until - victim.started_at).total_seconds()

    def _may_end(self, victim: Running) -> bool:
        """Over quota or budget, long enough at work, not under notice, and not a person's last lab inside quota."""
        ran = (self._now - victim.started_at).total_seconds()
        marked = victim.over_quota or (victim.over_budget and victim.lab_id not in self._oldest)
        return marked and not victim.notice_until and not victim.hold_id and ran >= self._snapshot.policy.reclaim_min_run_s

    def _may_take(self, victim: Running, lab: Waiting) -> bool:
        """Another organisation's guarantee stays whole."""
        if victim.lab_id in self._claims.labs or victim.owner_id == lab.owner_id or not self._may_end(victim):
            return False
        mine = self._top(lab.owner_id)
        for group in self._top(victim.owner_id):
            view = self._snapshot.groups.get(group)
            if group not in mine and view and view.guarantee is not None and view.held - self._claims.by_group.get(group, 0.0) - victim.share < view.guarantee:
                return False
        return True

    def _top(self, owner_id: int) -> tuple[int, ...]:
        """The person's organisation."""
        person = self._snapshot.people.get(owner_id)
        return person.path[:1] if person else ()


def _youngest(labs: list[Running], need: int) -> tuple[Running, ...]:
    """The youngest labs that hold so many cards together, without any that is not needed; nothing when there are not enough."""
    chosen: list[Running] = []
    for one in sorted(labs, key=lambda lab: (lab.started_at, lab.lab_id), reverse=True):
        if sum(len(lab.gpu_uuids) for lab in chosen) < need:
            chosen.append(one)
    spare = sum(len(lab.gpu_uuids) for lab in chosen) - need
    if spare < 0:
        return ()
    for one in sorted(chosen, key=lambda lab: lab.started_at):
        if len(one.gpu_uuids) <= spare:
            chosen.remove(one)
            spare -= len(one.gpu_uuids)
    return tuple(chosen)


def _oldest_inside(snapshot: Snapshot) -> frozenset[str]:
    """Each person's oldest lab inside quota: the one that a spent budget leaves."""
    oldest: dict[int, Running] = {}
    for lab in snapshot.running:
        if not lab.over_quota and not lab.notice_until:
            first = oldest.setdefault(lab.owner_id, lab)
            if (lab.started_at, lab.lab_id) < (first.started_at, first.lab_id):
                oldest[lab.owner_id] = lab
    return frozenset(lab.lab_id for lab in oldest.values())
