"""Where a lab fits: which node, which cards, and what could never be."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from labs.scheduler.gates import Gates
from labs.scheduler.rooms import Kind, Room, kind_suits
from labs.scheduler.snapshot import Card, NodeView, Waiting
from labs.scheduler.words import gpus_words


class Spot(NamedTuple):
    """A node and kind of card that a lab fits on now; the smallest leaves the least over."""

    left_over: int
    memory_mib: int
    node_id: str
    room: Room
    kind: Kind | None


def spot_best(lab: Waiting, choices: Sequence[tuple[Room, Kind | None]], gates: Gates, end: datetime) -> Spot | None:
    """The tightest fit among nodes that have the cards."""
    asked, own, best = lab.asked, gates.own(lab), None
    for room, kind in choices:
        if not lab.placed and (room.cpus < asked.cpus or room.memory_mib < asked.memory_mib):
            continue
        left = room.free_for(kind, lab.lab_id) - asked.gpus if kind else max((len(cards) for cards in room.free.values()), default=0)
        spot = Spot(left, room.memory_mib, room.node.id, room, kind)
        if best is not None and best[:3] <= spot[:3]:
            continue
        if beside_bookings(room, kind, lab, end) and not gates.closed(room, end) and not gates.against(room, kind, asked.gpus, end, own):
            best = spot
    return best


def beside_bookings(room: Room, kind: Kind | None, lab: Waiting, end: datetime) -> bool:
    """Does the lab delay nobody who has a booking there?"""
    asked = lab.asked
    for booking in room.bookings:
        if booking.at >= end or booking.lab_id == lab.lab_id:
            continue
        if kind is not None and kind == booking.kind and booking.spare_gpus < asked.gpus:
            return False
        if not lab.placed and (booking.spare_cpus < asked.cpus or booking.spare_memory_mib < asked.memory_mib):
            return False
    return True


def nearest(cards: Sequence[Card], count: int, depth: int = 0) -> list[Card]:
    """So many of the cards that sit as near to each other as can be, and leave larger islands whole."""
    if count >= len(cards) or not any(len(card.place) > depth for card in cards):
        return list(cards[:count])
    islands: dict[str, list[Card]] = {}
    for card in cards:
        islands.setdefault(card.place[depth] if len(card.place) > depth else "", []).append(card)
    enough = [island for island in islands.values() if len(island) >= count]
    if enough:
        return nearest(min(enough, key=len), count, depth + 1)
    chosen: list[Card] = []
    for island in sorted(islands.values(), key=len, reverse=True):
        chosen += nearest(island, min(count - len(chosen), len(island)), depth + 1)
    return chosen


def impossible(lab: Waiting, nodes: Sequence[NodeView]) -> str:
    """Words when no node could serve the wish even if it were empty; empty when one could."""
    if not nodes:
        return ""
    suited = [node for node in nodes if may_run_on(node, lab)]
    if not suited:
        return "No node runs images of this kind."
    if not all(node.runtime for node in suited):
        return ""  # one that has just begun has not said yet how large it is
    asked, most = lab.asked, max(most_cards(node, lab) for node in suited)
    if asked.gpus > most:
        return _too_many(lab, most)
    if not lab.placed and asked.cpus > max(node.cpus for node in suited):
        return f"The largest node has {max(node.cpus for node in suited)} CPU cores."
    if not lab.placed and asked.memory_mib > max(node.memory_mib for node in suited):
        return f"The largest node has {max(node.memory_mib for node in suited) // 1024} GiB of memory."
    if not any(_could_serve(node, lab) for node in suited):
        return "No single node has that many GPUs, CPU cores and that much memory together."
    return ""


def may_run_on(node: NodeView, lab: Waiting) -> bool:
    """Of the image's kind and, for a running lab, where its files are."""
    return node.runtime in ("", lab.image_runtime) and (not lab.on_node or node.id == lab.on_node)


def _too_many(lab: Waiting, most: int) -> str:
    kind = f" of model {lab.gpu_model}" if lab.gpu_model else ""
    if lab.wants_slice:
        return f"No node has such a slice of a GPU{kind}."
    return f"No node has {gpus_words(lab.asked.gpus)}{kind}: the most that one node has of one model is {most}, and all GPUs of a lab are on one node."


def most_cards(node: NodeView, lab: Waiting) -> int:
    """Cards of one kind that the node has for the lab, free or not, and those that are expected back."""
    kinds = Counter((card.model, card.slice) for card in (*node.cards, *node.away))
    return max((count for kind, count in kinds.items() if kind_suits(kind, lab)), default=0)


def _could_serve(node: NodeView, lab: Waiting) -> bool:
    """Would the lab fit if the node were empty?"""
    asked = lab.asked
    return most_cards(node, lab) >= asked.gpus and (lab.placed or (node.cpus >= asked.cpus and node.memory_mib >= asked.memory_mib))
