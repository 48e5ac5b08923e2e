"""What a lab uses now: from its control groups, else summed over its processes."""

import os
import re
from pathlib import Path

from worker.runtimes.base import Usage
from worker.runtimes.process.cgroups import Cgroups
from worker.runtimes.process.state import LabFolder

PAGE = os.sysconf("SC_PAGE_SIZE")
_TORCH = re.compile(r"torch-([0-9][\w.+]{0,38})\.dist-info", re.ASCII)
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def usage(folder: LabFolder, groups: Cgroups, *, view: bool) -> Usage:
    """CPU since the start, memory and shm now."""
    told = groups.usage(folder.name)
    pids = folder.pids() if not {"cpu_ns", "memory_bytes"} <= told.keys() else []
    return Usage(
        cpu_ns=told.get("cpu_ns", _cpu_ns(pids) if pids else None),
        memory_bytes=told.get("memory_bytes", _memory(pids) if pids else None),
        shm_bytes=_shm(folder.main.pid) if view and folder.main.is_alive else None,
        oom_kills=told.get("oom_kills"),
        own_torch=_own_torch(folder),
    )


def _own_torch(folder: LabFolder) -> str:
    """The torch in the person's own packages; only the name of its folder is looked at, it is theirs to write."""
    overlay = folder.plan["overlay"]
    packages = Path(f"/proc/{folder.main.pid}/root{overlay['inside']['overlay']}/lib/{overlay['version']}/site-packages")
    try:
        names = [found[1] for path in packages.glob("torch-*.dist-info") if (found := _TORCH.fullmatch(path.name))]
    except OSError:
        return ""
    return max(names, default="")


def _fields(pid: int, file: str) -> list[str]:
    try:
        return Path(f"/proc/{pid}/{file}").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _cpu_ns(pids: list[int]) -> int:
    """User and system time of the living, and of the dead that they have reaped."""
    return sum(sum(map(int, fields[11:15])) for pid in pids if (fields := _fields(pid, "stat"))) * TICK_NS


def _memory(pids: list[int]) -> int:
    """Resident less shared: what would come back if they ended."""
    return sum(int(fields[1]) - int(fields[2]) for pid in pids if (fields := _fields(pid, "statm"))) * PAGE


def _shm(pid: int) -> int | None:
    try:
        sizes = os.statvfs(f"/proc/{pid}/root/dev/shm")
    except OSError:
        return None
    return (sizes.f_blocks - sizes.f_bfree) * sizes.f_frsize
