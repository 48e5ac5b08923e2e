"""The tiny lab as an image on an engine: a fraction of a second to make, and to start."""

import io
import subprocess
import tarfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

REPOSITORY = "gpulab-test/tiny"
#: tag -> what its program is told
KINDS = {"ok": [], "exits": ["exits"], "silent": ["silent"]}


@cache
def _program() -> bytes:
    with TemporaryDirectory() as folder:
        made = Path(folder) / "lab"
        source = Path(__file__).with_name("tiny_lab.c")
        subprocess.run(["gcc", "-O1", "-static", "-o", made, source], check=True, capture_output=True)
        return made.read_bytes()


def _root() -> bytes:
    """The whole file system: one program, and the folders that are mounted over."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        program = _program()
        entry = tarfile.TarInfo("lab")
        entry.size, entry.mode = len(program), 0o755
        tar.addfile(entry, io.BytesIO(program))
        for name in (".", "tmp", "run", "run/lab", "run/gpulab", "workspace", "data", "etc", "proc", "sys", "dev"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
        for name in ("etc/passwd", "etc/group"):
            tar.addfile(tarfile.TarInfo(name))
    return buffer.getvalue()


def tiny_images(api: Any) -> None:
    """Import the tiny lab in all its kinds."""
    for tag, arguments in KINDS.items():
        entry = ", ".join(f'"{word}"' for word in ["/lab", *arguments])
        api.import_image(src=_root(), repository=REPOSITORY, tag=tag, changes=[f"ENTRYPOINT [{entry}]", "USER 1000:1000"])
