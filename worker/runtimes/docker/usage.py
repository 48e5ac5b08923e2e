"""What a lab uses now, and whether its own packages replace the image's torch. From the host's files: no engine call."""

import contextlib
import os
import re
import stat
from pathlib import Path
from typing import Any

from worker.runtimes.base import Usage
from worker.runtimes.docker.cgroup import Cgroup
from worker.runtimes.docker.client import faults


def usage_of(api: Any, container: str, pid: int) -> Usage:
    """By cgroup files; where this worker cannot see them (a container of its own), by the engine's statistics."""
    try:
        group = Cgroup(pid)
        return Usage(group.cpu_ns(), group.memory_bytes(), _shm_bytes(pid), group.oom_kills(), own_torch(pid))
    except (OSError, KeyError):
        return _from_engine(api, container)


def _shm_bytes(pid: int) -> int | None:
    try:
        state = os.statvfs(f"/proc/{pid}/root/dev/shm")
    except OSError:
        return None
    return (state.f_blocks - state.f_bfree) * state.f_frsize


def _from_engine(api: Any, container: str) -> Usage:
    with faults("The lab's use could not be read"):
        stats = api.stats(container, stream=False, one_shot=True)
    cpu = stats.get("cpu_stats", {}).get("cpu_usage", {}).get("total_usage")
    return Usage(cpu, stats.get("memory_stats", {}).get("usage"), None, None)


def own_torch(pid: int) -> str:
    """The version of torch in the person's own packages for this image; "" while the image's own torch is the one used.

    The folders belong to the person, so no link in them is followed: it could lead anywhere on this host.
    """
    try:
        with contextlib.ExitStack() as held:
            here = _opened(held, f"/proc/{pid}/root/workspace", None)
            for part in (".gpulab", "env", _overlay(pid), "lib"):
                here = _opened(held, part, here)
            for python in _folders(here, "python"):
                site = _opened(held, "site-packages", _opened(held, python, here))
                for name in _folders(site, "torch-"):
                    if name.endswith(".dist-info"):
                        return name.removeprefix("torch-").removesuffix(".dist-info")
    except OSError:
        return ""
    return ""


def _overlay(pid: int) -> str:
    """The folder that create.py named in the lab's environment."""
    named = re.search(r"(?:^|\0)GPULAB_IMAGE_DIGEST=([0-9a-f]{12})\0", Path(f"/proc/{pid}/environ").read_text())
    if named is None:
        raise FileNotFoundError("the lab's environment names no folder of its own packages")
    return named.group(1)


def _opened(held: contextlib.ExitStack, name: str, inside: int | None) -> int:
    """A folder opened for as long as `held`, no link followed."""
    follow = 0 if inside is None else os.O_NOFOLLOW
    folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | follow, dir_fd=inside)
    held.callback(os.close, folder)
    return folder


def _folders(folder: int, prefix: str) -> list[str]:
    names = (name for name in os.listdir(folder) if name.startswith(prefix))
    return [name for name in names if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)]
