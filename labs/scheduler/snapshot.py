"""What the scheduler sees: plain values, loaded at one moment. Sizes in MiB, spans in seconds, shares in whole cards."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from labs.policy.rules import Asked, Held, Limits, Share
from labs.scheduler.policy import Policy


@dataclass(frozen=True, slots=True)
class Card:
    """A healthy card, or a MIG slice of one. A card in MIG mode is not listed: its slices are.

    `place` is where it sits, outermost first (NUMA node, PCIe switch, NVLink island): cards that share more of it are nearer.
    `kept_for` names the one lab that may take it while it is free (a claim window, cards that were reclaimed).
    """

    uuid: str
    model: str
    free: bool
    share: float = 1.0
    slice: str = ""  # the MIG profile; empty for a whole card
    memory_mib: int = 0
    place: tuple[str, ...] = ()
    kept_for: str = ""


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
    away: tuple[Card, ...] = ()  # not well now, and expected back: nothing is placed on them, and a lab may wait for them
    away_words: str = ""  # what is the matter with them
    encrypts: bool | None = None  # workspaces lie encrypted; None where that cannot be told


@dataclass(frozen=True, slots=True)
class ImageView:
    """An image on one node: held, or how far it is."""

    present: bool
    words: str


@dataclass(frozen=True, slots=True)
class Running:
    """A lab that is placed (starting, running or stopping). A card that is busy and in no Running may come free at any moment."""

    lab_id: str
    owner_id: int
    node_id: str
    gpu_uuids: tuple[str, ...]
    cpus: int
    memory_mib: int
    started_at: datetime
    ends_at: datetime  # its limit
    share: float = 0.0  # what it counts for: whole cards and fractions of them
    over_quota: bool = False  # above its owner's guarantee: may be taken back
    over_budget: bool = False  # its owner's GPU-hours ran out: may be taken back too
    notice_until: datetime | None = None  # reclaim is under way, and this is when its cards come free
    taken_for: str = ""  # the lab that they were taken back for
    hold_id: str = ""  # started for a class, on the class's cards
    waited_s: float = 0.0  # how long it had waited when it was placed


@dataclass(frozen=True, slots=True)
class Waiting:
    """A lab that waits. `on_node` binds it to a node: the next attempt of a running lab, or a wish for one.

    `blocked` are reasons found outside the scheduler (a group's budget, an answer that is awaited): it waits for them and holds nobody up.
    `priority` is an administrator's: higher goes first, below 0 goes last.
    """

    lab_id: str
    owner_id: int
    since: datetime
    asked: Asked
    gpu_model: str
    image_id: int
    image_runtime: str
    on_node: str = ""
    pinned: str = ""  # why it is bound to that node, where its owner did not ask for it
    placed: bool = False  # runs now and waits for cards only
    gpus_held: int = 0  # cards that it gives back when it gets the new ones
    wants_slice: str = ""  # a MIG profile, or "any": one slice instead of a whole card; `asked.gpus` is 1
    may_borrow: bool = True  # over quota, where the role allows it
    priority: int = 0
    hold_id: str = ""  # for a class: runs on its cards, and counts for it, not for the person
    blocked: tuple[str, ...] = ()
    data: tuple[str, ...] = ()  # data sets that must be where it runs
    lacks: tuple[tuple[str, str], ...] = ()  # (node, why): nodes that have not all of those, or do not encrypt where its owner's group asks for it


@dataclass(frozen=True, slots=True)
class Group:
    """An organisation, team or course: a branch of the fair tree."""

    id: int
    name: str
    weight: float = 1.0
    usage: float = 0.0  # decayed GPU-hours of all its people
    held: float = 0.0  # shares held now
    guarantee: float | None = None  # shares that others cannot take back; None is no guarantee of its own


@dataclass(frozen=True, slots=True)
class Person:
    """What fairness needs of a person. Without one: weight 1, nothing used, in no group."""

    owner_id: int
    weight: float = 1.0
    usage: float = 0.0  # decayed GPU-hours
    path: tuple[int, ...] = ()  # the fair tree above the person, organisation first
    groups: tuple[int, ...] = ()  # keys of Snapshot.shares: every group whose caps count
    runs: tuple[float, ...] = ()  # sorted: what part of their limit the person's past labs used, 0 to 1


@dataclass(frozen=True, slots=True)
class Hold:
    """Cards that are set aside for a while, or a node that is (`closes`: maintenance). `words` go behind "held for": "Vision 101 until 14:00"."""

    id: str
    words: str
    start: datetime
    until: datetime
    node_id: str = ""  # empty: on any node
    model: str = ""  # empty: of any model
    gpus: int = 0
    slices: int = 0
    people: frozenset[int] = frozenset()  # who may use them with their own labs as well
    closes: bool = False  # nobody may run there


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a plan depends on, the clock apart."""

    nodes: tuple[NodeView, ...]
    waiting: tuple[Waiting, ...]
    images: Mapping[tuple[str, int], ImageView] = field(default_factory=dict)  # (node, image)
    held: Mapping[int, Held] = field(default_factory=dict)  # person
    limits: Mapping[int, Limits] = field(default_factory=dict)
    running: tuple[Running, ...] = ()
    people: Mapping[int, Person] = field(default_factory=dict)
    groups: Mapping[int, Group] = field(default_factory=dict)
    shares: Mapping[int, Share] = field(default_factory=dict)  # caps of whole groups, and what their people hold
    holds: tuple[Hold, ...] = ()
    runs: tuple[float, ...] = ()  # as Person.runs, of everybody
    policy: Policy = field(default_factory=Policy)
    may_lose_s: float | None = None  # card-seconds of work that may still be thrown away by taking cards back; None is no limit


@dataclass(frozen=True, slots=True)
class Placement:
    """Start this lab there, with these cards."""

    lab_id: str
    node_id: str
    gpu_uuids: tuple[str, ...]
    over_quota: bool = False


@dataclass(frozen=True, slots=True)
class Reclaim:
    """Take this lab's cards back for that one: it gets notice now and ends at `until`."""

    lab_id: str
    taken_for: str
    node_id: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a waiting lab is kept: so many cards on that node, from then on."""

    lab_id: str
    node_id: str
    model: str
    gpus: int
    start: datetime


@dataclass(frozen=True, slots=True)
class Estimate:
    """When a lab is expected to start: between these."""

    soonest: datetime
    latest: datetime


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a lab waits, in words, and its place (1 is next). Without an estimate, nothing is known that would start it."""

    lab_id: str
    place: int
    reasons: tuple[str, ...]
    estimate: Estimate | None = None


@dataclass(frozen=True, slots=True)
class Lever:
    """A change of the wish that starts it sooner: what it is in words, the wish changed, and when that starts (None: now)."""

    code: str  # "gpus:1", "model:NVIDIA L4", "slice:1g.10gb", "hours:4", "node:n2", "over_quota"
    words: str
    waiting: Waiting
    estimate: Estimate | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, why everybody else waits and until when, and which images to fetch meanwhile."""

    placements: tuple[Placement, ...]
    waits: Mapping[str, Wait]
    fetch: tuple[tuple[str, int], ...]  # (node, image)
    reclaims: tuple[Reclaim, ...] = ()
    reservations: tuple[Reservation, ...] = ()
