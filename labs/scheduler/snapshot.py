"""What the scheduler sees: plain values, loaded at one moment. Sizes in MiB."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from labs.policy.rules import Asked, Held, Limits


@dataclass(frozen=True, slots=True)
class Card:
    """A healthy card."""

    uuid: str
    model: str
    free: bool


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node with what is free. `closed` is empty where labs may be placed, else the reason in words."""

    id: str
    name: str
    cpus: int
    free_cpus: int
    memory_mib: int
    free_memory_mib: int
    cards: tuple[Card, ...]
    closed: str = ""
    runtime: str = ""


@dataclass(frozen=True, slots=True)
class ImageView:
    """An image on one node: held, or how far it is."""

    present: bool
    words: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A lab that waits. `on_node` binds the next attempt of a running lab to where its files are."""

    lab_id: str
    owner_id: int
    since: datetime
    asked: Asked
    gpu_model: str
    image_id: int
    image_runtime: str
    on_node: str = ""
    placed: bool = False  # runs now and waits for cards only
    gpus_held: int = 0  # cards that it gives back when it gets the new ones


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a plan depends on."""

    nodes: tuple[NodeView, ...]
    waiting: tuple[Waiting, ...]
    images: Mapping[tuple[str, int], ImageView] = field(default_factory=dict)  # (node, image)
    held: Mapping[int, Held] = field(default_factory=dict)  # person
    limits: Mapping[int, Limits] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Placement:
    """Start this lab there, with these cards."""

    lab_id: str
    node_id: str
    gpu_uuids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a lab waits, in words, and its place (1 is next)."""

    lab_id: str
    place: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, why everybody else waits, and which images to fetch meanwhile."""

    placements: tuple[Placement, ...]
    waits: Mapping[str, Wait]
    fetch: tuple[tuple[str, int], ...]  # (node, image)
