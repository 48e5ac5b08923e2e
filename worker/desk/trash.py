"""What was deleted, kept for seven days: each in a folder of its own with a note of where it was."""

import json
import os
import re
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from worker.desk.errors import Wrong
from worker.desk.moves import remove, rename, rename_beside
from worker.desk.paths import FILE, HOUSE, Parts, Root, own_check, parts_of

TRASH: Parts = (HOUSE, "trash")
KEPT_S = 7 * 24 * 3600
NOTE, ITEM = "note.json", "item"
NOTE_MOST = 16 * 1024
ID = re.compile(r"[0-9]{10}-[0-9a-f]{8}")


@dataclass(frozen=True)
class Thrown:
    """One thing in the trash: what it was, and until when it is kept (seconds of the epoch)."""

    id: str
    path: str
    deleted: float

    @property
    def until(self) -> float:
        """When it is removed for ever."""
        return self.deleted + KEPT_S


def throw(root: Root, what: Parts) -> str:
    """Put it into the trash; the id under which it lies there. Raises OSError."""
    own_check(what)
    with root.beside(what) as (source, name):
        os.stat(name, dir_fd=source, follow_symlinks=False)
        key = f"{int(time.time())}-{secrets.token_hex(4)}"
        with root.folder((*TRASH, key), make=True) as place:
            note_write(place, NOTE, {"path": "/".join(what), "deleted": time.time()})
            rename(source, name, place, ITEM)
    return key


def thrown(root: Root) -> list[Thrown]:
    """Everything in the trash, the newest first."""
    with root.folder(TRASH, make=True) as trash:
        keys = [key for key in os.listdir(trash) if ID.fullmatch(key)]
    return sorted((one for key in keys if (one := _noted(root, key))), key=lambda one: one.deleted, reverse=True)


def restore(root: Root, key: str) -> str:
    """Put it back where it was, beside what is there by now; where it lies."""
    one = _known(root, key)
    where = own_check(parts_of(one.path))
    with root.folder((*TRASH, key)) as place, root.folder(where[:-1], make=True) as target:
        name = rename_beside(place, ITEM, target, where[-1])
    with root.folder(TRASH) as trash, suppress(OSError):
        remove(trash, key)
    return "/".join((*where[:-1], name))


def purge(root: Root, key: str) -> int:
    """Remove it for ever; the bytes that were in its files."""
    _key_check(key)
    with root.folder(TRASH) as trash:
        return remove(trash, key)


def sweep(root: Root, now: float) -> float | None:
    """Remove what has lain there for seven days; when the next is due, None when there is nothing."""
    for one in thrown(root):
        if one.until <= now:
            with suppress(OSError, Wrong):
                purge(root, one.id)
    return min((max(one.until, now + 3600) for one in thrown(root)), default=None)


def _known(root: Root, key: str) -> Thrown:
    _key_check(key)
    one = _noted(root, key)
    if one is None:
        raise Wrong("It is not in the trash any more.", HTTPStatus.NOT_FOUND)
    return one


def _key_check(key: str) -> None:
    if not ID.fullmatch(key):
        raise Wrong("It is not in the trash.", HTTPStatus.NOT_FOUND)


def _noted(root: Root, key: str) -> Thrown | None:
    """By its note; without one that can be read, by the moment in its name. None for what lacks the thing itself."""
    try:
        with root.folder((*TRASH, key)) as place:
            os.stat(ITEM, dir_fd=place, follow_symlinks=False)
            note = note_read(place, NOTE)
    except OSError:
        return None
    path = str(note.get("path") or f"restored-{key}")
    return Thrown(key, path, float(key.partition("-")[0]))


def note_write(folder: int, name: str, note: dict[str, Any]) -> None:
    """A few facts beside what they are about."""
    handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | FILE, 0o600, dir_fd=folder)
    with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
        json.dump(note, file, ensure_ascii=True)


def note_read(folder: int, name: str) -> dict[str, Any]:
    """The facts; none where somebody has spoiled them. Raises OSError when there is no such file."""
    handle = os.open(name, os.O_RDONLY | FILE, dir_fd=folder)
    with os.fdopen(handle, "rb") as file:
        try:
            note = json.loads(file.read(NOTE_MOST))
        except ValueError:
            note = None
    return note if isinstance(note, dict) else {}
