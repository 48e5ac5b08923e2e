"""Folders of this host. What one takes of its disk is counted by a process of its own: neither its time nor a fault in it touches the worker."""

import contextlib
import heapq
import json
import os
import shutil
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker.runtimes.base import Measured, RuntimeFault
from worker.runtimes.mounts import CONTENTS_CONFIG, CONTENTS_CONFIGURATION, CONTENTS_PROGRAM, CONTENTS_ROOM, Room

PROGRAM, SUMS, CONTENTS = (Path(__file__).with_name(name) for name in ("walk.py", "sums.py", "contents.py"))
#: How much longer than its own time the program may take to begin and to end.
SPARE_S = 15.0

#: A default list of rights (acl(5)) as the kernel keeps it: version 2; user, group and mask may all, others nothing.
_UNDEFINED = 0xFFFFFFFF
GROUP_RIGHTS = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", tag, rights, _UNDEFINED) for tag, rights in ((1, 7), (4, 7), (16, 7), (32, 0)))


@dataclass(frozen=True, slots=True)
class Summed:
    """A folder's files: bytes, how many, and one checksum of all."""

    size: int
    files: int
    checksum: str


def group_keep(folder: Path) -> None:
    """What is made in a team's folder is its members' to write too, whatever their umask; where the file system keeps no such lists, the umask decides."""
    with contextlib.suppress(OSError):
        os.setxattr(folder, "system.posix_acl_default", GROUP_RIGHTS)


def folder_found(path: str) -> Path:
    """A folder of this host that can be read; RuntimeFault where there is none."""
    folder = Path(path)
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.X_OK):
        raise RuntimeFault(f"There is no folder {path} on this node that can be read.", transient=False)
    return folder


def folder_files(place: Path, folder: str, most: int) -> dict[str, str]:
    """Plain files right in a folder below `place`, the first by name, each with a mark of its size and last change. RuntimeFault where `place` is unreadable.

    Each step is opened by itself and no link is followed: whoever owns the files may swap them meanwhile.
    """
    try:
        handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise RuntimeFault("The workspace cannot be looked into from here.", detail=str(error)) from error
    try:
        for part in folder.split("/"):
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=handle)
            os.close(handle)
            handle = inner
        return dict(_marks(handle, most))
    except OSError:
        return {}
    finally:
        os.close(handle)


def _marks(handle: int, most: int) -> Iterator[tuple[str, str]]:
    with os.scandir(handle) as entries:
        names = heapq.nsmallest(most, (entry.name for entry in entries))  # of a folder of millions no more is held
    for name in names:
        with contextlib.suppress(OSError):
            state = os.stat(name, dir_fd=handle, follow_symlinks=False)
            if stat.S_ISREG(state.st_mode):
                yield name, f"{state.st_size}-{state.st_mtime_ns}"


def contents_write(folder: Path) -> None:
    """What a lab's Jupyter is handed for its files; everybody may read it."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    for name, text in ((CONTENTS_PROGRAM, CONTENTS.read_text()), (CONTENTS_CONFIG, CONTENTS_CONFIGURATION)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o644)


def room_write(folder: Path, room: Room) -> None:
    """Beside it, how much its owner holds; nothing where the lab was never handed such a folder, or holds what is said already."""
    file, text = folder / CONTENTS_ROOM, room.text()
    if not folder.is_dir() or (file.exists() and file.read_text() == text):
        return
    new = file.with_suffix(".new")
    new.write_text(text)
    new.chmod(0o644)
    new.rename(file)


def folder_measure(folder: Path, deadline_s: float) -> Measured:
    """Count it, for at most `deadline_s`; what was counted by then is marked as not all."""
    return Measured(**_said(PROGRAM, "The workspace could not be measured.", deadline_s, str(folder), str(deadline_s)))


def folder_sum(folder: Path, deadline_s: float) -> Summed:
    """Read all its files once. RuntimeFault when it takes longer, or a file of it cannot be read."""
    return Summed(**_said(SUMS, "The data set could not be read whole.", deadline_s, str(folder)))


def _said(program: Path, words: str, deadline_s: float, *arguments: str) -> dict[str, Any]:
    """What the program says, run with the lowest priority."""
    gently = ["ionice", "-c2", "-n7"] if shutil.which("ionice") else []
    command = [*gently, sys.executable, "-I", str(program), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=deadline_s + SPARE_S)
        found: dict[str, Any] = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", "") or str(error)
        raise RuntimeFault(words, detail=str(detail)[-500:]) from error
    return found
