"""What keeps people's workspaces within their limits: the file system that they lie on, by project quota.

A project is a number that each file and folder of a tree bears, and that what is made in the tree inherits. A driver knows nothing of people.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

#: People's numbers count down from here by their uid, which is unique in the record and on the host. Engines count theirs up from the highest they find.
TOP = 2_000_000_000
#: The number of whatever bears none.
NONE = 0


class QuotaFault(Exception):
    """The file system, or a program that speaks to it, did not do it; `words` are an administrator's."""

    def __init__(self, words: str, *, detail: str = "") -> None:
        super().__init__(f"{words} {detail}".strip())
        self.words = words


@dataclass(frozen=True, slots=True)
class Lack:
    """Why limits are not kept where workspaces lie; `fix` says what would help where somebody has prepared it and it does not work, else nothing."""

    words: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """What bears one number: bytes of the disk, files and folders; the most of each, 0 for no limit."""

    size: int
    files: int
    limit: int = 0
    most: int = 0


class Quotas(Protocol):
    """The verbs; each may be called twice. All but `lack` raise QuotaFault."""

    def lack(self, folder: Path) -> Lack | None:
        """Why this worker can keep no limits in the file system of the folder; None where it can."""
        ...

    def held(self, folder: Path) -> dict[int, Held]:
        """What bears each number in the file system of the folder, in one call for all."""
        ...

    def allow(self, folder: Path, number: int, *, size: int, files: int) -> None:
        """So many bytes and files may bear the number in the folder's file system from now on; 0 is no limit. What is there stays, also above it."""
        ...

    def numbers(self, folders: Sequence[Path]) -> dict[Path, int]:
        """Which number is inherited by what is made in each folder; NONE for none. Folders that are not there are left out."""
        ...

    def mark(self, folder: Path, number: int) -> None:
        """Let the whole tree bear the number, and whatever is made in it. Long. What its owner may not open keeps the number that it has."""
        ...


def number_of(uid: int) -> int:
    """The number of a person's workspace."""
    return TOP - uid
