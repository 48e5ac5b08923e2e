"""A kernel of its own for tests of what this machine's kernel cannot: Linux as a process (Debian's user-mode-linux), with this machine's files below it.

It has its own processes, mounts and memory, two empty disks, no network, and starts in seconds without any right of this machine.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

#: What is to be there, by a program of it, and what the kernel is to load, in this order.
QUOTA_PACKAGES = {"linux.uml": "user-mode-linux", "mkfs.xfs": "xfsprogs", "setquota": "quota", "mkfs.ext4": "e2fsprogs"}
QUOTA_MODULES = "quota_tree quota_v2"
NFS_PACKAGES = {"linux.uml": "user-mode-linux", "mkfs.ext4": "e2fsprogs", "rpc.nfsd": "nfs-kernel-server", "dockerd": "docker.io"}
NFS_MODULES = "sunrpc grace lockd oid_registry auth_rpcgss nfs_acl netfs fscache dns_resolver nfs nfsv3 nfsv4 nfsd overlay veth"
MODULES = Path("/usr/lib/uml/modules")
DISK_MIB = 320  # the least that XFS takes is 300
MEMORY = "768M"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENDED = "the command ended with "

#: The machine's first program. A module that it lacks is loaded by the system call itself: no program for it need be there.
FIRST = """#!/bin/bash
export PATH={path} LC_ALL=C
mount -t proc none /proc; mount -t sysfs none /sys; mount -t tmpfs -o mode=1777 none /tmp; mount -t tmpfs none /run; ip link set lo up
{python} - <<'END'
import ctypes, glob, os
for name in "{loaded}".split():
    for path in glob.glob(f"{modules}/*/kernel/**/{{name}}.ko", recursive=True):
        ctypes.CDLL(None).syscall(313, os.open(path, os.O_RDONLY), b"", 0)
END
cd {root}
env -i PATH="$PATH" LC_ALL=C HOME=/tmp PYTHONDONTWRITEBYTECODE=1 {command}
echo "{ended}$?"
echo o >/proc/sysrq-trigger
sleep 60
"""


@dataclass(frozen=True, slots=True)
class Said:
    """What the command in the machine printed, with all that its kernel said, and its exit status (None: the machine ended before it)."""

    text: str
    status: int | None


def kernel_needed(packages: Mapping[str, str] = QUOTA_PACKAGES) -> None:
    """Leave the test out, in words, where there is no such kernel, or something else of these is missing."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = sorted({package for program, package in packages.items() if shutil.which(program, path=path) is None})
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root, and the packages {' '.join(packages.values())}")


def kernel_run(*command: str, within_s: float, loaded: str = QUOTA_MODULES) -> Said:
    """Run a command in a fresh machine, as its root, in the folder where the project lies. Its memory and disks are in this machine's memory."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="gpulab-kernel-") as folder, tempfile.NamedTemporaryFile("w", suffix=".sh") as first:
        words = {"path": PATH, "python": sys.executable, "modules": MODULES, "root": Path.cwd(), "ended": ENDED, "loaded": loaded}
        first.write(FIRST.format(command=shlex.join(command), **words))
        first.flush()
        Path(first.name).chmod(0o755)
        return _run(Path(folder), first.name, within_s)


def _run(folder: Path, first: str, within_s: float) -> Said:
    disks = [folder / name for name in ("a.img", "b.img")]
    for disk in disks:
        with disk.open("wb") as file:
            file.truncate(DISK_MIB * 1024**2)
    machine = [f"mem={MEMORY}", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw", f"init={first}", "con=null", "con0=fd:0,fd:1", "loglevel=1"]
    drives = [f"ubd{letter}={disk}" for letter, disk in zip("ab", disks, strict=True)]
    # The kernel keeps its memory in a file of TMPDIR, and its sockets in HOME.
    environment = {"PATH": PATH, "TMPDIR": str(folder), "HOME": str(folder)}
    started = [shutil.which("linux.uml", path=PATH) or "linux.uml", *machine, *drives]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(started, **pipes, text=True, errors="replace", env=environment, start_new_session=True) as running:
        try:
            text, _ = running.communicate(timeout=within_s)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)  # its processes are processes of this machine, too
    _, found, status = text.rpartition(ENDED)
    return Said(text, int(status.split()[0]) if found else None)
