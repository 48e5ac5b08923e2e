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


@dataclass(frozen=True, slots=True)
class Person:
    """What decides about a person's passes. Passes issued before `passes_not_before` (epoch seconds) are refused."""

    active: bool
    is_admin: bool
    passes_not_before: float


@dataclass(frozen=True, slots=True)
class RelaySnapshot:
    """Everything at one moment. `tokens` maps the SHA-256 hex digest of a lab token to its lab and its id."""

    routes: Mapping[str, Route] = field(default_factory=dict)
    people: Mapping[int, Person] = field(default_factory=dict)
    tokens: Mapping[str, tuple[str, int]] = field(default_factory=dict)
