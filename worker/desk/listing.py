"""What lies in a folder: folders first, sorted, a page at a time."""

import os
import stat
from dataclasses import asdict, dataclass
from typing import Any

from worker.desk.paths import Parts, Root

PAGE = 200
SORTS = ("name", "size", "changed")


@dataclass(frozen=True)
class Entry:
    """One name in a folder. `kind` is folder, file, link or other; `changed` in seconds of the epoch."""

    name: str
    kind: str
    size: int
    changed: float


@dataclass(frozen=True)
class View:
    """How a person looks at a folder."""

    sort: str = "name"
    down: bool = False
    hidden: bool = False
    page: int = 1


@dataclass(frozen=True)
class Listing:
    """One page of a folder."""

    entries: tuple[Entry, ...]
    total: int
    hidden: int
    pages: int
    page: int

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def listed(root: Root, where: Parts, view: View) -> Listing:
    """The page of the folder that the view asks for. Raises OSError."""
    with root.folder(where) as handle:
        found = [_entry(handle, name) for name in os.listdir(handle)]
    there = [one for one in found if one is not None]
    shown = there if view.hidden else [one for one in there if not one.name.startswith(".")]
    pages = max(-(-len(shown) // PAGE), 1)
    page = min(max(view.page, 1), pages)
    ordered = arranged(shown, view)
    return Listing(tuple(ordered[(page - 1) * PAGE : page * PAGE]), len(shown), len(there) - len(shown), pages, page)


def arranged(entries: list[Entry], view: View) -> list[Entry]:
    """Folders first, whatever the order; equal ones by name."""
    by_name = sorted(entries, key=lambda one: (one.name.casefold(), one.name), reverse=view.down and view.sort == "name")
    if view.sort != "name":
        by_name.sort(key=lambda one: one.size if view.sort == "size" else one.changed, reverse=view.down)
    return sorted(by_name, key=lambda one: one.kind != "folder")


def _entry(handle: int, name: str) -> Entry | None:
    try:
        state = os.stat(name, dir_fd=handle, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return Entry(name, kind_of(state), state.st_size, state.st_mtime)


def kind_of(state: os.stat_result) -> str:
    """Folder, file, link or other."""
    if stat.S_ISDIR(state.st_mode):
        return "folder"
    if stat.S_ISLNK(state.st_mode):
        return "link"
    return "file" if stat.S_ISREG(state.st_mode) else "other"
