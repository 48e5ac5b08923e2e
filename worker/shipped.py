"""The templates that come with the house: a folder each, with a `starter.toml` and the files that people get. And what carries files into a lab."""

import hashlib
import io
import json
import tomllib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MANIFEST = "starter.toml"
PROGRAM = Path(__file__).parent / "placing.py"
#: So that the same files make the same archive.
NO_TIME = (2020, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Folder:
    """One of the house's own templates as it lies on the disk."""

    root: Path

    @property
    def slug(self) -> str:
        """Its name."""
        return self.root.name

    def told(self) -> dict[str, Any]:
        """What its manifest says."""
        return tomllib.loads((self.root / MANIFEST).read_text())

    def files(self) -> dict[str, bytes]:
        """What people get, by path. Neither the manifest nor what notebooks leave beside themselves."""
        paths = (path for path in sorted(self.root.rglob("*")) if path.is_file() and path.name != MANIFEST)
        named = ((path.relative_to(self.root), path) for path in paths)
        return {name.as_posix(): path.read_bytes() for name, path in named if not any(part.startswith((".", "__")) for part in name.parts)}

    def digest(self) -> str:
        """SHA-256 over names and contents."""
        sums = (f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in self.files().items())
        return hashlib.sha256("".join(sums).encode()).hexdigest()


def shipped(root: Path) -> Iterator[Folder]:
    """Every template that comes with the house, in the order of its manifest's `place`."""
    found = [Folder(path.parent) for path in root.glob(f"*/{MANIFEST}")]
    yield from sorted(found, key=lambda one: (one.told().get("place", 0), one.slug))


def archive(*, folder: str, first: str, data: Sequence[str], url: str = "", commit: str = "", files: Mapping[str, bytes] | None = None) -> bytes:
    """A program with its files, which a lab's Python runs as it is."""
    plan = {"folder": folder, "first": first, "data": list(data), "url": url, "commit": commit}
    content = {"__main__.py": PROGRAM.read_bytes(), "plan.json": json.dumps(plan).encode()} | {f"files/{name}": one for name, one in (files or {}).items()}
    return packed(content)


def packed(files: Mapping[str, bytes]) -> bytes:
    """The files as a zip; the same files make the same."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as into:
        for name, one in files.items():
            into.writestr(zipfile.ZipInfo(name, NO_TIME), one, compress_type=zipfile.ZIP_DEFLATED)
    return made.getvalue()


def unpacked(content: bytes) -> dict[str, bytes]:
    """The files of such a zip, by path."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
