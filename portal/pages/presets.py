"""The one-click starts: sizes that fit both the person's limits and the machines that there are. Pure but for one query."""

from collections.abc import Iterable
from dataclasses import dataclass

from labs.catalogue.models import Image
from labs.lifecycle.occupancy import nodes_view
from labs.policy.rules import Limits
from labs.scheduler.snapshot import NodeView

CPUS, MEMORY_GIB, HOURS = 4, 16, 8
MOST_IMAGES = 3


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes that a click without a form takes."""

    cpus: int
    memory_gib: int
    hours: int


@dataclass(frozen=True, slots=True)
class Preset:
    """One button: an image with or without a GPU. `borrows`: its GPU would be over the person's guarantee."""

    image: Image
    gpus: int
    sizes: Sizes
    borrows: bool = False


def sizes_for(*, limits: Limits, nodes: Iterable[NodeView]) -> Sizes:
    """Half of what the largest machine has, at most the usual sizes, never above the person's limits, at least one."""
    nodes = list(nodes)
    cores = max((node.cpus for node in nodes), default=CPUS)
    memory = max((node.memory_mib // 1024 for node in nodes), default=2 * MEMORY_GIB)
    return Sizes(
        cpus=max(1, min(CPUS, limits.cpus, cores)),
        memory_gib=max(1, min(MEMORY_GIB, limits.memory_gib, memory // 2)),
        hours=max(1, min(HOURS, limits.hours_max)),
    )


def presets(*, images: Iterable[Image], limits: Limits, borrows: bool) -> list[Preset]:
    """A button with one GPU and one without for the first images; with a GPU only where there are cards and the limit allows one."""
    nodes = nodes_view()
    sizes = sizes_for(limits=limits, nodes=nodes)
    counts = (1, 0) if limits.gpus_max and any(not card.slice for node in nodes for card in (*node.cards, *node.away)) else (0,)
    return [Preset(image, gpus, sizes, borrows=bool(gpus) and borrows) for image in list(images)[:MOST_IMAGES] for gpus in counts]
