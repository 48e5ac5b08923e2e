"""Jupyter's files in a lab. Where the disk or the person's quota has no room, a save says so in words, instead of `[Errno 28]`.

It stands alone: a lab's Jupyter runs it, in whatever image, beside what it is told of the room (mounts.py, `Room`).
"""

import errno
import json
import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from tornado.web import HTTPError

TOLD = Path(__file__).with_name("room.json")
GIB, MIB = 1024**3, 1024**2
NO_ROOM = 507  # Insufficient Storage, RFC 4918
NO_ROOM_ERRORS = (errno.ENOSPC, errno.EDQUOT)


def told() -> dict[str, Any]:
    """What the house said last: bytes held and allowed, and where more is asked for; empty before it did."""
    try:
        found: dict[str, Any] = json.loads(TOLD.read_text())
    except (OSError, ValueError):
        return {}
    return found


def is_over(room: Mapping[str, Any]) -> bool:
    """Was more measured than the person may hold?"""
    return bool(room) and room["held"] > room["limit"]


def no_room(error: BaseException) -> int:
    """Which error of a full disk or quota is below this one; 0 for none. Jupyter keeps what it trusts in a database in the workspace."""
    for one in _below(error):
        if isinstance(one, OSError) and one.errno in NO_ROOM_ERRORS:
            return one.errno
        if isinstance(one, sqlite3.Error) and "disk is full" in str(one):
            return errno.ENOSPC
    return 0


def _below(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def words(room: Mapping[str, Any], folder: str, code: int) -> str:
    """What is full, how full, and what helps."""
    disk = os.statvfs(folder)
    size = disk.f_blocks * disk.f_frsize
    used = size - disk.f_bavail * disk.f_frsize
    kept = room.get("kept", 0)
    if kept and abs(size - kept) < MIB:  # the system shows the person's own limit as the size of the disk
        if not disk.f_favail:
            return f"Your workspace holds as many files and folders as it may: {disk.f_files:,}. {advice(room)}"
        return f"Your workspace is full{_sizes({**room, 'held': room['limit'] - kept + used})}. {advice(room)}"
    if code == errno.EDQUOT or is_over(room):
        return f"Your workspace is full{_sizes(room)}. {advice(room)}"
    return f"The disk that your workspace lies on is full: {used / GIB:.1f} of {size / GIB:.1f} GiB. {advice(room)}"


def _sizes(room: Mapping[str, Any]) -> str:
    return f": {room['held'] / GIB:.1f} of {room['limit'] / GIB:g} GiB" if room else ""


def advice(room: Mapping[str, Any]) -> str:
    """What to do next."""
    more = f", or ask for more on {room['ask']}" if room else ""
    return f"Nothing was saved, and what was saved before is whole. Delete files that you do not need{more}. Then save again."


class Contents(AsyncLargeFileManager):  # type: ignore[misc]  # Jupyter is a lab's, not the worker's
    """Above a quota that is only measured, what is open is still saved; new files are refused."""

    async def save(self, model: dict[str, Any], path: str = "") -> dict[str, Any]:
        """A notebook, a file, or one part of a large one, of which nothing stays when there is no room for the rest."""
        room, file = told(), Path(self._get_os_path(path))
        if is_over(room) and model.get("type") != "directory" and not file.exists():
            raise HTTPError(NO_ROOM, f"Your workspace is over its quota{_sizes(room)}: files that are there are saved, new ones are not made. {advice(room)}")
        try:
            return await super().save(model, path)  # type: ignore[no-any-return]
        except Exception as error:
            if no_room(error) and model.get("chunk") is not None:
                file.unlink(missing_ok=True)
            self._say(error)
            raise

    async def copy(self, from_path: str, to_path: str | None = None) -> dict[str, Any]:
        """A file or a folder."""
        try:
            return await super().copy(from_path, to_path)  # type: ignore[no-any-return]
        except Exception as error:
            self._say(error)
            raise

    async def create_checkpoint(self, path: str) -> dict[str, Any]:
        """Jupyter makes one after each save."""
        try:
            return await super().create_checkpoint(path)  # type: ignore[no-any-return]
        except Exception as error:
            self._say(error)
            raise

    @contextmanager
    def atomic_writing(self, os_path: str, *args: Any, **kwargs: Any) -> Iterator[IO[Any]]:
        """The new content stands beside the old until all of it is on the disk: Jupyter's own way truncates first, and a full disk then leaves nothing."""
        target = Path(os_path).resolve()
        if not _replaceable(target):
            with super().atomic_writing(os_path, *args, **kwargs) as file:
                yield file
            return
        new = target.with_name(f".~{secrets.token_hex(8)}")  # of two saves at once each has its own
        with self.perm_to_403(os_path):
            try:
                with new.open(**_mode(*args, **kwargs)) as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                if target.exists():
                    shutil.copymode(target, new)
                new.replace(target)
            except BaseException:
                new.unlink(missing_ok=True)
                raise

    def _say(self, error: Exception) -> None:
        if code := no_room(error):
            raise HTTPError(NO_ROOM, words(told(), self.root_dir, code)) from error


def _mode(text: bool = True, encoding: str = "utf-8", **more: Any) -> dict[str, Any]:
    return {"mode": "w", "encoding": encoding, "newline": "\n", **more} if text else {"mode": "wb", **more}


def _replaceable(target: Path) -> bool:
    """May another file take its place? Not where it has a second name, is somebody else's, or its folder is closed."""
    if not os.access(target.parent, os.W_OK):
        return False
    if not target.exists():
        return True
    state = target.stat()
    return state.st_nlink == 1 and state.st_uid == os.geteuid()
