"""Which cards are near each other: NUMA node, PCIe switch, NVLink island. Asked once for each set of cards."""

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import pynvml

from worker.probes.nvml.calls import or_none

#: Nearest of all, nearer than any way over PCIe.
NVLINK = -1
#: A card's place, outermost first: the island it is on at each of these distances.
LEVELS = (("numa", pynvml.NVML_TOPOLOGY_NODE), ("switch", pynvml.NVML_TOPOLOGY_MULTIPLE), ("nvlink", NVLINK))
Places = Mapping[str, tuple[str, ...]]


def places_of(handles: Mapping[str, Any]) -> Places:
    """The place of each card by UUID; empty where the driver does not tell how far cards are from each other."""
    far = {(one, two): _distance(handles[one], handles[two]) for one, two in combinations(handles, 2)}
    if any(distance is None for distance in far.values()):
        return {}
    return {uuid: tuple(f"{name}{_island(uuid, list(handles), near)}" for name, near in _nearness(far)) for uuid in handles}


def _nearness(far: Mapping[tuple[str, str], int | None]) -> list[tuple[str, Callable[[str, str], bool]]]:
    def within(level: int) -> Callable[[str, str], bool]:
        near = {pair for pair, distance in far.items() if distance is not None and distance <= level}
        return lambda one, two: (one, two) in near or (two, one) in near

    return [(name, within(level)) for name, level in LEVELS]


def _distance(one: Any, two: Any) -> int | None:
    """NVLINK, or how far up the PCIe tree their common ancestor is (10 for one switch, 50 for another socket)."""
    linked = or_none(pynvml.nvmlDeviceGetP2PStatus, one, two, pynvml.NVML_P2P_CAPS_INDEX_NVLINK)
    if linked == pynvml.NVML_P2P_STATUS_OK:
        return NVLINK
    level = or_none(pynvml.nvmlDeviceGetTopologyCommonAncestor, one, two)
    return int(level) if level is not None else None


def _island(uuid: str, cards: list[str], near: Callable[[str, str], bool]) -> int:
    """The number of the first card that `uuid` reaches by near steps: the same for all of an island."""
    reached, todo = {uuid}, [uuid]
    while todo:
        at = todo.pop()
        step = {card for card in cards if card not in reached and near(at, card)}
        reached |= step
        todo += step
    return min(cards.index(card) for card in reached)
