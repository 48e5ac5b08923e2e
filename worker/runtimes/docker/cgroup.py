"""A container's cgroup as files, version 1 and 2: what limits it and what it uses."""

from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")
#: (controller of version 1, its file, the file of version 2)
FILES = {
    "memory_limit": ("memory", "memory.limit_in_bytes", "memory.max"),
    "memory_used": ("memory", "memory.usage_in_bytes", "memory.current"),
    "memory_stat": ("memory", "memory.stat", "memory.stat"),
    "oom": ("memory", "memory.oom_control", "memory.events"),
    "swap_limit": ("memory", "memory.memsw.limit_in_bytes", "memory.swap.max"),
    "pids_limit": ("pids", "pids.max", "pids.max"),
    "cpu_quota": ("cpu", "cpu.cfs_quota_us", "cpu.max"),
    "cpu_period": ("cpu", "cpu.cfs_period_us", "cpu.max"),
    "cpu_used": ("cpuacct", "cpuacct.usage", "cpu.stat"),
    "procs": ("memory", "cgroup.procs", "cgroup.procs"),
}


class Cgroup:
    """The cgroup of one process of this host. Reading raises OSError once it is gone."""

    def __init__(self, pid: int, mount: Path = MOUNT) -> None:
        self._mount = mount
        self._v2 = (mount / "cgroup.controllers").exists()
        self._paths = _paths(Path(f"/proc/{pid}/cgroup").read_text())

    def read(self, what: str) -> str:
        """The text of one of FILES."""
        controller, first, second = FILES[what]
        if self._v2:
            return (self._mount / self._paths[""].lstrip("/") / second).read_text()
        return (self._mount / controller / self._paths[controller].lstrip("/") / first).read_text()

    def memory_bytes(self) -> int:
        """Memory in use less the file cache that the kernel would give back at once."""
        stat = _pairs(self.read("memory_stat"))
        cache = stat.get("inactive_file", 0) if self._v2 else stat.get("total_inactive_file", 0)
        return max(0, int(self.read("memory_used")) - cache)

    def cpu_ns(self) -> int:
        """CPU time used so far."""
        text = self.read("cpu_used")
        return _pairs(text)["usage_usec"] * 1000 if self._v2 else int(text)

    def oom_kills(self) -> int | None:
        """Processes of it killed for memory, the first one or a child."""
        return _pairs(self.read("oom")).get("oom_kill")

    def pids(self) -> list[int]:
        """Its processes as this host numbers them."""
        return [int(line) for line in self.read("procs").split() if line != "0"]


def _paths(text: str) -> dict[str, str]:
    """Controller -> path, from /proc/PID/cgroup; "" is version 2's."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = path
    return found


def _pairs(text: str) -> dict[str, int]:
    """Lines of "name number"."""
    rows = (line.split() for line in text.splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


def cpus_of(quota: str, period: str) -> str:
    """CPUs from quota and period; version 2 has both in one line."""
    words = quota.split()
    if len(words) == 2:
        quota, period = words
    if quota.strip() in ("max", "-1"):
        return "no limit"
    return f"{int(quota) / int(period):g}"
