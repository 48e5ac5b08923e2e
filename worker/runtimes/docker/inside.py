"""What holds inside a running lab: from the host's /proc and cgroup files (1 ms), else by one exec in the lab (100 ms)."""

import time
from pathlib import Path
from typing import Any

from worker.runtimes.base import MIB, RuntimeFault
from worker.runtimes.docker.cgroup import FILES, Cgroup, cpus_of
from worker.runtimes.docker.client import faults
from worker.runtimes.docker.create import NO_GPU
from worker.runtimes.docker.heard import said
from worker.runtimes.mounts import words_inside

PROC = ("status", "mountinfo", "environ")
LIMITS = ("memory_limit", "pids_limit", "cpu_quota", "cpu_period")
#: What a container's first process is called before it becomes the lab's.
ENGINES_OWN = b"runc\0init"
BEGUN_WITHIN_S = 5.0
_MARK = "@@gpulab "


def inside(api: Any, container: str, pid: int) -> dict[str, str]:
    """Readings by the names that verify.py asks for. RuntimeFault when the lab ended meanwhile."""
    try:
        files = _from_host(pid)
    except (OSError, KeyError):
        files = _from_exec(api, container)
    return readings(files)


def _from_host(pid: int) -> dict[str, str]:
    _until_begun(pid)
    files = {name: Path(f"/proc/{pid}/{name}").read_text() for name in PROC}
    group = Cgroup(pid)
    return files | {name: group.read(name) for name in LIMITS}


def _until_begun(pid: int) -> None:
    """The engine says "started" a moment before the lab's own program replaces the engine's: on a busy host it can be caught there."""
    until = time.monotonic() + BEGUN_WITHIN_S
    while Path(f"/proc/{pid}/cmdline").read_bytes().startswith(ENGINES_OWN) and time.monotonic() < until:
        time.sleep(0.005)


def _from_exec(api: Any, container: str) -> dict[str, str]:
    parts = [f"echo '{_MARK}{name}'; cat /proc/1/{name}" for name in PROC]
    for name in LIMITS:
        controller, first, second = FILES[name]
        root = "/sys/fs/cgroup"
        parts.append(f"echo; echo '{_MARK}{name}'; cat {root}/{second} 2>/dev/null || cat {root}/{controller}/{first}")
    with faults("The lab could not be looked into"):
        made = api.exec_create(container, ["/bin/sh", "-c", "; ".join(parts)])
        output = said(api, made["Id"]).decode(errors="replace")
    files: dict[str, str] = {}
    for part in output.split(_MARK)[1:]:
        name, _, text = part.partition("\n")
        files[name.strip()] = text
    if set(files) != {*PROC, *LIMITS}:
        raise RuntimeFault("The lab ended while its limits were read back.", detail=output[-500:])
    return files


def readings(files: dict[str, str]) -> dict[str, str]:
    """Raw files -> readings. Pure."""
    status = dict(line.split(":", 1) for line in files["status"].splitlines() if ":" in line)
    environ = dict(one.split("=", 1) for one in files["environ"].split("\0") if "=" in one)
    mounts = _mounts(files["mountinfo"])
    gpus = environ.get("NVIDIA_VISIBLE_DEVICES", "")
    return {
        "memory": _mib(files["memory_limit"].strip()),
        "shm": _mib(_shm_bytes(mounts.get("/dev/shm", ""))),  # noqa: S108  (read only)
        "cpus": cpus_of(files["cpu_quota"], files["cpu_period"]),
        "pids": files["pids_limit"].strip(),
        "user": f"{status['Uid'].split()[0]}:{status['Gid'].split()[0]}",
        "capabilities": _capabilities(status),
        "new privileges": "no" if status["NoNewPrivs"].strip() == "1" else "yes",
        "root": "read-only" if "ro" in mounts.get("/", "").split(",") else "writable",
        "gpus": "none" if gpus in ("", NO_GPU) else gpus,
        "folders": words_inside(files["mountinfo"]),
    }


def _mounts(text: str) -> dict[str, str]:
    """Mount point -> its options and its file system's, joined; the last mount on a point is the one seen."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        words, tail = left.split(), right.split()
        if len(words) > 5 and len(tail) > 2:
            found[words[4]] = f"{words[5]},{tail[2]}" if words[4] != "/" else words[5]
    return found


def _shm_bytes(options: str) -> str:
    for option in options.split(","):
        if option.startswith("size="):
            value = option.removeprefix("size=")
            return str(int(value[:-1]) * 1024) if value.endswith("k") else value
    return ""


def _capabilities(status: dict[str, str]) -> str:
    sets = {name: int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    held = [f"{name} {value:x}" for name, value in sets.items() if value]
    return ", ".join(held) or "none"


def _mib(value: str) -> str:
    return f"{int(value) // MIB} MiB" if value.isdigit() else value or "unknown"
