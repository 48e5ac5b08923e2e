"""Files on their way in, by tus 1.0: kept apart until they are whole, then put in their place in one step.

The offset of an upload is the length of its file, so nothing that was received is ever said to be missing, and a program that
ends in the middle loses nothing.
"""

import base64
import os
import re
import secrets
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import IO

from worker.desk.errors import Wrong
from worker.desk.moves import remove, rename, rename_beside
from worker.desk.paths import FILE, HOUSE, Parts, Root, name_check, own_check, parts_of
from worker.desk.room import GIB, Room
from worker.desk.trash import note_read, note_write, throw

UPLOADS: Parts = (HOUSE, "uploads")
MOST = 50 * GIB
#: An upload that nobody goes on with is forgotten.
KEPT_S = 24 * 3600
CHUNK = 1024 * 1024
ID = re.compile(r"[0-9a-f]{32}")
#: What becomes of a file of the same name: nobody was asked, it goes into the trash, or the new one gets another name.
MODES = ("ask", "replace", "keep")


@dataclass(frozen=True)
class Upload:
    """One file on its way: how long it is, the folder and the name that it gets, and what becomes of one that is there."""

    id: str
    length: int
    folder: str
    name: str
    mode: str


class Uploads:
    """Those of one workspace."""

    def __init__(self, root: Root, room: Room) -> None:
        self._root = root
        self._room = room
        self._busy: set[str] = set()
        self._lock = threading.Lock()

    def create(self, *, length: int, folder: str, name: str, mode: str) -> Upload:
        """A new one, with nothing of it here yet. Raises Wrong when it is too long, does not fit, or the name is taken and nobody was asked."""
        where = parts_of(folder)
        own_check((*where, name_check(name)))
        if not 0 <= length <= MOST:
            raise Wrong("One file may have 50 GiB at most. Use gpulab cp, or fetch it inside a lab.", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if mode == "ask" and self._root.look((*where, name)) is not None:
            raise Wrong(f"There is {name} already.", HTTPStatus.CONFLICT)
        self._room.check(length)
        made = Upload(secrets.token_hex(16), length, folder, name, mode if mode in MODES else "keep")
        with self._root.folder(UPLOADS, make=True) as place:
            note_write(place, f"{made.id}.json", asdict(made))
            os.close(os.open(made.id, os.O_WRONLY | os.O_CREAT | os.O_EXCL | FILE, 0o644, dir_fd=place))
        return made

    def find(self, key: str) -> tuple[Upload, int]:
        """The upload and how much of it is here. Raises Wrong when there is none (any more)."""
        if ID.fullmatch(key):
            with suppress(OSError, TypeError), self._root.folder(UPLOADS) as place:
                known = Upload(**note_read(place, f"{key}.json"))
                state = os.stat(key, dir_fd=place, follow_symlinks=False)
                if known.id == key and stat.S_ISREG(state.st_mode):
                    return known, state.st_size
        raise Wrong("This upload is not known any more. Begin it anew.", HTTPStatus.NOT_FOUND)

    def write(self, key: str, offset: int, source: IO[bytes], size: int) -> tuple[int, str]:
        """Add what comes, at most `size` bytes; how much is here then, and the path that it got if that was all of it.

        A source that ends early leaves what came. Raises Wrong, and OSError when the disk is full: what is here stays.
        """
        with self._alone(key):
            known, here = self.find(key)
            if offset != here:
                raise Wrong("The upload is at another place by now.", HTTPStatus.CONFLICT)
            here += self._receive(known, source, min(size, known.length - here))
            return here, self._finish(known) if here == known.length else ""

    def append(self, known: Upload, chunk: bytes) -> int:
        """Add a piece of a file whose length nobody has promised; how much is here then."""
        with self._root.folder(UPLOADS) as place:
            handle = os.open(known.id, os.O_WRONLY | os.O_APPEND | FILE, dir_fd=place)
        with os.fdopen(handle, "ab", buffering=0) as file:
            self._room.take(len(chunk))
            _written(file, chunk)
            return os.fstat(file.fileno()).st_size

    def place(self, key: str) -> str:
        """Put what is here in its place, whatever its length was said to be; the path that it got."""
        return self._finish(self.find(key)[0])

    def forget(self, key: str) -> None:
        """Remove it and what came of it."""
        with self._alone(key):
            known, here = self.find(key)
            with self._root.folder(UPLOADS) as place:
                for name in (known.id, f"{known.id}.json"):
                    with suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=place)
            self._room.give(here)

    def sweep(self, now: float) -> float | None:
        """Remove those that nobody went on with for a day; when the next is due, None when there is none."""
        due = []
        with self._root.folder(UPLOADS, make=True) as place:
            for name in sorted(os.listdir(place)):  # a file before its note, so that both go
                with suppress(OSError):
                    until = os.stat(name, dir_fd=place, follow_symlinks=False).st_mtime + KEPT_S
                    if until > now or name in self._busy:
                        due.append(max(until, now + 3600))
                    elif not (name.endswith(".json") and ID.fullmatch(name[:-5]) and _is_there(place, name[:-5])):
                        self._room.give(remove(place, name))
        return min(due, default=None)

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        with self._lock:
            if key in self._busy:
                raise Wrong("The upload goes on elsewhere at the moment.", HTTPStatus.LOCKED)
            self._busy.add(key)
        try:
            yield
        finally:
            with self._lock:
                self._busy.discard(key)

    def _receive(self, known: Upload, source: IO[bytes], size: int) -> int:
        with self._root.folder(UPLOADS) as place:
            handle = os.open(known.id, os.O_WRONLY | os.O_APPEND | FILE, dir_fd=place)
        got = 0
        with os.fdopen(handle, "ab", buffering=0) as file:
            while got < size and (chunk := _read(source, min(CHUNK, size - got))):
                self._room.take(len(chunk))
                got += _written(file, chunk)
            if got == size:
                os.fsync(file.fileno())
        return got

    def _finish(self, known: Upload) -> str:
        where = parts_of(known.folder)
        with self._root.folder(UPLOADS) as place, self._root.folder(where, make=True) as target:
            name = self._put(known, place, target, where)
            with suppress(FileNotFoundError):
                os.unlink(f"{known.id}.json", dir_fd=place)
        return "/".join((*where, name))

    def _put(self, known: Upload, place: int, target: int, where: Parts) -> str:
        """Whoever wants the old file replaced finds it in the trash: nothing is lost by an upload."""
        if known.mode == "replace":
            with suppress(FileExistsError):
                with suppress(FileNotFoundError):
                    throw(self._root, (*where, known.name))
                rename(place, known.id, target, known.name)
                return known.name
        return rename_beside(place, known.id, target, known.name)


def _read(source: IO[bytes], size: int) -> bytes:
    """The next bytes; none when the line broke, which is how uploads are cut."""
    try:
        return source.read(size)
    except OSError:
        return b""


def _written(file: IO[bytes], chunk: bytes) -> int:
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]
    return len(chunk)


def _is_there(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def metadata_of(header: str) -> dict[str, str]:
    """tus's `Upload-Metadata`: names and values in base64. What cannot be read is left out."""
    found = {}
    for pair in header.split(","):
        name, _, value = pair.strip().partition(" ")
        with suppress(ValueError):
            found[name] = base64.b64decode(value, validate=True).decode("utf-8")
    return found


def expires(touched: float) -> str:
    """Until when it is kept, as HTTP writes a moment."""
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(touched + KEPT_S))
