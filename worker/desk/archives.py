"""A folder as one stream, zip or tar: nothing is written on the way, whatever its size."""

import os
import stat
import tarfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from typing import IO

from worker.desk.paths import FILE, FOLDER

KINDS = {"zip": "application/zip", "tar": "application/x-tar"}
CHUNK = 1024 * 1024
#: The first moment that a zip can name.
ZIP_BEGINS = (1980, 1, 1, 0, 0, 0)
Found = tuple[str, int, str, os.stat_result]


def stream(folder: int, name: str, kind: str, sink: IO[bytes], *, without: str = "") -> None:
    """Write the open folder into the sink as an archive whose names begin with `name`, but not what is called `without` there.

    What cannot be read is left out. Raises OSError.
    """
    (_zip if kind == "zip" else _tar)(folder, name, sink, without)


def _tar(folder: int, name: str, sink: IO[bytes], without: str) -> None:
    with tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for path, handle, item, state in _walk(folder, name, without):
            info = tarfile.TarInfo(path)
            info.mode, info.mtime = stat.S_IMODE(state.st_mode), int(state.st_mtime)
            if stat.S_ISDIR(state.st_mode):
                info.type = tarfile.DIRTYPE
                archive.addfile(info)
            elif stat.S_ISLNK(state.st_mode):
                info.type, info.linkname = tarfile.SYMTYPE, os.readlink(item, dir_fd=handle)
                archive.addfile(info)
            elif file := _opened(handle, item):
                with file:
                    info.size = os.fstat(file.fileno()).st_size
                    archive.addfile(info, _Padded(file))  # type: ignore[arg-type]


def _zip(folder: int, name: str, sink: IO[bytes], without: str) -> None:
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, allowZip64=True, compresslevel=1) as archive:
        for path, handle, item, state in _walk(folder, name, without):
            info = zipfile.ZipInfo(_zip_name(path), max(time.localtime(state.st_mtime)[:6], ZIP_BEGINS))
            info.external_attr = (state.st_mode & 0xFFFF) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            if stat.S_ISDIR(state.st_mode):
                info.filename += "/"
                archive.writestr(info, b"")
            elif stat.S_ISLNK(state.st_mode):
                archive.writestr(info, os.fsencode(os.readlink(item, dir_fd=handle)))
            elif file := _opened(handle, item):
                with file, archive.open(info, "w", force_zip64=True) as entry:
                    while chunk := file.read(CHUNK):
                        entry.write(chunk)


def _zip_name(path: str) -> str:
    """Zip knows UTF-8 only."""
    return os.fsencode(path).decode("utf-8", "replace")


def _walk(folder: int, path: str, without: str = "") -> Iterator[Found]:
    """All below an open folder, names in order: its path in the archive, the folder that holds it, its name, what it is. Pipes and the like are left out."""
    for name in sorted(name for name in os.listdir(folder) if name != without):
        below = f"{path}/{name}"
        try:
            state = os.stat(name, dir_fd=folder, follow_symlinks=False)
            inner = os.open(name, FOLDER, dir_fd=folder) if stat.S_ISDIR(state.st_mode) else -1
        except OSError:
            continue
        try:
            if inner >= 0 or stat.S_ISREG(state.st_mode) or stat.S_ISLNK(state.st_mode):
                with suppress(FileNotFoundError):
                    yield below, folder, name, state
            if inner >= 0:
                yield from _walk(inner, below)
        finally:
            if inner >= 0:
                os.close(inner)


def _opened(folder: int, name: str) -> IO[bytes] | None:
    """The file, if it is one still and may be read."""
    try:
        handle = os.open(name, os.O_RDONLY | FILE, dir_fd=folder)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    return None


class _Padded:
    """A file that is read to the length that was said of it, with zeros where it became shorter meanwhile: an archive cannot take its word back."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        chunk = self._file.read(size)
        return chunk + b"\0" * (size - len(chunk))
