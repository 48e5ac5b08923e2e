"""Whose a port of this machine is, where labs have no network of their own: found by the kernel's tables, believed for a few seconds."""

import time
from pathlib import Path

TABLES = ("tcp", "tcp6")
LISTENING = "0A"
BELIEVED_S = 5.0
MOST_KNOWN = 1000

_known: dict[tuple[int, str], float] = {}


def belongs(port: int, name: str, *, proc: Path = Path("/proc")) -> bool:
    """Does a process of the lab of that name listen on the port? A yes is believed for 5 s, a no never."""
    now = time.monotonic()
    if _known.get((port, name), 0.0) > now:
        return True
    inodes = _inodes(port, proc)
    if not inodes or not any(_is_of_lab(pid, name, proc) for pid in _holders(inodes, proc)):
        return False
    if len(_known) >= MOST_KNOWN:
        _known.clear()
    _known[(port, name)] = now + BELIEVED_S
    return True


def _inodes(port: int, proc: Path) -> set[str]:
    """The sockets that listen on it."""
    found = set()
    for table in TABLES:
        for line in _text(proc / "net" / table).splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(f"socket:[{fields[9]}]")
    return found


def _holders(inodes: set[str], proc: Path) -> list[int]:
    """The processes that have one of them open, as far as we may look."""
    found = []
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if any(str(link.readlink()) in inodes for link in (entry / "fd").iterdir()):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def _is_of_lab(pid: int, name: str, proc: Path) -> bool:
    """Is one of its ancestors the lab's keeper? The keeper is a subreaper: nothing of a lab leaves its tree."""
    while pid > 1:
        words = _text(proc / str(pid) / "cmdline").split("\0")
        if "worker.runtimes.process.keeper" in words and any(word.rpartition("/")[2] == name for word in words):
            return True
        stat = _text(proc / str(pid) / "stat").rpartition(")")[2].split()
        pid = int(stat[1]) if len(stat) > 1 else 0
    return False


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
