"""What a relay has to know: where labs answer, who may enter, which tokens are good. Pure and immutable."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Route:
    """A live lab of the relay's node (or one that still waits for a node). Addresses are None until it answers."""

    lab_id: str
    attempt: int
    owner_id: int
    state: str
    jupyter: Address | None = None
    ssh: Address | None = None
    inside: str = ""  # the host at which the ports of its own programs answer, seen from its node
    node: str = ""  # the node that it is on, where that is another than the relay's own
    via: Address | None = None  # where that node's relay takes ours
    files: bool = False  # it is no lab, but the file page of its owner's workspace


@dataclass(frozen=True, slots=True)
class Person:
    """What decides about a person's passes. Passes issued before `passes_not_before` (epoch seconds) are refused."""

    active: bool
    is_admin: bool
    passes_not_before: float


@dataclass(frozen=True, slots=True)
class RelaySnapshot:
    """Everything at one moment. `tokens` maps the SHA-256 hex digest of a lab token to its lab and its id.

    `sessions` are digests of the portal's sessions that nobody has ended; `guests` says who else may use an app: (lab, port) -> people.
    """

    routes: Mapping[str, Route] = field(default_factory=dict)
    people: Mapping[int, Person] = field(default_factory=dict)
    tokens: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    sessions: frozenset[str] = frozenset()
    guests: Mapping[tuple[str, int], frozenset[int]] = field(default_factory=dict)
