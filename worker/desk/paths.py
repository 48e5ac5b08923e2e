"""Ways below one folder that lead nowhere else: each step is opened as a folder of its own, and no link is ever followed.

The folder belongs to somebody whose programs may swap folders for links meanwhile. A path is therefore never handed to the
system as a whole: one name at a time is opened relative to the folder that is open already.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from worker.desk.errors import Wrong

LONGEST, NAME_MOST = 4096, 255
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: Not blocking: a pipe of that name would hold us up for ever.
FILE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
#: The house's own folder in a workspace.
HOUSE = ".gpulab"
Parts = tuple[str, ...]


def parts_of(text: str) -> Parts:
    """The names on the way; empty for the workspace itself. Raises Wrong for what is no way below it."""
    parts = tuple(part for part in text.split("/") if part not in ("", "."))
    if _length(text) > LONGEST:
        raise Wrong("This path is too long.")
    for part in parts:
        name_check(part)
    return parts


def name_check(name: str) -> str:
    """The name, if a file can have it. Raises Wrong."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise Wrong("A name cannot be empty, and has no slash in it.")
    if _length(name) > NAME_MOST:
        raise Wrong("This name is too long: 255 bytes is the most.")
    return name


def own_check(parts: Parts) -> Parts:
    """The way, if it is the person's to change: neither the workspace itself nor what the house keeps there. Raises Wrong."""
    if not parts or parts[0] == HOUSE:
        raise Wrong("This folder is kept by the house and cannot be changed here.", HTTPStatus.FORBIDDEN)
    return parts


class Root:
    """The one folder that everything lies below."""

    def __init__(self, path: str) -> None:
        self._handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    @contextmanager
    def folder(self, parts: Parts, *, make: bool = False) -> Iterator[int]:
        """An open handle of that folder; `make` makes what lacks on the way. Raises OSError."""
        handle = os.dup(self._handle)
        try:
            for part in parts:
                if make:
                    _folder_ensure(handle, part)
                below = os.open(part, FOLDER, dir_fd=handle)
                os.close(handle)
                handle = below
            yield handle
        finally:
            os.close(handle)

    @contextmanager
    def beside(self, parts: Parts) -> Iterator[tuple[int, str]]:
        """The folder that holds what the way leads to, and its name there."""
        if not parts:
            raise Wrong("This is the workspace itself.")
        with self.folder(parts[:-1]) as handle:
            yield handle, parts[-1]

    @contextmanager
    def file(self, parts: Parts) -> Iterator[tuple[int, os.stat_result]]:
        """A plain file, open for reading, and what it is. Raises OSError, and Wrong for a link, a folder or a pipe."""
        with self.beside(parts) as (folder, name):
            handle = os.open(name, os.O_RDONLY | FILE, dir_fd=folder)
        try:
            state = os.fstat(handle)
            if not stat.S_ISREG(state.st_mode):
                raise Wrong("This is no file that can be shown or downloaded.")
            yield handle, state
        finally:
            os.close(handle)

    def look(self, parts: Parts) -> os.stat_result | None:
        """What is there, a link as a link; None when there is nothing."""
        if not parts:
            return os.fstat(self._handle)
        try:
            with self.beside(parts) as (folder, name):
                return os.stat(name, dir_fd=folder, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None


def _folder_ensure(handle: int, name: str) -> None:
    try:
        os.mkdir(name, 0o700 if name == HOUSE else 0o755, dir_fd=handle)
    except FileExistsError:
        return


def _length(text: str) -> int:
    try:
        return len(os.fsencode(text))
    except UnicodeEncodeError:
        raise Wrong("This name cannot be written.") from None
