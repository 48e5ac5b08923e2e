"""The same promises, kept by a real kernel's XFS and ext4. Not collected by itself: test_kernel_quotas.py runs it in a machine of its own, as root."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.contracts.quota_contract import QuotaContract
from worker.quotas.base import NONE, QuotaFault, number_of
from worker.quotas.linux import ProjectQuotas

OWNER = 20001
#: Where the machine has its two empty disks, and how each is mounted so that it keeps limits.
DISKS = {"xfs": "/dev/ubda", "ext4": "/dev/ubdb"}


@dataclass
class KernelDisk:
    """What a test writes, it writes as the owner."""

    root: Path
    quotas: ProjectQuotas = field(default_factory=ProjectQuotas)

    def folder(self, name: str) -> Path:
        folder = self.root / name
        if not folder.is_dir():
            folder.mkdir(mode=0o700)
            os.chown(folder, OWNER, OWNER)
        return folder

    def write(self, file: Path, size: int) -> None:
        with _as_owner():
            _write(file, size)

    def remove(self, file: Path) -> None:
        with _as_owner():
            file.unlink(missing_ok=True)


def _write(file: Path, size: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as opened:
        opened.write(b"x" * size)
        opened.flush()
        os.fsync(opened.fileno())


@contextmanager
def _as_owner() -> Iterator[None]:
    """With no rights of root's: root writes beyond quotas."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(OWNER)
    os.seteuid(OWNER)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@pytest.fixture(params=DISKS)
def mounted(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A fresh file system that enforces limits of projects, at a place with a blank in its name."""
    yield from _mounted(request.param, tmp_path / "work spaces", "prjquota")


def _mounted(kind: str, place: Path, options: str) -> Iterator[Path]:
    device = DISKS[kind]
    how = ["mkfs.xfs", "-q", "-f", device] if kind == "xfs" else ["mkfs.ext4", "-q", "-F", "-O", "quota,project", "-E", "quotatype=prjquota", device]
    subprocess.run(how, check=True, capture_output=True)
    place.mkdir()
    subprocess.run(["mount", "-o", options, device, place], check=True)
    try:
        place.chmod(0o711)
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.fixture
def disk(mounted: Path) -> KernelDisk:
    for folder in mounted.parents:
        folder.chmod(folder.stat().st_mode | 0o011)
    return KernelDisk(mounted)


class TestKernelQuotas(QuotaContract):
    """All promises, twice."""


@pytest.mark.parametrize(("kind", "options"), [("xfs", "defaults"), ("xfs", "pqnoenforce"), ("ext4", "defaults")])
def test_a_file_system_that_only_counts_is_not_taken_for_one_that_keeps_limits(kind: str, options: str, tmp_path: Path) -> None:
    for place in _mounted(kind, tmp_path / "disk", options):
        lack = ProjectQuotas().lack(place)
        assert lack is not None
        assert (lack.words, lack.fix) == (f"Their file system ({kind}) is mounted without prjquota.", "")


def test_a_place_in_memory_keeps_no_limits(tmp_path: Path) -> None:
    lack = ProjectQuotas().lack(tmp_path)
    assert lack is not None
    assert lack.words == "They lie on tmpfs, and GPU Lab can have limits kept by XFS and ext4 only."


def test_a_link_in_a_tree_leads_the_marking_to_nobody_elses_files(disk: KernelDisk) -> None:
    alice, bob = disk.folder("alice"), disk.folder("bob")
    os.chown(bob, OWNER + 1, OWNER + 1)
    (bob / "theirs").write_bytes(b"x")
    (alice / "link").symlink_to(bob)
    (alice / "file").symlink_to(bob / "theirs")
    disk.quotas.mark(alice, number_of(OWNER))
    said = subprocess.run(["lsattr", "-pd", bob, bob / "theirs"], check=True, capture_output=True, text=True).stdout
    assert [line.split()[0] for line in said.splitlines()] == ["0", "0"]


def test_what_an_owner_takes_out_of_the_project_is_put_back_by_marking_again(disk: KernelDisk) -> None:
    alice, number = disk.folder("alice"), number_of(OWNER)
    disk.quotas.mark(alice, number)
    disk.write(alice / "file", 1024**2)
    subprocess.run(["chattr", "-p", "0", "./file"], cwd=alice, user=OWNER, group=OWNER, extra_groups=[], check=True)
    assert disk.quotas.held(alice)[number].size < 1024**2
    disk.quotas.mark(alice, number)
    assert disk.quotas.held(alice)[number].size >= 1024**2


def test_a_folder_on_something_without_projects_hides_no_other(disk: KernelDisk) -> None:
    alice, bob, strange = disk.folder("alice"), disk.folder("bob"), Path("/proc/sys")
    disk.quotas.mark(alice, number_of(OWNER))
    found = disk.quotas.numbers([strange, alice, bob])
    assert (found[alice], found[bob], found.get(strange, NONE)) == (number_of(OWNER), NONE, NONE)


def test_a_folder_that_is_not_its_owners_yet_is_not_marked(disk: KernelDisk) -> None:
    alice = disk.folder("alice")
    os.chown(alice, 0, 0)
    with pytest.raises(QuotaFault, match="not its owner's yet"):
        disk.quotas.mark(alice, number_of(OWNER))
