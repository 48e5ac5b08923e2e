"""XFS and ext4 by the programs that every distribution has: findmnt, repquota, setquota, lsattr, chattr. The engine is not asked, and labs gain nothing.

Whatever root does, it does to a device, or to the folder of a workspace itself. The tree below belongs to somebody who may put a link into it at any moment:
it is marked as that person, who may do no more by it than with their own files.
"""

import csv
import json
import os
import shutil
import subprocess
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker.quotas.base import NONE, Held, Lack, QuotaFault

KINDS = ("xfs", "ext4")
#: As /proc calls it where limits are enforced, and not only counted.
ENFORCED = ("prjquota", "pquota")
#: Each with the package that brings it.
PROGRAMS = {"repquota": "quota", "setquota": "quota", "lsattr": "e2fsprogs", "chattr": "e2fsprogs", "find": "findutils"}
KIB = 1024
#: What the programs are told: what runs as a person is that person's to read.
BARE = {"LC_ALL": "C"}
DEADLINE_S, MARKING_S = 20.0, 900.0
#: Folders that one program is asked about.
SHARE = 200


@dataclass(frozen=True, slots=True)
class Mounted:
    """The file system under a folder."""

    device: str
    kind: str
    options: frozenset[str]


class ProjectQuotas:
    """On this host. Must be root."""

    def lack(self, folder: Path) -> Lack | None:
        """By looking at how it is mounted, and asking once."""
        try:
            mounted = _mounted(folder)
        except QuotaFault as fault:
            return Lack(fault.words)
        if mounted.kind not in KINDS:
            return Lack(f"They lie on {mounted.kind}, and GPU Lab can have limits kept by XFS and ext4 only.")
        if not mounted.options & {*ENFORCED}:
            return Lack(f"Their file system ({mounted.kind}) is mounted without prjquota.")
        if os.geteuid() != 0:
            return Lack("Their file system would, but only root may set limits, and this worker is not.", "Let it run as root on the node's host.")
        missing = sorted({package for program, package in PROGRAMS.items() if _where(program) is None})
        if missing:
            return Lack("Their file system would, but programs are missing.", f"apt-get install {' '.join(missing)}")
        return self._silent(folder)

    def _silent(self, folder: Path) -> Lack | None:
        try:
            self.held(folder)
        except QuotaFault as fault:
            return Lack("Their file system would, but does not tell this worker.", f"Let it run on the node's host, not in a container. {fault}")
        return None

    def held(self, folder: Path) -> dict[int, Held]:
        """What repquota says."""
        said = _said(["repquota", "-P", "-n", "-v", "-O", "csv", _mounted(folder).device], "Their file system did not tell what is used.")
        try:
            return {int(row["Project"].removeprefix("#")): _held(row) for row in csv.DictReader(said.splitlines())}
        except (KeyError, ValueError, TypeError) as error:
            raise QuotaFault("What repquota says was not understood.", detail=repr(error)) from error

    def allow(self, folder: Path, number: int, *, size: int, files: int) -> None:
        """Hard limits; bytes are rounded up to KiB, so that few are not none."""
        most = [str(number), "0", str(-(-size // KIB)), "0", str(files)]
        _said(["setquota", "-P", *most, _mounted(folder).device], "The file system did not take a limit.")

    def numbers(self, folders: Sequence[Path]) -> dict[Path, int]:
        """What lsattr says of the folders themselves; of one that lies on something without projects it says nothing, and tells of the others."""
        there = [str(folder) for folder in folders if folder.is_dir()]
        shares = (there[first : first + SHARE] for first in range(0, len(there), SHARE))
        told = (_said(["lsattr", "-pd", *share], "Projects of folders could not be read.", fits=(0, 1)) for share in shares)
        return dict(_numbered(line) for one in told for line in one.splitlines())

    def mark(self, folder: Path, number: int) -> None:
        """As the folder's owner, from inside it: the folders above are closed to them."""
        state = folder.stat()
        if state.st_uid == 0:
            raise QuotaFault(f"{folder} is not its owner's yet.")
        chattr = [_program("chattr"), "-f", "-p", str(number)]
        trees = ["-type", "d", "-exec", *chattr, "+P", "{}", "+"]
        command = [_program("find"), ".", "-xdev", *trees, "-o", "-type", "f", "-exec", *chattr, "{}", "+"]
        try:
            subprocess.run(command, cwd=folder, env=BARE, capture_output=True, check=False, timeout=MARKING_S, **_as(state))
        except (OSError, subprocess.SubprocessError) as error:
            raise QuotaFault(f"{folder} could not be marked.", detail=str(error)[-300:]) from error
        if self.numbers([folder]).get(folder) != number:
            raise QuotaFault(f"{folder} could not be marked.", detail="Linux must be 5.13 or newer for XFS.")


def _as(owner: os.stat_result) -> dict[str, Any]:
    return {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}


def _held(row: dict[str, str]) -> Held:
    size, limit = (int(row[name] or 0) * KIB for name in ("BlockUsed", "BlockHardLimit"))
    return Held(size, int(row["FileUsed"] or 0), limit, int(row["FileHardLimit"] or 0))


def _mounted(folder: Path) -> Mounted:
    asked = ["findmnt", "--json", "--nofsroot", "--target", str(folder), "--output", "SOURCE,FSTYPE,OPTIONS"]
    try:
        found: dict[str, Any] = json.loads(_said(asked, "What they lie on cannot be told from here."))["filesystems"][0]
        return Mounted(found["source"], found["fstype"], frozenset(found["options"].split(",")))
    except (ValueError, LookupError, AttributeError) as error:
        raise QuotaFault("What they lie on cannot be told from here.", detail=repr(error)) from error


def _numbered(line: str) -> tuple[Path, int]:
    number, flags, name = line.split(maxsplit=2)
    return Path(name), int(number) if "P" in flags else NONE


def _said(command: Sequence[str], words: str, fits: Container[int] = (0,)) -> str:
    try:
        done = subprocess.run([_program(command[0]), *command[1:]], capture_output=True, text=True, check=False, timeout=DEADLINE_S, env=BARE)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise QuotaFault(words, detail=str(error)[-300:]) from error
    if done.returncode not in fits:
        raise QuotaFault(words, detail=done.stderr.strip()[-300:])
    return done.stdout


def _where(program: str) -> str | None:
    """Some of them lie where only root's shells look."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/bin:/bin")


def _program(name: str) -> str:
    found = _where(name)
    if found is None:
        raise QuotaFault(f"There is no program {name} on this node.")
    return found
