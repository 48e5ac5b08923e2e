"""What the gateway asks of whoever knows people and labs, and what it is answered. Nothing here knows the records."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Found:
    """A person's key and the lab of theirs that they named.

    `closed` says in words why it cannot be entered now, `elsewhere` what to do about it without a terminal. On one it is followed until
    it opens, if it `comes`, and `asks` is the question whose yes starts it.
    """

    user_id: int
    key_id: int
    lab_id: str
    closed: str = ""
    elsewhere: str = ""
    asks: str = ""
    comes: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a lab is: it can be entered, it is over, or `words` say what it waits for. Worth another look after `again_s` seconds."""

    words: str
    ready: bool = False
    over: bool = False
    again_s: float = 1.0


class Directory(Protocol):
    """What the gateway asks."""

    def find(self, fingerprint: str, name: str) -> Found | None:
        """The key's owner and their own lab of that name or id; None for everything else."""
        ...

    def standing(self, key_ids: Iterable[int]) -> set[int]:
        """Those of the keys that still open a door."""
        ...

    def touch(self, key_id: int, lab_id: str) -> None:
        """Note that the key was used, and which lab was entered, if any."""
        ...

    def known_by(self, host_key: str) -> None:
        """Note by which public key clients know this gateway."""
        ...

    def start(self, found: Found) -> Found:
        """Start what is closed, as its owner; what was started may have another id. Raises Unreachable with words when it is refused."""
        ...

    def progress(self, found: Found) -> Progress:
        """How far it is."""
        ...
