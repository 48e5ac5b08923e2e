"""What people and groups may still have, as numbers: quick to ask again and again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from labs.policy.rules import Caps, Held, Limits, Share
from labs.scheduler.snapshot import Running, Waiting

ENDLESS = float("inf")


@dataclass(slots=True)
class Left:
    """What a person or a group may still have. Counts shrink with each start; hours and shared memory are of one lab."""

    gpus: float = ENDLESS
    guaranteed: float = ENDLESS
    labs: float = ENDLESS
    cpus: float = ENDLESS
    memory_mib: float = ENDLESS
    shm_mib: float = ENDLESS
    hours: float = ENDLESS
    spent: bool = False  # a budget of GPU-hours ran out, or a workspace is full: no lab with GPUs

    def covers(self, lab: Waiting) -> bool:
        """May the lab start beside what is held? If so, so says `labs.policy.rules.judge`."""
        asked = lab.asked
        if asked.gpus:
            gpus = amount(lab) - lab.gpus_held
            if self.spent or gpus > self.gpus or (gpus > self.guaranteed and not lab.may_borrow):
                return False
        if asked.hours > self.hours or asked.shm_mib > self.shm_mib or asked.shm_mib > asked.memory_mib:
            return False
        return lab.placed or (self.labs >= 1 and self.cpus >= asked.cpus and self.memory_mib >= asked.memory_mib)

    def change(self, gpus: float, labs: int, cpus: int, memory_mib: int) -> None:
        """More is left, or less."""
        self.gpus += gpus
        self.guaranteed += gpus
        self.labs += labs
        self.cpus += cpus
        self.memory_mib += memory_mib


def left_of(limits: Limits, held: Held) -> Left:
    """What a person may still have."""
    return Left(
        limits.gpus_max - held.gpus,
        limits.gpus - held.gpus,
        limits.labs - held.labs,
        limits.cpus - held.cpus,
        limits.memory_gib * 1024 - held.memory_mib,
        limits.shm_gib * 1024,
        limits.hours_max,
        _gpus_barred(limits, held),
    )


def left_of_group(share: Share) -> Left:
    """What the people of a group may still have together."""
    caps, held = share.caps, share.held
    return Left(
        _minus(caps.gpus, held.gpus),
        ENDLESS,
        _minus(caps.labs, held.labs),
        _minus(caps.cpus, held.cpus),
        _minus(caps.memory_gib, held.memory_mib, 1024),
        _minus(caps.shm_gib, 0, 1024),
        _minus(caps.hours_max, 0),
        _gpus_barred(caps, held),
    )


class Standing:
    """What everybody who waits may still have, while labs start and end in a run ahead."""

    def __init__(self, lefts: dict[int, Sequence[Left]]) -> None:
        own = {id(left): replace(left) for parts in lefts.values() for left in parts}  # one copy of each group, shared by its people
        self._lefts = {owner: [own[id(left)] for left in parts] for owner, parts in lefts.items()}

    def may(self, lab: Waiting) -> bool:
        """Would caps let it start?"""
        return bool(lab.hold_id) or all(left.covers(lab) for left in self._lefts[lab.owner_id])

    def take(self, lab: Waiting) -> None:
        """It starts."""
        if not lab.hold_id:
            fresh = not lab.placed
            self._change(lab.owner_id, lab.gpus_held - amount(lab), -fresh, -fresh * lab.asked.cpus, -fresh * lab.asked.memory_mib)

    def give(self, lab: Waiting | Running) -> None:
        """It ends."""
        if not lab.hold_id and lab.owner_id in self._lefts:
            cpus, memory = (lab.cpus, lab.memory_mib) if isinstance(lab, Running) else (lab.asked.cpus, lab.asked.memory_mib)
            self._change(lab.owner_id, amount(lab), 1, cpus, memory)

    def _change(self, owner_id: int, gpus: float, labs: int, cpus: int, memory_mib: int) -> None:
        for left in self._lefts[owner_id]:
            left.change(gpus, labs, cpus, memory_mib)


def amount(lab: Waiting | Running) -> float:
    """What the lab counts for: cards, or the fraction that its slice is."""
    if isinstance(lab, Running):
        return lab.share or len(lab.gpu_uuids)
    return lab.asked.gpus if lab.asked.gpu_share == 1 else round(lab.asked.gpus * lab.asked.gpu_share, 2)


def _minus(cap: float | None, held: float, unit: int = 1) -> float:
    return ENDLESS if cap is None else cap * unit - held


def _gpus_barred(limits: Limits | Caps, held: Held) -> bool:
    full = limits.disk_gib is not None and held.disk_gib > limits.disk_gib
    return full or _spent(limits.gpu_hours_week, held.gpu_hours_week) or _spent(limits.gpu_hours_month, held.gpu_hours_month)


def _spent(budget: float | None, used: float) -> bool:
    return budget is not None and used >= budget
