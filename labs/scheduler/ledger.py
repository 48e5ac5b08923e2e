"""What people and groups hold while a plan is made, judged by the rules of the house."""

from dataclasses import replace

from labs.policy.rules import Answer, Held, Share, judge
from labs.scheduler.snapshot import Person, Snapshot, Waiting
from labs.scheduler.standing import Left, amount, left_of, left_of_group
from labs.scheduler.words import over_quota_refused

NOTHING = Held()


class Ledger:
    """Who holds what, with everything that the plan has placed so far."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._limits, self._people = snapshot.limits, snapshot.people
        self._held = dict(snapshot.held)
        self._shares = dict(snapshot.shares)
        self._versions: dict[int, int] = {}
        self._lefts: dict[int, list[Left]] = {}
        self._group_lefts: dict[int, Left] = {}
        self._judged: dict[tuple[object, ...], tuple[str, ...]] = {}
        self._ratios: dict[int, float] = {}

    def version(self, owner_id: int) -> int:
        """Changes whenever the person gets something."""
        return self._versions.get(owner_id, 0)

    def held(self, owner_id: int) -> Held:
        """What the person holds now."""
        return self._held.get(owner_id, NOTHING)

    def ratio(self, owner_id: int) -> float:
        """GPUs held divided by those guaranteed."""
        ratio = self._ratios.get(owner_id)
        if ratio is None:
            limits = self._limits.get(owner_id)
            ratio = self._ratios[owner_id] = self.held(owner_id).gpus / max(limits.gpus if limits else 1, 1)
        return ratio

    def inside(self, lab: Waiting) -> bool:
        """Would the lab be inside its owner's guarantee? One without GPUs, or for a class, always is."""
        limits = self._limits.get(lab.owner_id)
        if not lab.asked.gpus or lab.hold_id or limits is None:
            return True
        return self.held(lab.owner_id).gpus - lab.gpus_held + amount(lab) <= limits.gpus

    def reasons(self, lab: Waiting) -> tuple[str, ...]:
        """What its owner's and their groups' limits say against it now; nothing for a class's lab, which the class answers for."""
        if lab.blocked or lab.hold_id:
            return lab.blocked
        for left in self.lefts(lab.owner_id):
            if not left.covers(lab):
                break
        else:
            return ()
        key = (lab.owner_id, lab.asked, lab.may_borrow, lab.placed, lab.gpus_held)
        found = self._judged.get(key)
        if found is None:
            found = self._judged[key] = self._judge(lab)
        return found

    def lefts(self, owner_id: int) -> list[Left]:
        """What the person and each of their groups may still have."""
        found = self._lefts.get(owner_id)
        if found is None:
            limits = self._limits.get(owner_id)
            found = self._lefts[owner_id] = [left_of(limits, self.held(owner_id))] if limits else []
            for group in self._groups(owner_id) if limits else ():
                if group not in self._group_lefts:
                    self._group_lefts[group] = left_of_group(self._shares[group])
                found.append(self._group_lefts[group])
        return found

    def take(self, lab: Waiting) -> None:
        """The lab is placed."""
        if lab.hold_id:
            return
        owner = lab.owner_id
        self._held[owner] = _plus(_without_itself(self.held(owner), lab), lab)
        groups = self._groups(owner)
        for group in groups:
            share = self._shares[group]
            self._shares[group] = replace(share, held=_plus(_without_itself(share.held, lab), lab))
        self._versions[owner] = self.version(owner) + 1
        self._ratios.pop(owner, None)
        self._forget(owner, groups)

    def _judge(self, lab: Waiting) -> tuple[str, ...]:
        limits = self._limits.get(lab.owner_id)
        if limits is None:
            return ()
        shares = tuple(_share_without(share, lab) for share in (self._shares[group] for group in self._groups(lab.owner_id)))
        verdict = judge(lab.asked, _without_itself(self.held(lab.owner_id), lab), limits, shares)
        if verdict.answer != Answer.NOW:
            return tuple(reason.words for reason in verdict.reasons)
        if not lab.may_borrow and not self.inside(lab):
            return (over_quota_refused(self.held(lab.owner_id).gpus, limits.gpus),)
        return ()

    def _groups(self, owner_id: int) -> tuple[int, ...]:
        person = self._people.get(owner_id) or Person(owner_id)
        return tuple(group for group in person.groups if group in self._shares)

    def _forget(self, owner_id: int, groups: tuple[int, ...]) -> None:
        """What was known of one person; of everybody where groups have caps."""
        if groups:
            self._judged, self._lefts, self._group_lefts = {}, {}, {}
        else:
            self._judged = {key: value for key, value in self._judged.items() if key[0] != owner_id}
            self._lefts.pop(owner_id, None)


def _without_itself(held: Held, lab: Waiting) -> Held:
    """A running lab that waits for cards is judged as if it started anew."""
    if not lab.placed:
        return held
    return replace(held, gpus=held.gpus - lab.gpus_held, labs=held.labs - 1, cpus=held.cpus - lab.asked.cpus, memory_mib=held.memory_mib - lab.asked.memory_mib)


def _share_without(share: Share, lab: Waiting) -> Share:
    return replace(share, held=_without_itself(share.held, lab)) if lab.placed else share


def _plus(held: Held, lab: Waiting) -> Held:
    asked = lab.asked
    return replace(held, gpus=held.gpus + amount(lab), labs=held.labs + 1, cpus=held.cpus + asked.cpus, memory_mib=held.memory_mib + asked.memory_mib)
