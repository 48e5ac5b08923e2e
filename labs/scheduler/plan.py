"""Who gets what now, and why everybody else waits. Pure, deterministic, total.

Order is the time of asking. A lab that waits for its own quota stands aside; one that waits for cards or memory
keeps the nodes that could serve it closed to later labs of its kind, so that small wishes cannot starve a large one.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime

from labs.policy.rules import Answer, Held, judge
from labs.scheduler.snapshot import NodeView, Placement, Plan, Snapshot, Wait, Waiting


@dataclass(slots=True)
class _Room:
    """A node while the plan is made."""

    node: NodeView
    cpus: int
    memory_mib: int
    cards: dict[str, list[str]]  # model -> free UUIDs in order
    kept_models: set[str] = field(default_factory=set)
    kept_memory: bool = False


def plan(snapshot: Snapshot, now: datetime) -> Plan:
    """Place in order; every lab that is not placed gets its reasons."""
    rooms = [_room(node) for node in snapshot.nodes]
    held = dict(snapshot.held)
    placements: list[Placement] = []
    waits: dict[str, Wait] = {}
    fetch: dict[tuple[str, int], None] = {}
    for lab in sorted(snapshot.waiting, key=lambda lab: (lab.since, lab.lab_id)):
        placed, reasons = _try(lab, rooms, held, snapshot, fetch)
        if placed:
            placements.append(placed)
        else:
            waits[lab.lab_id] = Wait(lab.lab_id, len(waits) + 1, tuple(reasons))
    return Plan(tuple(placements), waits, tuple(fetch))


def impossible(lab: Waiting, nodes: tuple[NodeView, ...]) -> str:
    """Words when no node could serve the wish even if it were empty; empty when one could."""
    if not nodes:
        return ""
    suited = [node for node in nodes if _may_run_on(node, lab)]
    if not suited:
        return "No node runs images of this kind."
    asked, most = lab.asked, max(_most_cards(node, lab) for node in suited)
    if asked.gpus > most:
        kind = f" of model {lab.gpu_model}" if lab.gpu_model else ""
        return f"No node has {_gpus(asked.gpus)}{kind}: the most that one node has of one model is {most}, and all GPUs of a lab are on one node."
    if asked.cpus > max(node.cpus for node in suited):
        return f"The largest node has {max(node.cpus for node in suited)} CPU cores."
    if asked.memory_mib > max(node.memory_mib for node in suited):
        return f"The largest node has {max(node.memory_mib for node in suited) // 1024} GiB of memory."
    if not any(_could_serve(node, lab) for node in suited):
        return "No single node has that many GPUs, CPU cores and that much memory together."
    return ""


def _may_run_on(node: NodeView, lab: Waiting) -> bool:
    """Of the image's kind and, for a running lab, where its files are."""
    return node.runtime in ("", lab.image_runtime) and (not lab.on_node or node.id == lab.on_node)


def _most_cards(node: NodeView, lab: Waiting) -> int:
    """Cards of one model that the node has for the lab, free or not."""
    return max(Counter(card.model for card in node.cards if _fits_model(card.model, lab)).values(), default=0)


def _could_serve(node: NodeView, lab: Waiting) -> bool:
    """Would the lab fit if the node were empty?"""
    asked = lab.asked
    return _most_cards(node, lab) >= asked.gpus and (lab.placed or (node.cpus >= asked.cpus and node.memory_mib >= asked.memory_mib))


def _room(node: NodeView) -> _Room:
    cards: dict[str, list[str]] = {}
    for card in node.cards:
        if card.free:
            cards.setdefault(card.model, []).append(card.uuid)
    return _Room(node, node.free_cpus, node.free_memory_mib, cards)


def _try(lab: Waiting, rooms: list[_Room], held: dict[int, Held], snapshot: Snapshot, fetch: dict[tuple[str, int], None]) -> tuple[Placement | None, list[str]]:
    limits = snapshot.limits.get(lab.owner_id)
    have = _without_itself(held.get(lab.owner_id, Held()), lab)
    if limits is not None:
        verdict = judge(lab.asked, have, limits)
        if verdict.answer != Answer.NOW:
            return None, [reason.words for reason in verdict.reasons]
    never = impossible(lab, snapshot.nodes)
    if never:
        return None, [never]
    suited, reasons = _suited(lab, rooms, snapshot, fetch)
    for room in sorted(suited, key=lambda room: (_free(room, lab), room.memory_mib, room.node.id)):
        if _has_space(room, lab):
            held[lab.owner_id] = _plus(have, lab)
            return _take(room, lab), []
    if suited:
        reasons = [_shortage(lab, suited), *reasons]
    for room in suited:
        _keep(room, lab)
    return None, reasons or ["No node is ready."]


def _suited(lab: Waiting, rooms: list[_Room], snapshot: Snapshot, fetch: dict[tuple[str, int], None]) -> tuple[list[_Room], list[str]]:
    """Nodes that hold the image and are open; and what is wrong with the others. Remembers the images to fetch."""
    suited: list[_Room] = []
    reasons: list[str] = []
    for room in rooms:
        node = room.node
        if not _may_run_on(node, lab):
            continue
        if node.closed:
            reasons.append(f"Node {node.name}: {node.closed}.")
            continue
        image = snapshot.images.get((node.id, lab.image_id))
        if image is None or not image.present:
            fetch[(node.id, lab.image_id)] = None
            reasons.append(image.words if image else "The image is about to be prepared.")
            continue
        suited.append(room)
    return suited, list(dict.fromkeys(reasons))


def _fits_model(model: str, lab: Waiting) -> bool:
    return not lab.gpu_model or model == lab.gpu_model


def _free(room: _Room, lab: Waiting) -> int:
    """Free cards of one model, kept ones included."""
    return max((len(uuids) for model, uuids in room.cards.items() if _fits_model(model, lab)), default=0)


def _has_space(room: _Room, lab: Waiting) -> bool:
    if lab.asked.gpus and _best_model(room, lab) is None:
        return False
    if lab.placed:
        return True
    return not room.kept_memory and room.cpus >= lab.asked.cpus and room.memory_mib >= lab.asked.memory_mib


def _best_model(room: _Room, lab: Waiting) -> str | None:
    """The model with the fewest free cards that suffices and is not kept: a lab's cards are of one model."""
    open_models = {model: len(uuids) for model, uuids in room.cards.items() if _fits_model(model, lab) and model not in room.kept_models}
    fitting = [(free, model) for model, free in open_models.items() if free >= lab.asked.gpus]
    return min(fitting)[1] if fitting else None


def _take(room: _Room, lab: Waiting) -> Placement:
    uuids: list[str] = []
    if lab.asked.gpus:
        model = _best_model(room, lab) or ""
        uuids, room.cards[model] = room.cards[model][: lab.asked.gpus], room.cards[model][lab.asked.gpus :]
    if not lab.placed:
        room.cpus -= lab.asked.cpus
        room.memory_mib -= lab.asked.memory_mib
    return Placement(lab.lab_id, room.node.id, tuple(uuids))


def _keep(room: _Room, lab: Waiting) -> None:
    """Hold what a waiting lab needs against later ones, where it could ever be served."""
    if not _could_serve(room.node, lab):
        return
    if lab.asked.gpus and _best_model(room, lab) is None:
        counts = Counter(card.model for card in room.node.cards if _fits_model(card.model, lab))
        room.kept_models |= {model for model, count in counts.items() if count >= lab.asked.gpus}
    elif not lab.placed:
        room.kept_memory = True


def _shortage(lab: Waiting, suited: list[_Room]) -> str:
    if lab.asked.gpus:
        free = max(_free(room, lab) for room in suited)
        if free < lab.asked.gpus:
            return f"Needs {_gpus(lab.asked.gpus, lab.gpu_model)} on one node; {free} free now."
        if all(_best_model(room, lab) is None for room in suited):
            return "The free cards are kept for a lab that asked earlier."
    if any(room.cpus >= lab.asked.cpus and room.memory_mib >= lab.asked.memory_mib for room in suited):
        return "The free memory is kept for a lab that asked earlier."
    memory = max(room.memory_mib for room in suited) // 1024
    cpus = max(room.cpus for room in suited)
    return f"Needs {lab.asked.cpus} CPU cores and {lab.asked.memory_mib // 1024} GiB of memory on one node; at most {cpus} cores and {memory} GiB are free."


def _gpus(count: int, model: str = "") -> str:
    return f"{count} {model + ' ' if model else ''}GPU{'' if count == 1 else 's'}"


def _without_itself(held: Held, lab: Waiting) -> Held:
    """A running lab that waits for cards is judged as if it started anew."""
    if not lab.placed:
        return held
    return replace(held, gpus=held.gpus - lab.gpus_held, labs=held.labs - 1, cpus=held.cpus - lab.asked.cpus, memory_mib=held.memory_mib - lab.asked.memory_mib)


def _plus(held: Held, lab: Waiting) -> Held:
    asked = lab.asked
    return replace(held, gpus=held.gpus + asked.gpus, labs=held.labs + 1, cpus=held.cpus + asked.cpus, memory_mib=held.memory_mib + asked.memory_mib)
