"""Whether workspaces lie encrypted: read from what kernels say of their mounts and devices, and from a real ext4 that encrypts a folder."""

import fcntl
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labs.fleet.models import Node
from tests.support.hands import Round, round_of  # noqa: F401  (fixture)
from worker.disks import at_rest_check, has_policy, mounted_at
from worker.node import report

#: FS_IOC_SET_ENCRYPTION_POLICY with a policy of version 1: AES-256 for contents and names, and a key of that name, which need not be there.
SET_POLICY, POLICY = 0x800C6613, bytes([0, 1, 4, 0]) + b"gpulabkey"[:8]
#: As recorded: a LUKS disk, a volume of LVM on one, a RAID of which one half is not encrypted, and a plain partition.
DEVICES = {"254:0": "CRYPT-LUKS2-0123456789abcdef-data", "254:1": "LVM-abcdefghijk", "9:0": "", "8:1": ""}
BELOW = {"254:1": ["254:0"], "9:0": ["254:0", "8:1"]}


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A recorded /sys."""
    for device, uuid in DEVICES.items():
        block = tmp_path / "sys/dev/block" / device
        (block / "slaves").mkdir(parents=True)
        if uuid:
            (block / "dm").mkdir()
            (block / "dm/uuid").write_text(f"{uuid}\n")
    for device, below in BELOW.items():
        for one in below:
            (tmp_path / "sys/dev/block" / device / "slaves" / one.replace(":", "-")).symlink_to(tmp_path / "sys/dev/block" / one)
    return tmp_path


def _said(system: Path, device: str, kind: str, source: str) -> str:
    folder = system / "srv/work spaces"
    folder.mkdir(parents=True)
    (system / "proc/self").mkdir(parents=True)
    at = str(folder).replace(" ", "\\040")
    lines = ["22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw", f"40 22 {device} / {at} rw,nosuid shared:9 master:2 - {kind} {source} rw,size=1m"]
    (system / "proc/self/mountinfo").write_text("\n".join(lines) + "\n")
    return at_rest_check({"workspaces": folder}, system / "proc", system / "sys")[0].words


@pytest.mark.parametrize(
    ("device", "kind", "source", "words"),
    [
        ("254:0", "xfs", "/dev/mapper/data", "Workspaces are encrypted at rest (dm-crypt)."),
        ("254:1", "ext4", "/dev/mapper/vg-data", "Workspaces are encrypted at rest (dm-crypt)."),
        ("9:0", "ext4", "/dev/md0", "Workspaces are not encrypted at rest."),
        ("8:1", "ext4", "/dev/sda1", "Workspaces are not encrypted at rest."),
        ("0:55", "fuse.gocryptfs", "/srv/cipher", "Workspaces are encrypted at rest (gocryptfs)."),
        ("0:56", "nfs4", "files:/export", "Whether workspaces are encrypted at rest cannot be told from here."),
        ("7:9", "ext4", "/dev/unknown", "Whether workspaces are encrypted at rest cannot be told from here."),
    ],
)
def test_what_lies_below_a_workspace_says_whether_it_is_encrypted(system: Path, device: str, kind: str, source: str, words: str) -> None:
    assert _said(system, device, kind, source) == words


def test_a_folder_that_this_worker_does_not_see_is_not_called_anything(tmp_path: Path) -> None:
    for unseen in (tmp_path / "of/the-engine", None):
        check, encrypts = at_rest_check({"workspaces": unseen})
        assert (check.words, encrypts) == ("Whether workspaces are encrypted at rest cannot be told from here.", None)


def test_the_deepest_mount_holds_a_folder_and_of_two_in_one_place_the_last(tmp_path: Path) -> None:
    lines = [f"1 1 8:1 / / rw - ext4 a rw\n2 1 8:2 / {tmp_path} rw - ext4 b rw\n3 1 8:3 / {tmp_path} rw - ext4 c rw\n4 1 8:4 / {tmp_path}x rw - ext4 d rw\n"]
    found = mounted_at(tmp_path, lines[0])
    assert found is not None
    assert found.source == "c"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A real ext4 that can encrypt folders."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small disk")
    image, mounted = tmp_path / "disk", tmp_path / "m"
    mounted.mkdir()
    image.touch()
    os.truncate(image, 32 * 1024**2)
    subprocess.run(["mkfs.ext4", "-q", "-O", "encrypt", image], check=True, capture_output=True)
    subprocess.run(["mount", "-o", "loop", image, mounted], check=True)
    yield mounted
    subprocess.run(["umount", "-l", mounted], check=True)


def test_a_folder_that_its_own_file_system_encrypts_is_known(disk: Path) -> None:
    plain, secret = disk / "plain", disk / "secret"
    for folder in (plain, secret):
        folder.mkdir()
    handle = os.open(secret, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(handle, SET_POLICY, POLICY)
    finally:
        os.close(handle)
    assert (has_policy(plain), has_policy(secret)) == (False, True)
    for folder, words, encrypts in ((secret, "Workspaces are encrypted at rest (fscrypt).", True), (plain, "Workspaces are not encrypted at rest.", False)):
        check, found = at_rest_check({"workspaces": folder, "snapshots": folder})
        assert (check.words, found) == (words, encrypts)
    check, found = at_rest_check({"workspaces": secret, "snapshots": plain})
    assert (check.words, found) == ("Workspaces are encrypted at rest (fscrypt). Snapshots are not encrypted at rest.", False)


@pytest.mark.parametrize(("by", "encrypts"), [("dm-crypt", True), ("", False), (None, None)])
@pytest.mark.django_db(transaction=True)
def test_a_node_reports_what_it_found_in_words_and_for_the_rule(
    round_of: Callable[..., Round], monkeypatch: pytest.MonkeyPatch, settings, tmp_path: Path, by: str | None, encrypts: bool | None
) -> None:
    settings.GPULAB_HOME, settings.SNAPSHOTS = tmp_path, tmp_path / "snapshots"
    monkeypatch.setattr("worker.node.hands", lambda: round_of().hands)
    monkeypatch.setattr("worker.disks.encrypted_by", lambda *_: by)
    report()
    found = Node.objects.get()
    assert (found.encrypts, found.at_rest.startswith("Workspaces are encrypted")) == (encrypts, bool(by))
