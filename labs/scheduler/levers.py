"""What would start a waiting lab sooner: changes of its wish, each tried by the same plan."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from labs.scheduler.plan import plan
from labs.scheduler.rooms import kind_suits
from labs.scheduler.snapshot import Estimate, Lever, Snapshot, Waiting
from labs.scheduler.words import gpus_words

#: A change is offered when it starts the lab sooner by this part of the wait, at least.
WORTH = 0.2


def levers(snapshot: Snapshot, lab_id: str, now: datetime) -> tuple[Lever, ...]:
    """Every single change that starts the lab now or clearly sooner, the soonest first. Empty for a lab that does not wait."""
    lab = next((one for one in snapshot.waiting if one.lab_id == lab_id), None)
    if lab is None:
        return ()
    wait = plan(snapshot, now).waits.get(lab_id)
    if wait is None:
        return ()
    found = [lever for code, words, changed in _changes(snapshot, lab) if (lever := _try(snapshot, code, words, changed, now))]
    worth = [lever for lever in found if _sooner(lever.estimate, wait.estimate, now)]
    return tuple(sorted(worth, key=lambda lever: (lever.estimate is not None, lever.estimate.soonest if lever.estimate else now)))


def starts_without_gpus(snapshot: Snapshot, lab_id: str, now: datetime) -> bool:
    """Would the lab start now if it took no GPU?"""
    lab = next((one for one in snapshot.waiting if one.lab_id == lab_id), None)
    return bool(lab and lab.asked.gpus and any(one.lab_id == lab_id for one in plan(_with(snapshot, _of_gpus(lab, 0)), now, estimates=False).placements))


def _changes(snapshot: Snapshot, lab: Waiting) -> Iterator[tuple[str, str, Waiting]]:
    """One change each: what it is called, in words, and the wish changed."""
    if lab.hold_id:
        return
    yield from _fewer(lab)
    yield from _other_cards(snapshot, lab)
    for hours in snapshot.policy.bands_h:
        if hours < lab.asked.hours:
            yield f"hours:{hours:g}", f"A limit of {hours:g} {'hour' if hours == 1 else 'hours'} instead of {lab.asked.hours}", _of_hours(lab, int(hours))
    if lab.on_node and not lab.placed and not lab.pinned:
        yield "node:", "On any node", replace(lab, on_node="")
    if not lab.may_borrow:
        words = "Over your guarantee: its GPUs may be taken back with some minutes' notice"
        yield "over_quota", words, replace(lab, may_borrow=True)


def _fewer(lab: Waiting) -> Iterator[tuple[str, str, Waiting]]:
    asked = lab.asked.gpus
    for gpus in sorted({0, 1, asked // 2, asked - 1}, reverse=True):
        if 0 <= gpus < asked:
            yield f"gpus:{gpus}", f"{gpus_words(gpus) if gpus else 'No GPU'} instead of {asked:g}", _of_gpus(lab, gpus)


def _other_cards(snapshot: Snapshot, lab: Waiting) -> Iterator[tuple[str, str, Waiting]]:
    """Another model, any model, or a slice where one card was asked for."""
    kinds = sorted({(card.model, card.slice) for node in snapshot.nodes for card in node.cards})
    if not lab.asked.gpus:
        return
    if lab.gpu_model:
        yield "model:", "A GPU of any model", replace(lab, gpu_model="")
        for model in sorted({model for model, profile in kinds if model != lab.gpu_model and bool(profile) == bool(lab.wants_slice)}):
            yield f"model:{model}", f"{model} instead of {lab.gpu_model}", replace(lab, gpu_model=model)
    if lab.asked.gpus == 1 and not lab.wants_slice:
        for profile in sorted({kind[1] for kind in kinds if kind[1] and kind_suits(kind, replace(lab, wants_slice="any"))}):
            share = min(card.share for node in snapshot.nodes for card in node.cards if card.slice == profile)
            yield (
                f"slice:{profile}",
                f"A slice ({profile}) instead of a whole GPU",
                replace(lab, wants_slice=profile, asked=replace(lab.asked, gpu_share=share)),
            )


def _of_gpus(lab: Waiting, gpus: int) -> Waiting:
    return replace(lab, asked=replace(lab.asked, gpus=gpus), gpu_model=lab.gpu_model if gpus else "", wants_slice=lab.wants_slice if gpus else "")


def _of_hours(lab: Waiting, hours: int) -> Waiting:
    return replace(lab, asked=replace(lab.asked, hours=hours))


def _with(snapshot: Snapshot, changed: Waiting) -> Snapshot:
    return replace(snapshot, waiting=tuple(changed if one.lab_id == changed.lab_id else one for one in snapshot.waiting))


def _try(snapshot: Snapshot, code: str, words: str, changed: Waiting, now: datetime) -> Lever | None:
    """When the lab would start with this change; None when nothing is known that would start it."""
    made = plan(_with(snapshot, changed), now)
    wait = made.waits.get(changed.lab_id)
    if wait is not None and wait.estimate is None:
        return None
    return Lever(code, words, changed, wait.estimate if wait else None)


def _sooner(offered: Estimate | None, expected: Estimate | None, now: datetime) -> bool:
    if offered is None or expected is None:
        return True
    return (offered.latest - now) <= (expected.latest - now) * (1 - WORTH)
