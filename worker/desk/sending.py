"""A file on its way out: all of it, or the range that was asked for."""

import os
import re
from typing import Any
from urllib.parse import quote

from worker.desk.http import FILE_POLICY, Request

RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def file_send(request: Request, handle: int, state: os.stat_result, *, name: str, kind: str) -> None:
    """Send an open file. With a `kind` it is shown where it stands in a page; without one it is saved."""
    tag = f'"{state.st_mtime_ns:x}-{state.st_size:x}"'
    headers = {"Accept-Ranges": "bytes", "ETag": tag, "Content-Type": kind or "application/octet-stream", "Content-Security-Policy": FILE_POLICY}
    if not kind:
        headers |= disposition(name)
    begin, end = 0, state.st_size
    wanted = request.headers.get("Range", "")
    if wanted and request.headers.get("If-Range", tag) == tag:
        found = span(wanted, state.st_size)
        if found is None:
            request.nothing(416, {"Content-Range": f"bytes */{state.st_size}"})
            return
        begin, end = found
    part = (begin, end) != (0, state.st_size)
    if part:
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{state.st_size}"
    request.head(206 if part else 200, {**headers, "Content-Length": str(end - begin)})
    if request.command != "HEAD":
        _sent(request, handle, begin, end)


def disposition(name: str) -> "dict[str, str]":
    """It is saved under that name."""
    plain = "".join(letter if letter.isascii() and letter.isprintable() and letter not in '"\\' else "_" for letter in name)
    return {"Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(os.fsencode(name), safe='')}"}


def span(wanted: str, size: int) -> "tuple[int, int] | None":
    """The first byte and the one behind the last; all of it where the wish is none of one range, None where it lies outside."""
    found = RANGE.fullmatch(wanted.replace(" ", ""))
    if not found or not (found[1] or found[2]):
        return 0, size
    if not found[1]:
        begin, end = max(size - int(found[2]), 0), size
    else:
        begin, end = int(found[1]), min(int(found[2]) + 1 if found[2] else size, size)
    return (begin, end) if begin < end else None


def _sent(request: Request, handle: int, begin: int, end: int) -> None:
    """By the kernel, without a copy here. A file that became shorter meanwhile breaks the answer off."""
    request.wfile.flush()
    with os.fdopen(os.dup(handle), "rb") as file:
        socket: Any = request.connection
        if end > begin and socket.sendfile(file, begin, end - begin) < end - begin:
            raise ConnectionError("the file became shorter")
