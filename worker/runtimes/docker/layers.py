"""What was installed in a lab, as a layer of its own on the lab's image. Nothing of anybody's runs as root: files are only copied."""

import contextlib
import io
import json
import re
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO, Any

from worker.runtimes.base import Progress, RuntimeFault
from worker.runtimes.docker.client import Engine, NotFound, faults
from worker.runtimes.docker.heard import heard
from worker.runtimes.docker.images import Images
from worker.runtimes.docker.jobs import SPARE_S
from worker.runtimes.makes import Hear, Saved, Saving

REPOSITORY = "gpulab/made"
LABEL_MADE = "gpulab.made"
WITHIN_S = 900
PIECE = 256 * 1024
#: Of the whole, what packing takes; the rest is building and handing over.
PACKED_PCT = 70
EMPTY, TOO_LARGE = 3, 4
MIB = 1024 * 1024
#: An empty file has no bytes, and takes room all the same.
MOST_FILES = 1_000_000
#: Of what a lab says beside its tar, bytes that are kept.
MOST_SAID = 1024 * 1024
#: What stands before a member with a long name, and how long it may be.
HEADINGS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
MOST_HEADING = 64 * 1024
_KEY = re.compile(r"[0-9a-f]{12}")
_PURELIB = re.compile(r"(/[A-Za-z0-9_.+-]+)+/(site|dist)-packages")
#: Below a person's folder, what packages write: libraries, programs, and what programs share.
PARTS = ("lib", "bin", "share", "etc", "include", "man")
#: Puts the layer's packages before the image's own and behind the person's; Jupyter itself (-s) goes without, so that none of them can break the lab's door.
ADD = """import site
import sys


def add(here, keys):
    if sys.flags.no_user_site and not sys.flags.isolated:
        return
    before = list(sys.path)
    for key in keys:
        site.addsitedir(f"/opt/lab/made/{key}/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages")
    new = [path for path in sys.path if path not in before]
    place = before.index(here) if here in before else len(before)
    sys.path[:] = before[:place] + new + before[place:]
"""


def layer_save(engine: Engine, images: Images, saving: Saving, progress: Progress) -> Saved:
    """Pack, build, hand over. RuntimeFault with words for the person; whatever `progress` raises ends it and leaves nothing."""
    if not _KEY.fullmatch(saving.key):
        raise RuntimeFault("The image cannot be named so.", detail=saving.key, transient=False)
    with faults("The image could not be made"), tempfile.TemporaryFile() as context:
        base = engine.api.inspect_image(images.held_as(saving.base))
        said = _context_write(engine, saving, base, context, progress)
        context.seek(0)
        progress(PACKED_PCT, "Building the layer")
        name = f"{REPOSITORY}:{saving.key}"
        images.built(context, name, lambda percent, words: progress(PACKED_PCT + percent // 5, words))
        made = engine.api.inspect_image(name)
        sizes = (int(base["Size"]), int(made["Size"]))
        words = _left_out(said["left_out"])
        if not saving.registry:
            return Saved(REPOSITORY, saving.key, made["Id"], False, *sizes, words=words)
        try:
            progress(PACKED_PCT + 21, "Handing it to the registry")
            repository, digest = images.pushed(name, f"{saving.registry}/gpulab-made/{saving.key}")
        except RuntimeFault as fault:
            kept = f"It stays on this node alone, because the registry did not take it: {fault.words}"
            return Saved(REPOSITORY, saving.key, made["Id"], False, *sizes, words=f"{words} {kept}".strip())
        return Saved(repository, "1", digest, True, *sizes, words=words)


def text_build(engine: Engine, images: Images, key: str, dockerfile_text: str, hear: Hear) -> Saved:
    """A Dockerfile without files beside it."""
    name = f"{REPOSITORY}:{key}"
    with io.BytesIO() as context:
        with tarfile.open(fileobj=context, mode="w") as archive:
            _put(archive, "Dockerfile", dockerfile_text)
        context.seek(0)
        images.built_heard(context, name, hear)
    with faults("The image could not be looked up"):
        made = engine.api.inspect_image(name)
    return Saved(REPOSITORY, key, made["Id"], False, 0, int(made["Size"]))


def _left_out(names: list[str]) -> str:
    return f"Left out, because they are links to folders of the workspace: {', '.join(names)}." if names else ""


def _context_write(engine: Engine, saving: Saving, base: dict[str, Any], context: IO[bytes], progress: Progress) -> dict[str, Any]:
    """Dockerfile, packages and the lines that let Python find them, as the engine's builder takes them; what the lab said of them."""
    pack = _Pack(engine.patient, saving)
    with tarfile.open(fileobj=context, mode="w|", bufsize=PIECE) as archive:
        with contextlib.closing(pack):
            _copy(pack, archive, saving, progress)
        said = pack.said()
        purelib = str(said.get("purelib", ""))
        if not _PURELIB.fullmatch(purelib) or ".." in purelib:
            raise RuntimeFault("The image's own packages were not found, so none can be laid over them.", detail=purelib, transient=False)
        keys = [saving.key, *filter(_KEY.fullmatch, ((base["Config"].get("Labels") or {}).get(LABEL_MADE) or "").split(","))]
        _put(archive, "Dockerfile", dockerfile(saving, base["Id"], purelib, keys))
        _put(archive, "found/gpulab_made.pth", f"import gpulab_made; gpulab_made.add({purelib!r}, {keys!r})\n")
        _put(archive, "found/gpulab_made.py", ADD)
    return said


def dockerfile(saving: Saving, base: str, purelib: str, keys: list[str]) -> str:
    """No RUN in it: the engine copies, and executes nothing."""
    home = f"/opt/lab/made/{saving.key}"
    labels = " ".join(f"{name}={json.dumps(value)}" for name, value in sorted({LABEL_MADE: ",".join(keys), **saving.labels}.items()))
    lines = [
        f"FROM {base}",
        f"COPY --chown=0:0 made/ {home}/",
        f"COPY --chown=0:0 found/ {purelib}/",
        f"ENV PATH={home}/bin:$PATH JUPYTER_PATH={home}/share/jupyter:$JUPYTER_PATH",
        f"LABEL {labels}",
    ]
    return "\n".join(lines) + "\n"


def _copy(pack: "_Pack", archive: tarfile.TarFile, saving: Saving, progress: Progress) -> None:
    """Member by member: plain files of plain names, root's, for all to read. Nothing else of the lab's tar is believed."""
    copied, told = 0, -1
    _folder(archive, "made")
    try:
        with tarfile.open(fileobj=pack, mode="r|", bufsize=PIECE, tarinfo=_Member) as packed:
            for member in packed:
                content = packed.extractfile(member) if member.isreg() else None
                if content is None or not _plain(member.name):
                    raise RuntimeFault("What the lab packed is not understood.", detail=member.name[:200], transient=False)
                copied += member.size
                if pack.seen >= MOST_FILES:
                    raise RuntimeFault(f"What was installed has more than {MOST_FILES} files, which is too many for one image.", transient=False)
                if copied > saving.most_bytes:
                    raise _too_large(copied, saving.most_bytes)
                archive.addfile(_about(f"made/{member.name}", member.size, 0o755 if member.mode & 0o111 else 0o644, member.mtime), content)
                pack.seen += 1
                total = pack.total  # the words may come behind the first of the tar
                percent = PACKED_PCT * copied // total if 0 < copied <= total else max(told, 0)
                if percent != told:
                    told = percent
                    progress(percent, f"Packing what was installed: {copied // MIB}{f' of {total // MIB}' if total else ''} MiB")
    except tarfile.TarError as error:
        raise pack.fault() from error


def _plain(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and path.parts[0] in PARTS and len(path.parts) > 1 and "\0" not in name


def _about(name: str, size: int, mode: int, mtime: float = 0) -> tarfile.TarInfo:
    about = tarfile.TarInfo(name)
    about.size, about.mode, about.mtime = size, mode, int(mtime)
    return about


def _put(archive: tarfile.TarFile, name: str, text: str) -> None:
    archive.addfile(_about(name, len(text.encode()), 0o644), io.BytesIO(text.encode()))


def _folder(archive: tarfile.TarFile, name: str) -> None:
    about = _about(name, 0, 0o755)
    about.type = tarfile.DIRTYPE
    archive.addfile(about)


def _too_large(size: int, most: int) -> RuntimeFault:
    return RuntimeFault(
        f"What was installed has {size // MIB} MiB, and there is room for {most // MIB} MiB of it. Delete an image, or install less.", transient=False
    )


class _Member(tarfile.TarInfo):
    """The library reads the heading of a member at once, however long it says that it is."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in HEADINGS and self.size > MOST_HEADING:
            raise tarfile.ReadError("a heading is too long")
        found: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]  # for subclasses, and not in the library's stubs
        return found


class _Pack(io.RawIOBase):
    """What images/pack.py tells in a lab: a file to read its tar from, and its words."""

    def __init__(self, api: Any, saving: Saving) -> None:
        super().__init__()
        self._api, self._most = api, saving.most_bytes
        self._rest, self._words = b"", b""
        self.seen = 0
        command = ["python3", "-I", "-c", saving.script, saving.folder, str(saving.most_bytes), str(WITHIN_S)]
        try:
            self._made = api.exec_create(saving.lab, command, environment={"HOME": "/tmp"})["Id"]  # noqa: S108  (in the container)
        except NotFound as error:
            raise RuntimeFault("The lab is gone.", detail=saving.lab, transient=False) from error
        self._stream: Iterator[tuple[bytes | None, bytes | None]] = heard(api, self._made, WITHIN_S + SPARE_S, demux=True)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes of the tar; 0 at its end."""
        while not self._rest:
            piece = next(self._stream, None)
            if piece is None:
                return 0
            self._rest = piece[0] or b""
            self._hear(piece[1])
        taken, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)

    def _hear(self, words: bytes | None) -> None:
        """Its beginning tells what comes, its end why nothing did; what lies between may be of any length."""
        said = self._words + (words or b"")
        self._words = said if len(said) <= MOST_SAID else said[: MOST_SAID // 2] + said[-MOST_SAID // 2 :]

    @property
    def total(self) -> int:
        """Bytes that it says will come; 0 before it has said so."""
        return int(self._told().get("bytes", 0))

    def _told(self) -> dict[str, Any]:
        try:
            told = json.loads(self._words.decode(errors="replace").partition("\n")[0] or "{}")
        except ValueError:
            return {}
        return told if isinstance(told, dict) else {}

    def said(self) -> dict[str, Any]:
        """Its own words about it, at the end. RuntimeFault when there was nothing to tell, or too much."""
        for _, words in self._stream:  # words may come behind a small tar
            self._hear(words)
        told = self._told()
        if self._api.exec_inspect(self._made)["ExitCode"] or not self.seen:
            raise self.fault()
        return {"left_out": [], **told}

    def fault(self) -> RuntimeFault:
        """Why it did not come, in words."""
        code = self._api.exec_inspect(self._made)["ExitCode"]
        if code == EMPTY:
            return RuntimeFault(
                "Nothing was installed over the image: install something with pip first. Files of the workspace are no part of an image.", transient=False
            )
        if code == TOO_LARGE:
            return _too_large(self.total, self._most)
        return RuntimeFault("The lab ended, or what was installed could not be read.", detail=self._words.decode(errors="replace")[-500:], transient=False)
