"""Who gets what now, whom it is taken from, and why everybody else waits and until when. Pure, deterministic, total.

Labs are tried in the order of `order.py`. One that waits for its own quota stands aside. The first few that wait for cards or memory get a
reservation where they can start soonest; later ones may go before them only where they delay none of these.
"""

from dataclasses import replace
from datetime import datetime

from labs.scheduler.estimate import estimates_of
from labs.scheduler.house import House
from labs.scheduler.order import Order
from labs.scheduler.reclaim import Reclaimer
from labs.scheduler.rooms import Kind, Room, kind_suits
from labs.scheduler.snapshot import Hold, Plan, Reclaim, Snapshot, Wait, Waiting
from labs.scheduler.words import BEING_TAKEN, CLASS_OVER, class_full, class_waits

Shape = tuple[object, ...]


def plan(snapshot: Snapshot, now: datetime, *, estimates: bool = True) -> Plan:
    """Place in order; every lab that is not placed gets its reasons and, if asked for, when it may start."""
    planner = _Planner(snapshot, now)
    for lab in planner.order.walk(snapshot.waiting):
        planner.decide(lab)
    return planner.plan(estimates=estimates)


class _Planner:
    """One plan in the making."""

    def __init__(self, snapshot: Snapshot, now: datetime) -> None:
        self.snapshot, self.now = snapshot, now
        self.house = House(snapshot, now)
        self.order = Order(snapshot, self.house.ledger, now)
        self.reclaimer = Reclaimer(snapshot, self.house.rooms, self.house.gates, now)
        self.reclaims: list[Reclaim] = []
        self.line: list[tuple[Waiting, tuple[str, ...]]] = []  # who waits, in order, and why
        self._booked, self._tries = 0, snapshot.policy.reclaim_tries
        self._stuck: dict[Shape, tuple[str, ...]] = {}
        self._untakable: set[Shape] = set()
        self._promised = self._keep_promises()
        self._special = self._promised.union(*(room.kept for room in self.house.rooms))  # labs with cards of their own

    def decide(self, lab: Waiting) -> None:
        """Place the lab, or note why it waits."""
        lab = self._on_its_cards(lab)
        reasons = self._before(lab)
        if reasons:
            self._wait(lab, reasons)
            return
        kind = self._kind(lab)
        stuck = self._stuck.get(kind) or self._try(lab, kind)
        if stuck:
            self._wait(lab, (*self._claim(lab, kind), *stuck))

    def _wait(self, lab: Waiting, reasons: tuple[str, ...]) -> None:
        self.line.append((lab, (*reasons, lab.pinned) if lab.pinned else reasons))

    def _kind(self, lab: Waiting) -> Shape:
        """Labs of one kind find the same cards."""
        special = lab.lab_id if lab.lab_id in self._special else ""
        return (lab.asked.gpus, lab.gpu_model, lab.wants_slice, lab.image_id, lab.image_runtime, lab.on_node, lab.lacks, self.house.gates.own(lab), special)

    def _try(self, lab: Waiting, kind: Shape) -> tuple[str, ...]:
        """Place the lab, or say why not. What did not fit once does not fit later: a plan only gives away."""
        shape = self._shape(lab, kind)
        if shape not in self._stuck:
            choices = self.house.choices(lab)
            if not choices:
                self._stuck[kind] = self.house.without_cards(lab)
                return self._stuck[kind]
            if spot := self.house.spot(lab, choices):
                self.house.place(lab, spot)
                return ()
            self._stuck[shape] = self.house.shortage(lab, choices)
        return self._stuck[shape]

    def _shape(self, lab: Waiting, kind: Shape) -> Shape:
        """Labs of one shape fit, or do not, alike."""
        return (kind, lab.asked.hours, lab.asked.cpus, lab.asked.memory_mib, lab.placed)

    def plan(self, *, estimates: bool) -> Plan:
        """What came of it."""
        house = self.house
        expected = estimates_of(house, [lab for lab, _ in self.line], self._promised | {one.taken_for for one in self.reclaims}) if estimates else {}
        waits = {lab.lab_id: Wait(lab.lab_id, place, reasons, expected.get(lab.lab_id)) for place, (lab, reasons) in enumerate(self.line, start=1)}
        return Plan(tuple(house.placements), waits, tuple(house.fetch), tuple(self.reclaims), tuple(house.reservations))

    def _before(self, lab: Waiting) -> tuple[str, ...]:
        """What stands against the lab wherever it ran: its class, its owner's limits, the size of the fleet."""
        if lab.hold_id and (words := self._class_words(lab)):
            return (words,)
        if reasons := self.house.ledger.reasons(lab):
            return reasons
        if never := self.house.impossible(lab):
            return (never,)
        own = self.order.aged(lab) or self.order.waited_long(lab) or lab.lab_id in self._special
        kept = "" if own else self.house.short_of(lab)
        return (kept,) if kept else ()

    def _on_its_cards(self, lab: Waiting) -> Waiting:
        """A class's lab runs on the class's model."""
        hold = self.house.gates.holds.get(lab.hold_id)
        return replace(lab, gpu_model=hold.model) if hold and hold.model and lab.asked.gpus else lab

    def _class_words(self, lab: Waiting) -> str:
        hold: Hold | None = self.house.gates.holds.get(lab.hold_id)
        if hold is None:
            return CLASS_OVER
        if hold.start > self.now:
            return class_waits(hold)
        return class_full(hold) if self.house.gates.left(hold.id) < lab.asked.gpus else ""

    def _claim(self, lab: Waiting, kind: Shape) -> tuple[str, ...]:
        """What is done for a lab that does not fit: cards are taken back for it, or it gets a reservation."""
        if lab.lab_id in self._promised:
            return (BEING_TAKEN,)
        if self._tries and self.reclaimer.due(lab) and self.house.ledger.inside(lab):
            taker = (self._shape(lab, kind), *self.reclaimer.side(lab))
            if taker not in self._untakable:
                self._tries -= 1
                if self._take_back(lab):
                    return (BEING_TAKEN,)
                self._untakable.add(taker)
        if self._booked < self.snapshot.policy.reservations and self.house.suited(lab).rooms:
            self._booked += 1
            self.house.book(lab)
        return ()

    def _take_back(self, lab: Waiting) -> bool:
        """Give notice to labs over quota, unless cards come free by themselves as soon."""
        until = self.reclaimer.until
        opening = self.house.soonest(lab)
        taking = self.reclaimer.find(lab, self.house.suited(lab).nodes, self.house.end(lab)) if opening is None or opening.at > until else None
        if taking is None:
            return False
        self.reclaims += [Reclaim(victim.lab_id, lab.lab_id, taking.node_id, until) for victim in taking.labs]
        self.house.keep(lab, taking.room, taking.kind, until)
        return True

    def _keep_promises(self) -> frozenset[str]:
        """Labs for which others are under notice already keep the cards that come free then."""
        waiting = {lab.lab_id: lab for lab in self.snapshot.waiting}
        promised: dict[str, tuple[Room, Kind]] = {}
        for room in self.house.rooms:
            for victim, kind in room.running:
                if victim.notice_until and victim.taken_for in waiting and kind_suits(kind, waiting[victim.taken_for]):
                    promised[victim.taken_for] = (room, kind)
        return frozenset(lab_id for lab_id, (room, kind) in promised.items() if self.house.promise(waiting[lab_id], room, kind))
