"""What is known of a lab's processes, kept in a folder a lab so that it outlives a restart of the worker."""

import json
import os
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLAN, STATE, EXIT, LOG, TOKEN, NOTICE = ("plan.json", "state.json", "exit.json", "lab.log", "token", "notice.json")


def json_write(path: Path, content: Mapping[str, Any], *, mode: int = 0o600) -> None:
    """Whole or not at all: a reader never sees half a file."""
    new = path.with_suffix(".new")
    descriptor = os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file)
    new.rename(path)


def json_read(path: Path) -> dict[str, Any]:
    """Its content; empty when it is not there (yet, or any more)."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return found


def started_at(pid: int) -> int:
    """When the kernel started that pid (clock ticks since boot); 0 when it is gone or a zombie.

    A pid alone is not an identity: it is used again. The pair is.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])


@dataclass(frozen=True, slots=True)
class Identity:
    """A process that cannot be mistaken for a later one with the same pid."""

    pid: int
    start: int

    @classmethod
    def of(cls, pid: int) -> "Identity":
        """As it is now."""
        return cls(pid, started_at(pid))

    @property
    def is_alive(self) -> bool:
        """Is this very process still there?"""
        return self.start > 0 and started_at(self.pid) == self.start

    def signal(self, number: int) -> None:
        """Send, unless it is gone."""
        if not self.is_alive:
            return
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return


def parents() -> dict[int, int]:
    """pid -> parent's pid, of every process that can be seen."""
    found = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                text = Path(entry.path, "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            found[int(entry.name)] = int(text.rpartition(")")[2].split()[1])
    return found


def descendants(pid: int) -> list[int]:
    """All processes below `pid`. The keeper is a subreaper, so nothing of a lab leaves this tree."""
    children: dict[int, list[int]] = {}
    for child, parent in parents().items():
        children.setdefault(parent, []).append(child)
    found: list[int] = []
    todo = list(children.get(pid, ()))
    while todo:
        one = todo.pop()
        found.append(one)
        todo += children.get(one, ())
    return found


def pids_kill(pids: Iterable[int], number: int = signal.SIGKILL) -> None:
    """Signal each; those that are gone are fine."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


@dataclass(frozen=True, slots=True)
class LabFolder:
    """The folder of one attempt: plan (what to run), state (who keeps it), exit (how it ended), log, token."""

    path: Path

    @property
    def name(self) -> str:
        """The attempt's name."""
        return self.path.name

    @property
    def plan(self) -> dict[str, Any]:
        """What was asked for."""
        return json_read(self.path / PLAN)

    @property
    def exit(self) -> dict[str, Any]:
        """How it ended; empty while it runs."""
        return json_read(self.path / EXIT)

    @property
    def keeper(self) -> Identity:
        """The keeper's process; one that never started is not alive."""
        state = json_read(self.path / STATE)
        return Identity(state.get("pid", 0), state.get("start", 0))

    @property
    def main(self) -> Identity:
        """Jupyter's process."""
        state = json_read(self.path / STATE)
        return Identity(state.get("main_pid", 0), state.get("main_start", 0))

    @property
    def is_begun(self) -> bool:
        """Has a keeper recorded itself or an end? A plan alone is a start that was cut short: it is begun again."""
        return (self.path / STATE).exists() or (self.path / EXIT).exists()

    @property
    def is_running(self) -> bool:
        """Its keeper lives and has not recorded an end."""
        return self.keeper.is_alive and not self.exit

    def pids(self) -> list[int]:
        """The lab's processes without the keeper."""
        return descendants(self.keeper.pid) if self.keeper.is_alive else []


def folders(run: Path) -> list[LabFolder]:
    """Every attempt that was started here and not yet removed."""
    if not run.is_dir():
        return []
    return [folder for path in sorted(run.iterdir()) if (path / PLAN).exists() and (folder := LabFolder(path)).is_begun]


def wait_gone(identity: Identity, within: float) -> bool:
    """Wait until that process is gone; False when it is still there after `within` seconds."""
    deadline = time.monotonic() + within
    while identity.is_alive:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
