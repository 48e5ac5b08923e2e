"""Printing: tables for people, JSON for programs. rich is loaded only when something is printed for people."""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

#: Set by --json before or after the command.
as_json = False
KIB = 1024


def result(value: Any, words: str) -> None:
    """What came of a command: the record for programs, a sentence for people."""
    if as_json:
        print_json(value)
    else:
        console().print(words, highlight=False, markup=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """One document on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def table(rows: Sequence[Any], columns: Sequence[str], cells: Iterable[Sequence[str]], *, empty: str) -> None:
    """A list; `rows` as they came for programs."""
    if as_json:
        print_json(list(rows))
    elif not rows:
        console().print(empty, markup=False, highlight=False)
    else:
        console().print(grid(columns, cells))


def grid(columns: Sequence[str], cells: Iterable[Sequence[str]]) -> Any:
    """A rich table without lines between rows."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for number, name in enumerate(columns):
        made.add_column(name, overflow="fold", no_wrap=number == 0)
    for row in cells:
        made.add_row(*(Text(cell) for cell in row))
    return made


def console(*, stderr: bool = False) -> Any:
    """Where people read."""
    from rich.console import Console

    return Console(stderr=stderr)


def say(words: str) -> None:
    """A line on stderr: progress, which is no part of the result. Not with --json."""
    if not as_json:
        sys.stderr.write(words + "\n")
        sys.stderr.flush()


def moment(text: str | None) -> str:
    """A moment of the API's in the clock of this machine."""
    return datetime.fromisoformat(text).astimezone().strftime("%d %b %H:%M") if text else ""


def left(text: str | None) -> str:
    """How long until then: `5 h 12 min`."""
    if not text:
        return ""
    minutes = max(int((datetime.fromisoformat(text) - datetime.now(UTC)).total_seconds() // 60), 0)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
