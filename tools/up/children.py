"""The processes under the one command: started apart, prefixed in the log, restarted when they die, ended together."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tools.bootstrap import ROOT

#: A lab whose worker died must go on within 30 s, also when that has died a few times in a row.
BACK_OFF_S = (0.5, 1, 2, 5, 10)
STEADY_S = 15  # a child that lived this long starts again with the shortest wait
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None)
_print = threading.Lock()


def line_print(name: str, words: str) -> None:
    """One line of the common log."""
    with _print:
        sys.stdout.write(f"{name:>7} | {words}\n")
        sys.stdout.flush()


def _die_with_parent() -> None:
    """Ask the kernel to end the child should the supervisor be killed without a chance to do it."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass(slots=True)
class Child:
    """One supervised process in a session of its own, so that Ctrl-C reaches only the supervisor."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    deaths: int = 0
    started_at: float = 0.0
    again_at: float = field(default=0.0)
    once: bool = False  # it ends by itself, and is not started again

    def start(self) -> None:
        """Start it and follow its output."""
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(
            self.command,
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        threading.Thread(target=self._follow, args=(self.process,), daemon=True).start()

    def _follow(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdout is None:
            return
        for line in process.stdout:
            line_print(self.name, line.decode(errors="replace").rstrip())

    @property
    def is_alive(self) -> bool:
        """Is the process there now?"""
        return self.process is not None and self.process.poll() is None

    def heal(self, now: float) -> None:
        """Restart it when it has died, after a wait that grows with every death in a row."""
        if self.is_alive or self.once:
            return
        if not self.again_at:
            self.deaths = 1 if now - self.started_at > STEADY_S else self.deaths + 1
            wait = BACK_OFF_S[min(self.deaths, len(BACK_OFF_S)) - 1]
            self.again_at = now + wait
            line_print(self.name, f"ended with status {self._status()}; starts again in {wait} s")
        elif now >= self.again_at:
            self.again_at = 0.0
            self.start()

    def _status(self) -> int | None:
        return self.process.returncode if self.process else None

    def signal(self, number: int) -> None:
        """Send to the whole process group; a group that is gone is fine."""
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            return


def children_stop(children: Sequence[Child], *, grace_s: float) -> None:
    """SIGTERM to all at once, then SIGKILL to what is left after `grace_s`; also to strays of a dead leader."""
    for child in children:
        child.signal(signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline and any(child.is_alive for child in children):
        time.sleep(0.05)
    for child in children:
        child.signal(signal.SIGKILL)
        if child.process is not None:
            child.process.wait()
