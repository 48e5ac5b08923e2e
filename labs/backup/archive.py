"""The file of a backup: a compressed tar with a manifest, one part of JSON lines for each kind of record, and two lists."""

import io
import json
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

MANIFEST = "manifest.json"
FORMAT = 1


class BadArchive(Exception):
    """The file is no whole backup of ours; the words say what is wrong."""


@contextmanager
def archive_new(path: Path) -> Iterator[tarfile.TarFile]:
    """A new archive that only its owner may read. It has its name only once it is whole. FileExistsError when there is one."""
    if path.exists():
        raise FileExistsError(path)
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
            yield archive
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)


def part_add(archive: tarfile.TarFile, name: str, content: IO[bytes], mtime: float) -> None:
    """Add what `content` holds from its beginning on."""
    size = content.seek(0, os.SEEK_END)
    content.seek(0)
    about = tarfile.TarInfo(name)
    about.size, about.mtime, about.mode = size, int(mtime), 0o600
    archive.addfile(about, content)


def json_add(archive: tarfile.TarFile, name: str, value: object, mtime: float) -> None:
    """Add a small value as JSON that people can read."""
    part_add(archive, name, io.BytesIO(json.dumps(value, indent=2, default=str).encode()), mtime)


@contextmanager
def archive_open(path: Path) -> Iterator[tarfile.TarFile]:
    """An archive to read from. BadArchive when it is none."""
    try:
        with tarfile.open(path, mode="r:gz") as archive:
            yield archive
    except FileNotFoundError as error:
        raise BadArchive(f"There is no file {path}.") from error
    except (tarfile.TarError, EOFError, OSError) as error:
        raise BadArchive(f"{path} cannot be read as a backup: {error}") from error


def manifest_read(archive: tarfile.TarFile) -> dict[str, Any]:
    """What the archive says of itself. BadArchive when it is of another kind or format."""
    try:
        found: dict[str, Any] = json.load(part_open(archive, MANIFEST))
    except (KeyError, ValueError) as error:
        raise BadArchive("It is no backup of GPU Lab: it has no manifest.") from error
    if found.get("format") != FORMAT:
        raise BadArchive(f"Its format is {found.get('format')}; this version reads format {FORMAT}.")
    return found


def part_open(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    """One part to read. KeyError when it is missing."""
    content = archive.extractfile(name)
    if content is None:
        raise KeyError(name)
    return content
