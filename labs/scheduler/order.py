"""Who goes first. What may change while a plan is made is asked of the ledger anew."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from heapq import heappop, heappush
from typing import NamedTuple

from labs.scheduler.ledger import Ledger
from labs.scheduler.snapshot import Person, Snapshot, Waiting


class Key(NamedTuple):
    """Smaller goes first: a class's lab, an administrator's order, one aged lab, inside quota, band, long waits, held by quota, usage, time of asking."""

    ordinary: bool
    priority: int
    fresh: bool
    over_quota: bool
    band: int
    recent: bool
    ratio: float
    rank: int
    since: datetime
    lab_id: str


class Order:
    """Waiting labs, first things first, while labs are being placed."""

    def __init__(self, snapshot: Snapshot, ledger: Ledger, now: datetime) -> None:
        self._ledger, self._policy = ledger, snapshot.policy
        self._bands: dict[int, int] = {}
        self._ranks = tree_ranks(snapshot)
        self._aged = _aged(snapshot, ledger, now)
        self._long_before = now - timedelta(seconds=snapshot.policy.long_wait_s)

    def walk(self, waiting: tuple[Waiting, ...]) -> Iterator[Waiting]:
        """Each lab once. Keys only grow while labs are placed, so one that is stale goes back with its new key."""
        ledger = self._ledger
        line = sorted((self.key(lab), ledger.version(lab.owner_id), lab) for lab in waiting)
        late: list[tuple[Key, int, Waiting]] = []
        position = 0
        while position < len(line) or late:
            if late and (position == len(line) or late[0][0] < line[position][0]):
                key, version, lab = heappop(late)
            else:
                key, version, lab = line[position]
                position += 1
            current = ledger.version(lab.owner_id)
            if version != current and (fresh := self.key(lab)) != key:
                heappush(late, (fresh, current, lab))
            else:
                yield lab

    def aged(self, lab: Waiting) -> bool:
        """Does it go first because it waited too long?"""
        return lab.lab_id in self._aged

    def waited_long(self, lab: Waiting) -> bool:
        """Has it waited so long that among labs of its band only age counts?"""
        return lab.since <= self._long_before

    def key(self, lab: Waiting) -> Key:
        """Its place in the order as things are now."""
        ledger, owner, hours = self._ledger, lab.owner_id, lab.asked.hours
        band = self._bands.get(hours)
        if band is None:
            band = self._bands[hours] = self._policy.band(hours)
        fresh, recent = lab.lab_id not in self._aged, not self.waited_long(lab)
        ratio, rank = (ledger.ratio(owner), self._ranks[owner]) if recent else (0.0, 0)
        return Key(not lab.hold_id, -lab.priority, fresh, not ledger.inside(lab), band, recent, ratio, rank, lab.since, lab.lab_id)


def tree_ranks(snapshot: Snapshot) -> dict[int, int]:
    """Everybody's place in the fair tree: at each fork the branch that used less by its weight goes first."""
    keys = {owner: _branch(snapshot.people.get(owner) or Person(owner), snapshot) for owner in {lab.owner_id for lab in snapshot.waiting}}
    places = {key: place for place, key in enumerate(sorted(set(keys.values())))}
    return {owner: places[key] for owner, key in keys.items()}


def _branch(person: Person, snapshot: Snapshot) -> tuple[float, ...]:
    groups = [snapshot.groups[group] for group in person.path if group in snapshot.groups]
    return (*(group.usage / max(group.weight, 1e-9) for group in groups), person.usage / max(person.weight, 1e-9))


def _aged(snapshot: Snapshot, ledger: Ledger, now: datetime) -> frozenset[str]:
    """The labs that waited too long and wait for nothing of their own: the oldest few, as long as few of their kind are at work."""
    before = now - timedelta(seconds=snapshot.policy.aged_after_s)
    old = sorted((lab.since, lab.lab_id, lab) for lab in snapshot.waiting if lab.since <= before and lab.asked.gpus)
    ready = (lab_id for _, lab_id, lab in old if not ledger.reasons(lab))
    at_work = sum(lab.waited_s >= snapshot.policy.aged_after_s for lab in snapshot.running)
    may = snapshot.policy.aged_at_once if at_work < snapshot.policy.aged_at_work else 0
    return frozenset(lab_id for lab_id, _ in zip(ready, range(may), strict=False))
