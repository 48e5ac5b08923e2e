"""What people and groups hold while a plan is made, judged by the rules of the house."""

from dataclasses import replace

from labs.policy.rules import Answer, Asked, Held, Limits, Share, judge
from labs.scheduler.snapshot import Person, Running, Snapshot, Waiting
from labs.scheduler.words import over_quota_refused


class Ledger:
    """Who holds what, with everything that the plan has placed so far."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._limits, self._people = snapshot.limits, snapshot.people
        self._held = dict(snapshot.held)
        self._shares = dict(snapshot.shares)
        self._versions: dict[int, int] = {}
        self._allowed: dict[tuple[int, bool], list[Asked]] = {}
        self._judged: dict[tuple[object, ...], tuple[str, ...]] = {}
        self._ratios: dict[int, float] = {}

    def version(self, owner_id: int) -> int:
        """Changes whenever the person gets something."""
        return self._versions.get(owner_id, 0)

    def held(self, owner_id: int) -> Held:
        """What the person holds now."""
        return self._held.get(owner_id) or Held()

    def limits(self, owner_id: int) -> Limits | None:
        """What the person may have; None is no limit."""
        return self._limits.get(owner_id)

    def shares(self, owner_id: int) -> tuple[Share, ...]:
        """The groups whose caps count for the person, with what their people hold now."""
        return tuple(self._shares[group] for group in self._groups(owner_id))

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
        key = (lab.owner_id, lab.asked, lab.may_borrow, lab.placed, lab.gpus_held)
        found = self._judged.get(key)
        if found is None:
            found = self._judged[key] = () if self._smaller_than_allowed(lab) else self._judge(lab)
        return found

    def _smaller_than_allowed(self, lab: Waiting) -> bool:
        """Was a wish of the same person allowed that asks for no less of anything? Then this one is."""
        if lab.placed:
            return False
        allowed = self._allowed.setdefault((lab.owner_id, lab.may_borrow), [])
        return any(_covers(one, lab.asked) for one in allowed)

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
        self._forget(None if groups else owner)

    def _judge(self, lab: Waiting) -> tuple[str, ...]:
        limits = self._limits.get(lab.owner_id)
        if limits is None:
            return ()
        shares = tuple(_share_without(share, lab) for share in self.shares(lab.owner_id))
        verdict = judge(lab.asked, _without_itself(self.held(lab.owner_id), lab), limits, shares)
        if verdict.answer != Answer.NOW:
            return tuple(reason.words for reason in verdict.reasons)
        if not lab.may_borrow and not self.inside(lab):
            return (over_quota_refused(self.held(lab.owner_id).gpus, limits.gpus),)
        if not lab.placed:
            self._allowed.setdefault((lab.owner_id, lab.may_borrow), []).append(lab.asked)
        return ()

    def _groups(self, owner_id: int) -> tuple[int, ...]:
        person = self._people.get(owner_id) or Person(owner_id)
        return tuple(group for group in person.groups if group in self._shares)

    def _forget(self, owner_id: int | None) -> None:
        """What was judged of one person, or of everybody."""
        if owner_id is None:
            self._judged, self._allowed = {}, {}
            return
        self._judged = {key: value for key, value in self._judged.items() if key[0] != owner_id}
        self._allowed.pop((owner_id, True), None)
        self._allowed.pop((owner_id, False), None)


def amount(lab: Waiting | Running) -> float:
    """What the lab counts for: cards, or the fraction that its slice is."""
    if isinstance(lab, Running):
        return lab.share or len(lab.gpu_uuids)
    return lab.asked.gpus * lab.asked.gpu_share


def _covers(allowed: Asked, asked: Asked) -> bool:
    return (
        allowed.cpus >= asked.cpus
        and allowed.memory_mib >= asked.memory_mib
        and allowed.hours >= asked.hours
        and allowed.gpus * allowed.gpu_share >= asked.gpus * asked.gpu_share
        and (allowed.gpus > 0 or asked.gpus == 0)
        and allowed.shm_mib >= asked.shm_mib
        and asked.shm_mib <= asked.memory_mib
    )


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
