"""What people hold in a run ahead, against their own and their groups' caps: what the end of a lab can change."""

from collections.abc import Sequence
from dataclasses import dataclass

from labs.policy.rules import Caps, Held, Limits
from labs.scheduler.ledger import Ledger, amount
from labs.scheduler.snapshot import Running, Waiting

ENDLESS = float("inf")


@dataclass(slots=True)
class _Left:
    """What a person or a group may still have."""

    gpus: float = ENDLESS
    guaranteed: float = ENDLESS
    labs: float = ENDLESS
    cpus: float = ENDLESS
    memory_mib: float = ENDLESS

    def covers(self, lab: Waiting) -> bool:
        gpus = amount(lab) - lab.gpus_held
        if lab.asked.gpus and (gpus > self.gpus or (gpus > self.guaranteed and not lab.may_borrow)):
            return False
        return lab.placed or (self.labs >= 1 and self.cpus >= lab.asked.cpus and self.memory_mib >= lab.asked.memory_mib)

    def change(self, gpus: float, labs: int, cpus: int, memory_mib: int) -> None:
        self.gpus += gpus
        self.guaranteed += gpus
        self.labs += labs
        self.cpus += cpus
        self.memory_mib += memory_mib


class Standing:
    """Everybody who waits, and the groups that they are in."""

    def __init__(self, ledger: Ledger, line: Sequence[Waiting]) -> None:
        self._left: dict[int, list[_Left]] = {}
        groups: dict[int, _Left] = {}
        for owner in {lab.owner_id for lab in line}:
            shares = ledger.shares(owner)
            groups |= {share.group_id: _left(share.caps, share.held) for share in shares if share.group_id not in groups}
            limits = ledger.limits(owner)
            own = _left(limits, ledger.held(owner)) if limits else _Left()
            self._left[owner] = [own, *(groups[share.group_id] for share in shares)]
        # A budget that ran out, say: no end of a lab helps.
        self._stuck = {lab.lab_id for lab in line if ledger.reasons(lab) and self._covers(lab)}

    def may(self, lab: Waiting) -> bool:
        """Would caps let it start?"""
        return bool(lab.hold_id) or (lab.lab_id not in self._stuck and self._covers(lab))

    def take(self, lab: Waiting) -> None:
        """It starts."""
        if not lab.hold_id:
            fresh = not lab.placed
            self._change(lab.owner_id, lab.gpus_held - amount(lab), -fresh, -fresh * lab.asked.cpus, -fresh * lab.asked.memory_mib)

    def give(self, lab: Waiting | Running) -> None:
        """It ends."""
        if not lab.hold_id and lab.owner_id in self._left:
            cpus, memory = (lab.cpus, lab.memory_mib) if isinstance(lab, Running) else (lab.asked.cpus, lab.asked.memory_mib)
            self._change(lab.owner_id, amount(lab), 1, cpus, memory)

    def _covers(self, lab: Waiting) -> bool:
        return all(left.covers(lab) for left in self._left[lab.owner_id])

    def _change(self, owner_id: int, gpus: float, labs: int, cpus: int, memory_mib: int) -> None:
        for left in self._left[owner_id]:
            left.change(gpus, labs, cpus, memory_mib)


def _left(caps: Limits | Caps, held: Held) -> _Left:
    if isinstance(caps, Limits):
        return _Left(caps.gpus_max - held.gpus, caps.gpus - held.gpus, caps.labs - held.labs, caps.cpus - held.cpus, caps.memory_gib * 1024 - held.memory_mib)
    gpus, labs, cpus = _minus(caps.gpus, held.gpus), _minus(caps.labs, held.labs), _minus(caps.cpus, held.cpus)
    return _Left(gpus, ENDLESS, labs, cpus, _minus(None if caps.memory_gib is None else caps.memory_gib * 1024, held.memory_mib))


def _minus(cap: float | None, held: float) -> float:
    return ENDLESS if cap is None else cap - held
