"""What a file shows of itself: text, the first rows of a table, an image, a notebook. Nothing of it ever runs."""

import csv
import io
import os
import subprocess
import sys
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from worker.desk.errors import Wrong

IMAGES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".bmp": "image/bmp",
    ".svg": "image/svg+xml",
}
TABLES = {".csv": ",", ".tsv": "\t"}
SHOWN = 256 * 1024
ROWS, COLUMNS, CELL = 100, 50, 200
NOTEBOOK_MOST = 20 * 1024 * 1024
WITHIN_S = 60.0
#: A page of somebody's own output: no script, no form, nothing from elsewhere, and an origin that is nobody's. Not cleaned before:
#: what cleans it takes headings and tables away, and no list of tags is as tight as a frame in which nothing runs.
NOTEBOOK_POLICY = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; base-uri 'none'; form-action 'none'"
#: Neither settings nor templates of the workspace: they are programs.
ENVIRONMENT = {"HOME": "/nonexistent", "JUPYTER_NO_CONFIG": "1", "JUPYTER_CONFIG_DIR": "/nonexistent", "JUPYTER_DATA_DIR": "/nonexistent", "LANG": "C.UTF-8"}


@dataclass(frozen=True)
class Shown:
    """What is shown: `kind` is image, table, notebook, text or nothing; `rest` says that there is more of it."""

    kind: str
    text: str = ""
    rows: "tuple[tuple[str, ...], ...]" = ()
    rest: bool = False


def kind_of(name: str) -> str:
    """By its ending; "" is for the content to say."""
    ending = os.path.splitext(name)[1].lower()  # noqa: PTH122  (a name, not a path)
    if ending in IMAGES:
        return "image"
    return "table" if ending in TABLES else "notebook" if ending == ".ipynb" else ""


def image_type(name: str) -> str:
    """The media type of an image; "" for what is none."""
    return IMAGES.get(os.path.splitext(name)[1].lower(), "")  # noqa: PTH122


def shown(handle: int, name: str) -> Shown:
    """The preview of an open file. Raises OSError."""
    kind = kind_of(name)
    if kind in ("image", "notebook"):
        return Shown(kind)
    with os.fdopen(os.dup(handle), "rb") as file:
        begin = file.read(SHOWN + 1)
    rest, begin = len(begin) > SHOWN, begin[:SHOWN]
    text = _text(begin)
    if text is None:
        return Shown("nothing")
    if kind == "table":
        return _table(text, TABLES[os.path.splitext(name)[1].lower()], rest)  # noqa: PTH122
    return Shown("text", text, rest=rest)


def _text(begin: bytes) -> "str | None":
    """As text, if it is some: UTF-8, of which the last letter may be cut."""
    if b"\0" in begin:
        return None
    for cut in range(4):
        try:
            return begin[: len(begin) - cut].decode("utf-8-sig")
        except UnicodeDecodeError:
            continue
    return None


def _table(text: str, comma: str, rest: bool) -> Shown:
    lines = io.StringIO(text.rpartition("\n")[0] if rest and "\n" in text else text, newline="")
    rows: list[tuple[str, ...]] = []
    try:
        for row in csv.reader(lines, delimiter=comma):
            if len(rows) > ROWS:
                return Shown("table", rows=tuple(rows), rest=True)
            rows.append(tuple(cell[:CELL] for cell in row[:COLUMNS]))
    except csv.Error:
        return Shown("text", text, rest=rest)
    return Shown("table", rows=tuple(rows), rest=rest)


def notebook_html(handle: int) -> bytes:
    """The notebook as a page, made by nbconvert in a process of its own. Raises Wrong where that cannot be."""
    if os.fstat(handle).st_size > NOTEBOOK_MOST:
        raise Wrong("This notebook is too large to be shown here. Open it in a lab.", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    command = [sys.executable, "-I", "-m", "nbconvert", "--to", "html", "--stdin", "--stdout"]
    environment: dict[str, Any] = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "TMPDIR": os.environ.get("TMPDIR", "/tmp")} | ENVIRONMENT  # noqa: S108
    try:
        with os.fdopen(os.dup(handle), "rb") as file:
            file.seek(0)
            made = subprocess.run(command, stdin=file, capture_output=True, env=environment, cwd="/", timeout=WITHIN_S, check=True)
    except subprocess.TimeoutExpired:
        raise Wrong("This notebook takes too long to be shown here. Open it in a lab.") from None
    except (OSError, subprocess.CalledProcessError):
        raise Wrong("This file cannot be shown as a notebook. Download it, or open it in a lab.") from None
    return made.stdout
