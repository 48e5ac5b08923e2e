"""How full this node's disks are. A full one is a red line of its health: no new lab starts there, running ones go on."""

import fcntl
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from labs.fleet.models import AT_REST_CHECK
from labs.fleet.queries import DISK_CHECK
from worker.quotas.base import Quotas
from worker.runtimes.base import Check

FULL_PCT, NEARLY_PCT = 90, 80
LIMITS_CHECK = "limits of workspaces"
#: File systems that encrypt by themselves, as /proc calls them.
ENCRYPTING = {"fuse.gocryptfs": "gocryptfs", "fuse.cryfs": "CryFS", "fuse.encfs": "EncFS", "ecryptfs": "eCryptfs"}
#: Asks for a folder's policy of fscrypt: FS_IOC_GET_ENCRYPTION_POLICY_EX of linux/fscrypt.h, and the bytes that it may take.
GET_POLICY, POLICY_BYTES = 0xC0096616, 24


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


def limits_check(quotas: Quotas, folder: Path) -> Check:
    """Does the file system of the workspaces in `folder` keep people's limits? Where somebody has prepared that and it does not work, that is a fault."""
    lack = quotas.lack(folder)
    if lack is None:
        return Check(LIMITS_CHECK, "green", "The file system keeps each person's disk limit: what is above it is not written.")
    words = f"Disk limits of people are measured every 10 minutes, not kept by the file system. {lack.words}"
    return Check(LIMITS_CHECK, "yellow" if lack.fix else "green", words, lack.fix)


@dataclass(frozen=True, slots=True)
class Mounted:
    """The file system under a folder: its device (0:n where it is none of its own), its kind, and what was mounted."""

    device: str
    kind: str
    source: str


def at_rest_check(places: Mapping[str, Path | None], proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> tuple[Check, bool | None]:
    """Does what people keep in these places lie encrypted on the disk? Told, never a fault: not every house needs it.

    Beside the words: yes where all of it does, no where some does not, None where that cannot be told.
    """
    by = {name: _found_at(path, proc, sys) for name, path in places.items()}
    alike = len({found and bool(found) for found in by.values()}) == 1
    told = [_at_rest_words(name, found) for name, found in list(by.items())[: 1 if alike else None]]
    encrypts = True if all(by.values()) else False if "" in by.values() else None
    return Check(AT_REST_CHECK, "green", " ".join(told)), encrypts


def _at_rest_words(name: str, by: str | None) -> str:
    if by is None:
        return f"Whether {name} are encrypted at rest cannot be told from here."
    return f"{name.capitalize()} are encrypted at rest ({by})." if by else f"{name.capitalize()} are not encrypted at rest."


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except PermissionError:
        return False


def _found_at(path: Path | None, proc: Path, sys: Path) -> str | None:
    """As `encrypted_by`, of a folder that is there, may be closed to this worker, or is about to be made in one that is there."""
    if path is None or not (_is_folder(path) or _is_folder(path.parent)):
        return None
    mounted = mounted_at(path, (proc / "self/mountinfo").read_text())
    return encrypted_by(path, mounted, sys) if mounted else None


def mounted_at(path: Path, mountinfo: str) -> Mounted | None:
    """The mount that holds the folder; of several in one place, the last covers the others."""
    real, found, longest = path.resolve(), None, -1
    for line in mountinfo.splitlines():
        fields, _, rest = line.partition(" - ")
        device, at = fields.split()[2], Path(_plain(fields.split()[4]))
        if real.is_relative_to(at) and len(at.parts) >= longest:
            kind, source = rest.split()[:2]
            found, longest = Mounted(device, kind, _plain(source)), len(at.parts)
    return found


def _plain(name: str) -> str:
    """Blanks and such as the kernel writes them."""
    return name.encode().decode("unicode_escape") if "\\" in name else name


def encrypted_by(path: Path, mounted: Mounted, sys: Path = Path("/sys")) -> str | None:
    """What encrypts it; empty for nothing, None where that cannot be told."""
    if mounted.kind in ENCRYPTING:
        return ENCRYPTING[mounted.kind]
    if has_policy(path):
        return "fscrypt"
    device = mounted.device
    if device.startswith("0:"):  # Btrfs has several devices behind one
        if not mounted.source.startswith("/dev/"):
            return None
        number = Path(mounted.source).stat().st_rdev
        device = f"{os.major(number)}:{os.minor(number)}"
    block = sys / "dev/block" / device
    if not block.is_dir():
        return None
    return "dm-crypt" if _is_crypt(block) else ""


def _is_crypt(block: Path) -> bool:
    """Is the device one of dm-crypt, or does it lie wholly on such ones, as a volume of LVM or a RAID may?"""
    uuid = block / "dm/uuid"
    if uuid.is_file() and uuid.read_text().startswith("CRYPT-"):
        return True
    below = list((block / "slaves").iterdir()) if (block / "slaves").is_dir() else []
    return bool(below) and all(_is_crypt(one) for one in below)


def has_policy(folder: Path) -> bool:
    """Is the folder encrypted by its own file system (ext4, F2FS, UBIFS: fscrypt)?"""
    asked = bytearray(POLICY_BYTES.to_bytes(8, "little") + bytes(POLICY_BYTES))
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.ioctl(handle, GET_POLICY, asked)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True
