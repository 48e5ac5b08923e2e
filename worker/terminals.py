"""Writing to the terminals of a lab: every /dev/pts that its processes have open. `wall` would reach nobody there."""

import os
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

#: Not /dev/pts/ptmx, which makes a new one when it is opened.
TERMINAL = re.compile(r"/dev/pts/\d+")
#: The kernel's numbers of such devices.
PTS = range(136, 144)


def terminals_write(*, pids: Iterable[int], words: str, proc: Path = Path("/proc")) -> int:
    """Write a line of words to each terminal once; how many were reached. `pids` are host pids of the lab's processes."""
    text = f"\r\n\a*** GPU Lab: {words} ***\r\n".encode()
    reached: set[tuple[int, int]] = set()
    for terminal in _terminals(pids, proc):
        with suppress(OSError):
            about = terminal.stat()
            if (about.st_dev, about.st_rdev) not in reached and _write(terminal, text):
                reached.add((about.st_dev, about.st_rdev))
    return len(reached)


def _terminals(pids: Iterable[int], proc: Path) -> Iterable[Path]:
    """As the processes see them, by way of their own root: a lab's /dev/pts is not the host's."""
    for pid in pids:
        with suppress(OSError):
            names = {str(entry.readlink()) for entry in (proc / str(pid) / "fd").iterdir()}
            yield from (proc / str(pid) / "root" / name.lstrip("/") for name in names if TERMINAL.fullmatch(name))


def _write(terminal: Path, text: bytes) -> bool:
    """Never waits: a terminal that nobody reads from is full at some time. What only has a terminal's name is left alone: the lab may have put it there."""
    opened = os.open(terminal, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        about = os.fstat(opened)
        if not stat.S_ISCHR(about.st_mode) or os.major(about.st_rdev) not in PTS:
            return False
        return os.write(opened, text) > 0
    finally:
        os.close(opened)
