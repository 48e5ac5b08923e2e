"""A snapshot as a file on the node's disk: a compressed tar stream, there whole or not at all."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from worker.carrying.here import CHUNK, Here, Stuck
from worker.carrying.kept import FILE

#: What is left free of the disk.
SPARE = 1024**3


def snapshot_write(here: Here, file: Path, progress: Callable[[int], object]) -> int:
    """Pack the workspace into the file; the bytes that it takes. `progress`: per cent of what is to be read. Raises Stuck, and leaves nothing half."""
    whole = here.size().size
    snapshot_folder(file.parent)
    if shutil.disk_usage(file.parent).free < whole // 2 + SPARE:
        raise Stuck("The disk of the node has not enough room for a snapshot. Delete old snapshots, or files.", final=True)
    part = file.with_suffix(".part")
    try:
        with part.open("wb") as out, here.packed(in_use=True) as chunks:
            _compressed(_told(chunks, whole, progress), out.fileno())
            os.fsync(out.fileno())
        part.rename(file)
    finally:
        part.unlink(missing_ok=True)
    return file.stat().st_size


def snapshot_read(file: Path, progress: Callable[[int], object]) -> Iterator[bytes]:
    """Its tar stream. Raises Stuck where the file is gone or broken."""
    if not file.exists():
        raise Stuck("The snapshot's file is not on the node's disk any more.", final=True)
    size, done = max(file.stat().st_size, 1), 0
    with file.open("rb") as source, subprocess.Popen([*_tool(file), "-d", "-c"], stdin=source, stdout=subprocess.PIPE) as ran:
        assert ran.stdout is not None  # noqa: S101  (it was asked for)
        while chunk := ran.stdout.read(CHUNK):
            yield chunk
            if (now := 100 * os.lseek(source.fileno(), 0, os.SEEK_CUR) // size) > done:
                done = now
                progress(done)
    if ran.returncode:
        raise Stuck("The snapshot's file is broken: nothing was restored of it.", final=True)


def snapshot_file(folder: Path, workspace: str, number: int) -> Path:
    """Where the node keeps it; what packed it is in its name."""
    stem = folder / workspace / str(number)
    packed = [stem.with_name(f"{stem.name}{end}") for end in (".tar.zst", ".tar.gz")]
    return next((one for one in packed if one.exists()), packed[0] if shutil.which("zstd") else packed[1])


def snapshots_older(folder: Path, prefix: str, than: float) -> dict[int, Path]:
    """By number: the files below `folder` of workspaces whose name begins so that lie there since before that moment (seconds of the epoch)."""
    found = {}
    for file in folder.glob(f"{prefix}*/*.tar.*"):
        number = FILE.fullmatch(file.name)
        if number and file.lstat().st_ctime < than:
            found[int(number[1])] = file
    return found


def arrivals_older(folder: Path, than: float) -> list[Path]:
    """What was brought there for a move and never landed, since before that moment."""
    return [one for one in folder.glob(".gpulab-in-*") if one.lstat().st_ctime < than]


def _tool(file: Path) -> list[str]:
    return ["zstd", "-q"] if file.suffix == ".zst" or file.name.endswith(".zst") else ["gzip"]


def _compressed(chunks: Iterator[bytes], out: int) -> None:
    tool = ["zstd", "-q", "-3", "-c"] if shutil.which("zstd") else ["gzip", "-1", "-c"]
    with subprocess.Popen(["nice", "-n", "19", *tool], stdin=subprocess.PIPE, stdout=out) as ran:
        assert ran.stdin is not None  # noqa: S101  (it was asked for)
        try:
            for chunk in chunks:
                ran.stdin.write(chunk)
            ran.stdin.close()
        except BrokenPipeError as error:
            raise Stuck("The disk of the node filled up while the snapshot was made. Nothing of it is kept.", final=True) from error
        except BaseException:
            ran.kill()
            raise
    if ran.returncode:
        raise Stuck("The disk of the node filled up while the snapshot was made. Nothing of it is kept.", final=True)


def _told(chunks: Iterator[bytes], whole: int, progress: Callable[[int], object]) -> Iterator[bytes]:
    done, told = 0, 0
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        percent = min(99, 100 * done // max(whole, 1))
        if percent >= told + 5:
            told = percent
            progress(percent)


def snapshot_folder(folder: Path) -> None:
    """Make a workspace's; nobody but the worker looks into it."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in (folder.parent, folder):
        one.chmod(0o700)
