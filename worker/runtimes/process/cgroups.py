"""Limits by control groups, version 1 or 2, wherever this process may write them. No root is assumed, only tried."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CONTROLLERS = ("memory", "cpu", "pids")
PERIOD_US = 100_000
ROOT = Path("/sys/fs/cgroup")
PARENT = "gpulab"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a lab may use. Swap is none beyond memory."""

    memory_bytes: int
    cpus: float
    pids: int


def own_path(controller: str) -> str:
    """The group this process is in, by /proc; "" is version 2."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path
    return "/"


def _try_write(path: Path, value: str) -> bool:
    try:
        path.write_text(value)
    except OSError:
        return False
    return True


def _try_make(path: Path) -> bool:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return True


def _parent_v2(root: Path) -> tuple[Path, set[str]] | None:
    """The nearest group above ours in which a new one can hold limits: as root the top, else what was delegated."""
    own = Path(own_path(""))
    for path in (root, *(root / str(one).lstrip("/") for one in (own.parent, own))):
        candidate = path / PARENT
        if not _try_make(candidate):
            continue
        wanted = set(CONTROLLERS) & set((path / "cgroup.controllers").read_text().split())
        for group in (path, candidate):
            for controller in wanted:
                _try_write(group / "cgroup.subtree_control", f"+{controller}")
        held = wanted & set((candidate / "cgroup.subtree_control").read_text().split())
        if held:
            return candidate, held
    return None


def _parents_v1(root: Path) -> dict[str, Path]:
    """Each controller's own tree: its top where that can be written, else the group we are in."""
    found = {}
    for controller in (*CONTROLLERS, "cpuacct"):
        for path in (root / controller, root / controller / own_path(controller).lstrip("/")):
            if (path / "cgroup.procs").exists() and os.access(path, os.W_OK) and _try_make(path / PARENT):
                found[controller] = path / PARENT
                break
    return found


class Cgroups:
    """Groups for labs below one parent of ours. Which limits hold here is in `held`."""

    def __init__(self, root: Path = ROOT) -> None:
        self.version = 2 if (root / "cgroup.controllers").exists() else 1
        self.parents: dict[str, Path] = {}
        if self.version == 2:
            found = _parent_v2(root)
            self.parents = dict.fromkeys(found[1], found[0]) if found else {}
        else:
            self.parents = _parents_v1(root)

    @property
    def held(self) -> frozenset[str]:
        """The controllers among memory, cpu and pids that can be used here."""
        return frozenset(self.parents) & frozenset(CONTROLLERS)

    def folders(self, name: str) -> dict[str, Path]:
        """controller -> the lab's group."""
        return {controller: parent / name for controller, parent in self.parents.items()}

    def make(self, name: str, limits: Limits) -> list[str]:
        """Make the lab's groups with their limits. Returns the files into which the first process writes its pid."""
        groups = self.folders(name)
        for folder in set(groups.values()):
            folder.mkdir(exist_ok=True)
        for folder, file, value in self._values(groups, limits):
            if (folder / file).exists():
                (folder / file).write_text(value)
        return sorted({str(folder / "cgroup.procs") for folder in groups.values()})

    def _values(self, groups: Mapping[str, Path], limits: Limits) -> list[tuple[Path, str, str]]:
        quota = max(1000, int(limits.cpus * PERIOD_US))
        memory = str(limits.memory_bytes)
        wanted = {
            1: {
                "memory": (("memory.limit_in_bytes", memory), ("memory.memsw.limit_in_bytes", memory)),
                "cpu": (("cpu.cfs_period_us", str(PERIOD_US)), ("cpu.cfs_quota_us", str(quota))),
                "pids": (("pids.max", str(limits.pids)),),
            },
            2: {
                "memory": (("memory.max", memory), ("memory.swap.max", "0")),
                "cpu": (("cpu.max", f"{quota} {PERIOD_US}"),),
                "pids": (("pids.max", str(limits.pids)),),
            },
        }[self.version]
        return [(groups[one], file, value) for one in wanted if one in groups for file, value in wanted[one]]

    def read(self, name: str) -> dict[str, float]:
        """The limits as the kernel holds them: memory (bytes), swap (bytes beyond memory), cpus, pids."""
        groups = self.folders(name)
        found: dict[str, float] = {}
        if memory := groups.get("memory"):
            found |= _memory_read(memory, self.version)
        if cpu := groups.get("cpu"):
            found |= _cpu_read(cpu, self.version)
        if pids := _number(groups.get("pids"), "pids.max"):
            found["pids"] = pids
        return found

    def usage(self, name: str) -> dict[str, int]:
        """cpu_ns, memory_bytes (without the page cache that the kernel would drop) and oom_kills, those that it tells."""
        groups = self.folders(name)
        memory, found = groups.get("memory"), {}
        if self.version == 1:
            cpu = _number(groups.get("cpuacct"), "cpuacct.usage")
            used, cache = (_number(memory, "memory.usage_in_bytes"), _entry(memory, "memory.stat", "total_inactive_file"))
            kills = _entry(memory, "memory.oom_control", "oom_kill")
        else:
            micro = _entry(groups.get("cpu"), "cpu.stat", "usage_usec")
            cpu = None if micro is None else micro * 1000
            used, cache = (_number(memory, "memory.current"), _entry(memory, "memory.stat", "inactive_file"))
            kills = _entry(memory, "memory.events", "oom_kill")
        if cpu is not None:
            found["cpu_ns"] = int(cpu)
        if used is not None:
            found["memory_bytes"] = max(0, int(used - (cache or 0)))
        if kills is not None:
            found["oom_kills"] = int(kills)
        return found

    def pids(self, name: str) -> list[int]:
        """Who is in the lab's groups."""
        found: set[int] = set()
        for folder in self.folders(name).values():
            try:
                found |= {int(line) for line in (folder / "cgroup.procs").read_text().split()}
            except OSError:
                continue
        return sorted(found)

    def remove(self, name: str, within: float = 2.0) -> None:
        """Remove the groups; an emptied one may need a moment until the kernel lets go of it."""
        todo = set(self.folders(name).values())
        deadline = time.monotonic() + within
        while todo:
            todo = {folder for folder in todo if not _removed(folder)}
            if not todo or time.monotonic() > deadline:
                return
            time.sleep(0.02)


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _number(folder: Path | None, file: str) -> float | None:
    try:
        text = (folder / file).read_text().strip() if folder else ""
    except OSError:
        return None
    return float(text) if text.lstrip("-").isdigit() else None


def _entry(folder: Path | None, file: str, key: str) -> float | None:
    try:
        text = (folder / file).read_text() if folder else ""
    except OSError:
        return None
    pairs: Sequence[list[str]] = [line.split() for line in text.splitlines()]
    return next((float(pair[1]) for pair in pairs if len(pair) == 2 and pair[0] == key), None)


def _memory_read(folder: Path, version: int) -> dict[str, float]:
    files = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes") if version == 1 else ("memory.max", "memory.swap.max")
    memory, swap = _number(folder, files[0]), _number(folder, files[1])
    found = {} if memory is None else {"memory": memory}
    if memory is not None and swap is not None:
        found["swap"] = swap - memory if version == 1 else swap
    return found


def _cpu_read(folder: Path, version: int) -> dict[str, float]:
    if version == 1:
        quota, period = (_number(folder, "cpu.cfs_quota_us"), _number(folder, "cpu.cfs_period_us"))
    else:
        words = (folder / "cpu.max").read_text().split()
        quota, period = ((float(words[0]) if words[0] != "max" else None), float(words[1]))
    return {"cpus": quota / period} if quota and period and quota > 0 else {}
