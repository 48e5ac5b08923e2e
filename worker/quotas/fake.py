"""A file system in memory that keeps limits. Tests write with `write`, where a lab would."""

import errno
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from worker.quotas.base import NONE, Held, Lack, QuotaFault


@dataclass(slots=True)
class FakeQuotas:
    """Folders need not be there. `why` is what it lacks; `broken` what every other call says instead."""

    why: Lack | None = None
    broken: str = ""
    marks: dict[Path, int] = field(default_factory=dict)
    limits: dict[int, tuple[int, int]] = field(default_factory=dict)
    _files: dict[Path, tuple[int, int]] = field(default_factory=dict)  # the number that each bears, and its bytes

    def lack(self, folder: Path) -> Lack | None:
        """What a test says."""
        return self.why

    def held(self, folder: Path) -> dict[int, Held]:
        """Counted."""
        self._works()
        numbers = {*self.limits, *(number for number, _ in self._files.values())}
        return {number: self._held(number) for number in numbers}

    def allow(self, folder: Path, number: int, *, size: int, files: int) -> None:
        """Kept."""
        self._works()
        self.limits[number] = (size, files)

    def numbers(self, folders: Sequence[Path]) -> dict[Path, int]:
        """What was marked."""
        self._works()
        return {folder: self._number(folder) for folder in folders}

    def mark(self, folder: Path, number: int) -> None:
        """All that lies below."""
        self._works()
        self.marks[folder] = number
        self._files |= {file: (number, size) for file, (_, size) in self._files.items() if file.is_relative_to(folder)}

    def write(self, file: Path, size: int) -> None:
        """A file of so many bytes, or an OSError as a full project has it."""
        bears, had = self._files.get(file, (self._number(file), 0))
        held, fresh = self._held(bears), file not in self._files
        if (held.limit and size > had and held.size - had + size > held.limit) or (held.most and fresh and held.files + 1 > held.most):
            raise OSError(errno.EDQUOT, "Disk quota exceeded", str(file))
        self._files[file] = (bears, size)

    def remove(self, file: Path) -> None:
        """It is gone."""
        self._files.pop(file, None)

    def _number(self, place: Path) -> int:
        return next((self.marks[one] for one in (place, *place.parents) if one in self.marks), NONE)

    def _held(self, number: int) -> Held:
        sizes = [size for bears, size in self._files.values() if bears == number]
        limit, most = self.limits.get(number, (0, 0))
        return Held(sum(sizes), len(sizes), limit, most)

    def _works(self) -> None:
        if self.broken:
            raise QuotaFault(self.broken)
