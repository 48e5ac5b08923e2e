"""A workspace's folder, carried beside another place on this host: everything that is in it arrives as it was."""

import contextlib
import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.carrying import here
from worker.carrying.here import Here, Stuck

UID = 20001 if os.geteuid() == 0 else os.getuid()


def end(folder: Path, *, tries: int = 1, name: str = "n1") -> Here:
    """One end of a try, with its workspace there."""

    def find(make: bool) -> Path | None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        return folder if make or folder.is_dir() else None

    def drop() -> None:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()

    return Here(name=name, mark="7", tries=tries, uid=UID, find=find, drop=drop)


def furnish(folder: Path) -> None:
    """What people have: a program, a link, a hard link, a hole, odd names, a folder that nobody may write, attributes."""
    (folder / "deep/er").mkdir(parents=True)
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o4755)
    (folder / "deep/er/ünïcode \n name").write_bytes(os.urandom(300_000))
    (folder / "link").symlink_to("deep/er")
    (folder / "away").symlink_to("/etc/passwd")
    os.link(folder / "run.sh", folder / "deep/same")
    with (folder / "hole").open("wb") as file:
        file.truncate(64 * 1024 * 1024)
        file.seek(32 * 1024 * 1024)
        file.write(b"in the middle")
    os.utime(folder / "hole", ns=(1, 1_234_567_890_123_456_789))
    (folder / "deep").chmod(0o555)
    subprocess.run(["chown", "-R", f"{UID}:{UID}", str(folder)], check=True)


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[tuple[Here, Here, Path, Path]]:
    """A workspace on one host, and its place on another."""
    there, other = tmp_path / "a/ws", tmp_path / "b/ws"
    there.mkdir(parents=True, mode=0o700)
    furnish(there)
    tmp_path.chmod(0o755)
    yield end(there), end(other, name="n2"), there, other
    subprocess.run(["chmod", "-R", "u+w", str(tmp_path)], check=True)


def carried(source: Here, destination: Here) -> None:
    with source.packed() as chunks:
        destination.unpack(chunks)


def test_everything_arrives_as_it_was(ends):
    source, destination, _, other = ends
    size = source.size()
    assert size.files == 9 and size.size < 2 * 1024 * 1024
    carried(source, destination)
    assert not other.exists()
    assert source.digest() == destination.digest()
    destination.land()
    assert destination.digest() == source.digest()
    assert (other / "hole").stat().st_mtime_ns == 1_234_567_890_123_456_789
    assert (other / "hole").stat().st_blocks * 512 < 1024 * 1024
    assert (other / "deep/same").stat().st_ino == (other / "run.sh").stat().st_ino
    assert str((other / "away").readlink()) == "/etc/passwd"


@pytest.mark.parametrize("change", ["content", "mode", "time", "link", "name", "more"])
def test_a_difference_is_seen(ends, change):
    source, destination, there, _ = ends
    carried(source, destination)
    match change:
        case "content":
            state = (there / "run.sh").stat()
            (there / "run.sh").write_text("#!/bin/zz\n")
            os.utime(there / "run.sh", ns=(state.st_atime_ns, state.st_mtime_ns))
        case "mode":
            (there / "hole").chmod(0o600)
        case "time":
            os.utime(there / "hole", ns=(1, 2))
        case "link":
            (there / "link").unlink()
            (there / "link").symlink_to("deep/err")
        case "name":
            (there / "hole").rename(there / "whole")
        case _:
            (there / "more").touch()
    assert source.digest().digest != destination.digest().digest


def test_each_verb_may_be_taken_twice(ends):
    source, destination, there, _ = ends
    carried(source, destination)
    number = source.digest().digest
    for _ in range(2):
        destination.land()
        source.set_aside()
    assert list(there.iterdir()) == []
    assert destination.digest().digest == number
    for _ in range(2):
        source.tidy()
    assert list(there.parent.iterdir()) == []


def test_what_was_there_already_is_kept(ends):
    source, destination, _, other = ends
    other.mkdir(parents=True)
    (other / "thesis.tex").write_text("all of it")
    carried(source, destination)
    destination.land()
    assert (other / "files-that-were-on-n2/thesis.tex").read_text() == "all of it"
    assert (other / "run.sh").exists()


def test_a_broken_stream_leaves_nothing(ends):
    source, destination, _, other = ends

    def broken(chunks: Iterator[bytes]) -> Iterator[bytes]:
        yield next(chunks)
        raise Stuck("The link broke.")

    with pytest.raises(Stuck, match=r"The link broke\."), source.packed() as chunks:
        destination.unpack(broken(chunks))
    assert list(other.parent.iterdir()) == []


def test_a_stream_that_ends_too_soon_is_refused(ends):
    source, destination, _, other = ends
    with source.packed() as chunks:
        whole = b"".join(chunks)
    with pytest.raises(Stuck):
        destination.unpack([whole[: len(whole) // 2]])
    assert list(other.parent.iterdir()) == []


def test_a_copy_that_was_set_aside_can_be_put_back(ends):
    source, _, _, _ = ends
    number = source.digest().digest
    source.set_aside()
    for _ in range(2):
        source.put_back()
    assert source.digest().digest == number


def test_a_disk_without_room_is_told_before_anything_is_carried(ends, monkeypatch):
    source, destination, _, _ = ends
    monkeypatch.setattr(here, "SPARE", 1 << 60)
    with pytest.raises(Stuck, match="free, and the workspace holds") as stuck:
        destination.room_check(source.size())
    assert stuck.value.final


def test_what_runs_as_a_person_is_told_no_secret_of_the_house(tmp_path, monkeypatch):
    monkeypatch.setenv("GPULAB_SECRET_KEY", "not-for-people")
    tmp_path.chmod(0o755)
    with here._program(["env"], folder=tmp_path, uid=UID, stdout=subprocess.PIPE) as ran:
        assert b"not-for-people" not in b"".join(here._read(ran))


def test_a_disk_that_fills_up_is_told_in_words(ends, tmp_path):
    source, _, _, _ = ends
    if os.geteuid() != 0:
        pytest.skip("needs root: a disk of its own")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k,mode=755", "none", str(disk)], check=True)
    try:
        with pytest.raises(Stuck, match="filled up") as stuck, source.packed() as chunks:
            end(disk / "ws").unpack(chunks)
        assert stuck.value.final
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("name", ["../escaped", "/tmp/gpulab-escaped", "link/escaped"])
def test_a_hostile_stream_writes_nowhere_else(tmp_path, name):
    """As a stolen node could send it: up, from the root, through a link."""
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o777)
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, str(outside)
        archive.addfile(link)
        about = tarfile.TarInfo(name)
        about.size = 3
        archive.addfile(about, io.BytesIO(b"bad"))
    destination = end(tmp_path / "b/ws")
    with contextlib.suppress(Stuck):
        destination.unpack([file.getvalue()])
    assert all(found.is_relative_to(tmp_path / "b") for found in tmp_path.rglob("escaped"))
    assert not Path("/tmp/gpulab-escaped").exists()
    assert not list(outside.iterdir())


@pytest.mark.skipif(os.geteuid() != 0 and not os.environ.get("CI"), reason="needs root, who alone can give files to others and make devices")
def test_files_belong_to_the_person_whoever_the_stream_says(tmp_path):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        about = tarfile.TarInfo("sh")
        about.size, about.mode, about.uid, about.gid = 3, 0o4755, 0, 0
        archive.addfile(about, io.BytesIO(b"bad"))
        device = tarfile.TarInfo("disk")
        device.type, device.devmajor, device.devminor = tarfile.BLKTYPE, 8, 0
        archive.addfile(device)
    tmp_path.chmod(0o755)
    destination = end(tmp_path / "b/ws")
    with pytest.raises(Stuck):
        destination.unpack([file.getvalue()])
    file.truncate(1024)
    destination.unpack([file.getvalue() + bytes(1024)])
    destination.land()
    assert (tmp_path / "b/ws/sh").stat().st_uid == UID
