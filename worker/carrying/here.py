"""A workspace's folder on this host, as a move sees it: measured, packed, unpacked beside its place, compared, put in place, set aside, removed.

Every verb may be taken twice. What is carried is a tar stream of the host's own GNU tar: it keeps permissions, times to the nanosecond, links, holes
and extended attributes. It is unpacked as the person that it belongs to, so that whoever sent it can write nothing that this person could not.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

CHUNK = 256 * 1024
DIGEST = Path(__file__).with_name("digest.py")
#: A disk is not filled to its last byte: what stays free beside what is brought.
SPARE = 256 * 1024 * 1024
#: How tar says that a disk is full.
FULL = ("No space left", "Disk quota exceeded", "Wrote only")
#: How tar ends where files changed, or went, while it read them, and nothing else was wrong.
CHANGED = 1
#: The least number that a person's files may belong to.
LEAST_UID = 1000
_ATTRIBUTES = ("--xattrs", "--xattrs-include=user.*")


class Stuck(Exception):
    """It does not go on. `words` for the workspace's owner; `final`: trying again would not help."""

    def __init__(self, words: str, *, final: bool = False) -> None:
        super().__init__(words)
        self.words, self.final = words, final


@dataclass(frozen=True, slots=True)
class Size:
    """What a folder holds: bytes of content, files and folders; and its number, where contents were read."""

    size: int
    files: int
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Here:
    """One end of one try of a move. `find(make)` gives the workspace's folder, or None where there is none; `drop` forgets an empty one."""

    name: str  # of the node, for people
    mark: str  # of the move
    tries: int
    uid: int
    find: Callable[[bool], Path | None]
    drop: Callable[[], None]

    def size(self) -> Size:
        """What is to be carried."""
        return _counted(self._folder(), quick=True)

    def digest(self) -> Size:
        """What this end holds now: the arrived copy if there is one, else the workspace."""
        arrived = self._beside(f"in-{self.mark}-{self.tries}")
        return _counted(arrived if arrived.is_dir() else self._folder(), quick=False)

    def room_check(self, size: Size) -> None:
        """Raises Stuck where the disk has no room for it."""
        free = shutil.disk_usage(self._folder(make=True).parent).free
        if free < size.size + SPARE:
            words = f"Node {self.name} has {_gib(free)} free, and the workspace holds {_gib(size.size)}. Delete what you do not need, or choose another node."
            raise Stuck(words, final=True)

    @contextlib.contextmanager
    def packed(self, *, in_use: bool = False) -> Iterator[Iterator[bytes]]:
        """Its files as a stream; raises Stuck at the end of one that is not whole. Where it is `in_use`, a file that changes meanwhile is as it was read."""
        command = ["tar", "--create", "--format=pax", "--sparse", *_ATTRIBUTES, "--numeric-owner", "--one-file-system", "."]
        with _program(command, folder=self._folder(), well=(0, CHANGED) if in_use else (0,), stdout=subprocess.PIPE) as ran:
            yield _read(ran)

    def unpack(self, chunks: Iterable[bytes]) -> None:
        """Take a stream into a folder beside the workspace's place. A stream that breaks leaves nothing there."""
        staging = self._staging()
        command = ["tar", "--extract", "--preserve-permissions", "--no-same-owner", "--delay-directory-restore", *_ATTRIBUTES]
        try:
            with _program(command, folder=staging, stdin=subprocess.PIPE, uid=self.uid) as ran:
                _write(ran, chunks)
            subprocess.run(["sync", "-f", str(staging)], check=True)
        except BaseException:
            removed(staging)
            raise

    @property
    def has_landed(self) -> bool:
        """Is there no arrived copy of this try any more? Once all of it was brought: it is in its place."""
        return not self._beside(f"in-{self.mark}-{self.tries}").is_dir()

    def land(self) -> None:
        """Put the arrived copy in place. Files that were there already are kept in a folder of it."""
        folder, staging = self._folder(make=True), self._beside(f"in-{self.mark}-{self.tries}")
        if self.has_landed:
            return
        if folder.is_dir() and any(folder.iterdir()):
            folder.rename(_unused(staging / f"files-that-were-on-{self.name}"))
        elif folder.is_dir():
            folder.rmdir()
        staging.rename(folder)
        _synced(folder.parent)

    def set_aside(self) -> None:
        """The copy that was left behind is no workspace any more; an empty one is in its place."""
        folder, aside = self._folder(make=True), self._beside(f"moved-{self.mark}")
        if not aside.is_dir():
            state = folder.stat()
            folder.rename(aside)
            _made(folder, state.st_uid, state.st_gid)
        elif not folder.is_dir():
            _made(folder, self.uid, self.uid)

    def put_back(self) -> None:
        """The copy that was left behind is the workspace again: the other one is lost."""
        folder, aside = self._folder(make=True), self._beside(f"moved-{self.mark}")
        if aside.is_dir():
            if folder.is_dir():
                folder.rmdir()
            aside.rename(folder)

    def tidy(self) -> None:
        """Remove what this move left here that does not count."""
        if self.find(False) is None:
            return
        for name in (f"moved-{self.mark}", *(f"in-{self.mark}-{number}" for number in range(self.tries + 1))):
            removed(self._beside(name))
        self.drop()

    def _folder(self, *, make: bool = False) -> Path:
        folder = self.find(make)
        if folder is None:
            raise Stuck(f"There is no such workspace on node {self.name}.", final=True)
        return folder

    def _beside(self, name: str) -> Path:
        return self._folder(make=True).with_name(f".gpulab-{name}")

    def _staging(self) -> Path:
        if self.uid < LEAST_UID and os.geteuid() == 0:
            raise Stuck("Files of the system's own users are not carried.", final=True)
        for number in range(self.tries):
            removed(self._beside(f"in-{self.mark}-{number}"))
        staging = self._beside(f"in-{self.mark}-{self.tries}")
        if staging.exists():
            raise Stuck("It was brought in this try already.")
        _made(staging, self.uid, self.uid)
        return staging


def _made(folder: Path, uid: int, gid: int) -> None:
    folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(folder, uid, gid)


def removed(folder: Path) -> None:
    """Remove a folder, whatever its owner made of it."""
    subprocess.run(["rm", "-rf", "--one-file-system", "--", str(folder)], check=True, capture_output=True)


def _unused(folder: Path) -> Path:
    return folder if not folder.exists() else folder.with_name(f"{folder.name}-{time.time():.0f}")


def _synced(folder: Path) -> None:
    """The names in it outlive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _counted(folder: Path, *, quick: bool) -> Size:
    how = ["--quick"] if quick else []
    ran = subprocess.run([sys.executable, "-I", str(DIGEST), *how, str(folder)], capture_output=True, text=True, check=False)
    if ran.returncode:
        said = ran.stderr.strip().splitlines() or [f"the program that reads it ended with {ran.returncode}"]
        raise Stuck(f"The workspace could not be read: {said[-1]}")
    found = json.loads(ran.stdout)
    return Size(found["size"], found["files"], "" if quick else found["digest"])


@contextlib.contextmanager
def _program(command: list[str], *, folder: Path, uid: int = 0, well: Sequence[int] = (0,), **pipes: int) -> "Iterator[subprocess.Popen[bytes]]":
    """Run it to its end in the folder, which it is in before it becomes that user: they may not come there by themselves.

    Raises Stuck in its words when it fails; it does not outlive what goes wrong on our side.
    """
    if os.geteuid() == 0 and uid:
        pipes |= {"user": uid, "group": uid, "extra_groups": []}  # type: ignore[dict-item]
    with tempfile.TemporaryFile() as said:
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}  # whoever it becomes may read it
        ran = subprocess.Popen(["nice", "-n", "10", *command], cwd=folder, stderr=said, env=environment, **pipes)  # type: ignore[call-overload]
        try:
            yield ran
            _shut(ran)
            ran.wait()
        except BaseException:
            ran.kill()
            _shut(ran)
            ran.wait()
            raise
        if ran.returncode not in well:
            said.seek(0)
            raise _stuck(said.read().decode(errors="replace"))


def _shut(ran: "subprocess.Popen[bytes]") -> None:
    for pipe in (ran.stdin, ran.stdout):
        if pipe:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _stuck(said: str) -> Stuck:
    if any(words in said for words in FULL):
        return Stuck("The disk of the node filled up while the files were brought. Nothing is lost: they are where they were.", final=True)
    return Stuck(f"The files could not be carried: {' '.join(said.split())[-300:]}")


def _read(ran: "subprocess.Popen[bytes]") -> Iterator[bytes]:
    pipe = _pipe(ran.stdout)
    while chunk := pipe.read(CHUNK):
        yield chunk


def _write(ran: "subprocess.Popen[bytes]", chunks: Iterable[bytes]) -> None:
    pipe = _pipe(ran.stdin)
    for chunk in chunks:
        try:
            pipe.write(chunk)
        except BrokenPipeError:  # it has ended, and says why itself
            return


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise RuntimeError("no pipe")
    return pipe


def _gib(size: int) -> str:
    return f"{size / 1024**3:.1f} GiB"
