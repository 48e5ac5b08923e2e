"""What keeping the limits of workspaces promises: tried on the file system in memory in every run, and on those of a real kernel by `make test-long`."""

import errno
from pathlib import Path
from typing import Protocol

import pytest

from worker.quotas.base import NONE, Quotas, number_of

KIB, MIB = 1024, 1024**2
ALICE, BOB = number_of(20001), number_of(20002)
REFUSED = {errno.EDQUOT, errno.ENOSPC}  # ext4 says the one, XFS the other


class Disk(Protocol):
    """A file system that may keep limits, with a folder for each who asks."""

    quotas: Quotas

    def folder(self, name: str) -> Path:
        """A workspace, as its owner's."""
        ...

    def write(self, file: Path, size: int) -> None:
        """As the owner of the workspace, in folders that are made where they are missing. OSError where there is no room."""
        ...

    def remove(self, file: Path) -> None:
        """As the owner."""
        ...


def _refused(disk: Disk, file: Path, size: int) -> bool:
    try:
        disk.write(file, size)
    except OSError as error:
        assert error.errno in REFUSED
        disk.remove(file)
        return True
    return False


class QuotaContract:
    """The promises; a test module says how the disk is made."""

    def test_nothing_is_lacking(self, disk: Disk) -> None:
        assert disk.quotas.lack(disk.folder("alice")) is None

    def test_a_tree_that_was_there_before_bears_the_number_whole_and_so_does_what_is_made_in_it(self, disk: Disk) -> None:
        alice = disk.folder("alice")
        disk.write(alice / "deep/er and er/old", 256 * KIB)
        assert disk.quotas.numbers([alice])[alice] == NONE
        for _ in range(2):
            disk.quotas.mark(alice, ALICE)
        assert disk.quotas.numbers([alice]) == {alice: ALICE}
        before = disk.quotas.held(alice)[ALICE]
        disk.write(alice / "deep/er and er/new", 512 * KIB)
        after = disk.quotas.held(alice)[ALICE]
        assert before.size >= 256 * KIB
        assert 512 * KIB <= after.size - before.size < 600 * KIB
        assert after.files - before.files == 1

    def test_what_is_above_the_limit_is_refused_until_there_is_room_or_more_is_allowed(self, disk: Disk) -> None:
        alice = disk.folder("alice")
        disk.quotas.mark(alice, ALICE)
        disk.quotas.allow(alice, ALICE, size=2 * MIB, files=1000)
        disk.write(alice / "first", MIB)
        assert _refused(disk, alice / "second", 2 * MIB)
        disk.remove(alice / "first")
        disk.write(alice / "second", MIB)
        disk.quotas.allow(alice, ALICE, size=6 * MIB, files=1000)
        disk.write(alice / "third", 3 * MIB)
        held = disk.quotas.held(alice)[ALICE]
        assert (held.limit, held.most, held.size >= 4 * MIB) == (6 * MIB, 1000, True)
        disk.quotas.allow(alice, ALICE, size=0, files=0)
        disk.write(alice / "fourth", 8 * MIB)

    def test_more_files_than_are_allowed_are_refused(self, disk: Disk) -> None:
        alice = disk.folder("alice")
        disk.quotas.mark(alice, ALICE)
        disk.quotas.allow(alice, ALICE, size=4 * MIB, files=10)
        made = 0
        while made < 200 and not _refused(disk, alice / f"file-{made}", 0):
            made += 1
        assert 0 < made <= 10

    def test_a_tree_above_its_limit_stays_whole_and_cannot_grow_until_it_is_below(self, disk: Disk) -> None:
        alice = disk.folder("alice")
        disk.quotas.mark(alice, ALICE)
        disk.write(alice / "large", 3 * MIB)
        disk.write(alice / "small", 64 * KIB)
        disk.quotas.allow(alice, ALICE, size=MIB, files=0)
        assert disk.quotas.held(alice)[ALICE].size >= 3 * MIB
        assert _refused(disk, alice / "more", 512 * KIB)
        disk.remove(alice / "large")
        disk.write(alice / "more", 512 * KIB)

    def test_one_persons_limit_is_nobody_elses(self, disk: Disk) -> None:
        alice, bob = disk.folder("alice"), disk.folder("bob")
        for folder, number, size in ((alice, ALICE, MIB), (bob, BOB, 4 * MIB)):
            disk.quotas.mark(folder, number)
            disk.quotas.allow(folder, number, size=size, files=0)
        assert _refused(disk, alice / "file", 2 * MIB)
        disk.write(bob / "file", 2 * MIB)
        held = disk.quotas.held(alice)
        assert (held[ALICE].limit, held[BOB].limit) == (MIB, 4 * MIB)
        assert held[BOB].size >= 2 * MIB > held[ALICE].size

    def test_a_tree_above_the_limit_of_its_number_is_marked_once_the_limit_is_lifted(self, disk: Disk) -> None:
        alice = disk.folder("alice")
        disk.write(alice / "large", 3 * MIB)
        disk.quotas.allow(alice, ALICE, size=0, files=0)
        disk.quotas.mark(alice, ALICE)
        disk.quotas.allow(alice, ALICE, size=MIB, files=0)
        assert disk.quotas.held(alice)[ALICE].size >= 3 * MIB

    def test_a_number_of_a_folder_that_is_not_there_is_not_told(self, disk: Disk, tmp_path: Path) -> None:
        assert disk.quotas.numbers([]) == {}
        assert disk.quotas.numbers([tmp_path / "gone"]).get(tmp_path / "gone", NONE) == NONE


@pytest.mark.parametrize(("uid", "number"), [(1000, 1_999_999_000), (20001, 1_999_979_999)])
def test_a_number_is_the_persons_own_and_counts_down(uid: int, number: int) -> None:
    assert number_of(uid) == number
