"""How full this node's disks are. A full one is a red line of its health: no new lab starts there, running ones go on."""

import os
from collections.abc import Mapping
from pathlib import Path

from labs.fleet.queries import DISK_CHECK
from worker.runtimes.base import Check

FULL_PCT, NEARLY_PCT = 90, 80


def disk_checks(places: Mapping[str, Path]) -> list[Check]:
    """One line a place that this worker can see, by its name in words ("labs and workspaces")."""
    return [_check(name, path, pct) for name, path in places.items() if (pct := used_pct(path)) is not None]


def used_pct(path: Path) -> int | None:
    """How much of the disk under `path` is used, as `df` says it; of its space or its inodes, whichever is worse."""
    try:
        state = os.statvfs(path)
    except OSError:
        return None
    space = _share(state.f_blocks - state.f_bfree, state.f_bavail)
    inodes = _share(state.f_files - state.f_ffree, state.f_favail)
    return max(space, inodes)


def _share(used: int, left: int) -> int:
    return round(100 * used / (used + left)) if used + left else 0


def _check(name: str, path: Path, pct: int) -> Check:
    if pct < NEARLY_PCT:
        return Check(DISK_CHECK + name, "green", f"{pct}% of the disk of {name} is used.")
    fix = f"Free space on {path}, or make it larger: unused images (docker image prune), old files of people, logs."
    if pct < FULL_PCT:
        return Check(DISK_CHECK + name, "yellow", f"{pct}% of the disk of {name} is used; from {FULL_PCT}% on no new lab starts here.", fix)
    return Check(DISK_CHECK + name, "red", f"The disk of {name} is {pct}% full: no new lab starts here. Running ones go on.", fix)
