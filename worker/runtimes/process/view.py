"""As root: a lab's own view of the file system, made by mounts in a namespace of its own.

It gives the lab /workspace, /data, its own /tmp and a /dev/shm of the size asked for, and reaches folders that
lie below a closed one (a checkout in root's home). It is a convenience and a limit, not a wall between people.
"""

import ctypes
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CLONE_NEWNS = 0x00020000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = (1, 2, 4, 32, 4096, 16384, 1 << 18)
HIDDEN = frozenset({"root", "home", "tmp", "workspace", "data", "team", "scratch", "lost+found"})

_libc = ctypes.CDLL(None, use_errno=True)


def _call(result: int, words: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{words}: {os.strerror(number)}")


def mount(source: str, target: Path, *, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    arguments = (source.encode(), str(target).encode(), kind.encode() or None, ctypes.c_ulong(flags), data.encode() or None)
    _call(_libc.mount(*arguments), f"mount {source} on {target}")


def unshare() -> None:
    """A mount namespace of our own, from which nothing travels back to the host."""
    _call(_libc.unshare(CLONE_NEWNS), "unshare")
    mount("none", Path("/"), flags=MS_REC | MS_PRIVATE)


def can_unshare() -> bool:
    """May this process make such a view? Asked in a child, so that nothing changes here."""
    if os.geteuid() != 0:
        return False
    pid = os.fork()
    if pid == 0:
        try:
            unshare()
            os._exit(0)
        except OSError:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


def is_open(path: Path) -> bool:
    """May anybody walk down to `path`?"""
    return all(stat.S_IMODE(one.stat().st_mode) & stat.S_IXOTH for one in (path, *path.parents))


@dataclass(frozen=True, slots=True)
class View:
    """What a lab sees. `same` are host folders found at the same path; a pair is (path, writable)."""

    root: str  # an empty host folder to build it in
    workspace: str
    data: str  # host folder of the house's data, "" for none
    data_at: str  # where that is seen
    beside: tuple[tuple[str, str, bool], ...]  # host folder, where it is seen, writable
    passwd: str  # a file to stand as /etc/passwd
    same: tuple[tuple[str, bool], ...]
    shm_bytes: int
    tmp_bytes: int

    def as_plan(self) -> dict[str, Any]:
        """For the keeper's plan."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_plan(cls, plan: dict[str, Any]) -> "View":
        """Back from the plan."""
        return cls(**{**plan, "same": tuple(map(tuple, plan["same"])), "beside": tuple(map(tuple, plan["beside"]))})


def _bind(source: str, target: Path, *, writable: bool) -> None:
    if Path(source).is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    mount(source, target, flags=MS_BIND | MS_REC)
    if not writable:
        mount("none", target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV)


def _tops_bind(root: Path, hidden: frozenset[str]) -> None:
    for entry in os.scandir("/"):
        target = root / entry.name
        if entry.is_symlink():
            target.symlink_to(Path(entry.path).readlink())
        elif entry.is_dir() and entry.name not in hidden:
            target.mkdir()
            mount(entry.path, target, flags=MS_BIND | MS_REC)
        elif entry.is_dir():
            target.mkdir()


def _closed_tops(paths: Sequence[str]) -> frozenset[str]:
    """Top folders below which a needed path lies behind a closed door: they are rebuilt instead of bound."""
    return frozenset(Path(path).parts[1] for path in paths if not is_open(Path(path).parent))


def _beside_bind(root: Path, view: View) -> None:
    """The house's data, data sets, teams' folders, scratch. Where data sets stand in /data, so do links to the house's data."""
    if view.data:
        _bind(view.data, root / view.data_at.lstrip("/"), writable=False)
    for source, target, writable in view.beside:
        _bind(source, root / target.lstrip("/"), writable=writable)
    if view.data and view.data_at != "/data":
        for entry in os.scandir(view.data):
            link = root / "data" / entry.name
            if not link.exists():
                link.symlink_to(f"{view.data_at}/{entry.name}")


def enter(view: View) -> None:
    """Build the view and make it this process's root."""
    unshare()
    root = Path(view.root)
    mount("tmpfs", root, kind="tmpfs", flags=MS_NOSUID, data="size=4m,mode=755")
    old_umask = os.umask(0o022)
    hidden = HIDDEN | _closed_tops([path for path, _ in view.same])
    _tops_bind(root, hidden)
    mount("tmpfs", root / "tmp", kind="tmpfs", flags=MS_NOSUID | MS_NODEV, data=f"size={view.tmp_bytes},mode=1777")
    (root / "dev/shm").mkdir(exist_ok=True)
    mount("tmpfs", root / "dev/shm", kind="tmpfs", flags=MS_NOSUID | MS_NODEV, data=f"size={view.shm_bytes},mode=1777")
    for path, writable in view.same:
        if Path(path).parts[1] in hidden or not writable:
            _bind(path, root / path.lstrip("/"), writable=writable)
    _bind(view.workspace, root / "workspace", writable=True)
    _beside_bind(root, view)
    mount(view.passwd, root / "etc/passwd", flags=MS_BIND)
    os.umask(old_umask)
    os.chroot(root)
    os.chdir("/")
