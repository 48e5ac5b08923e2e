"""A lab's keeper: starts the lab's processes as their user, reaps them, writes the log and records the end.

Run as `python -m worker.runtimes.process.keeper FOLDER` in a session of its own, so that a lab outlives a
restart of the worker. As root it gives up nothing itself; the processes it starts never run as root.
"""

import ctypes
import fcntl
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from worker.runtimes.process.cgroups import Cgroups
from worker.runtimes.process.ending import WHY
from worker.runtimes.process.jupyter import Inside, overlay_make
from worker.runtimes.process.state import EXIT, LOG, STATE, Identity, LabFolder, descendants, json_read, json_write, pids_kill
from worker.runtimes.process.view import View, enter

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38
LOG_BYTES = 5 * 1024 * 1024
LEFTOVERS_GRACE_S = LAST_WORDS_S = 1.0
SSHD_STARTS = 10

_libc = ctypes.CDLL(None, use_errno=True)


class Log:
    """The lab's output, bounded: one old file is kept beside the present one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path.open("ab", buffering=0)

    def pump(self, descriptor: int) -> None:
        """Copy until the last writer has closed its end. What a full disk does not take is lost: a lab that nobody reads would stand still."""
        while chunk := os.read(descriptor, 65536):
            with suppress(OSError):
                self.file.write(chunk)
                if self.file.tell() > LOG_BYTES:
                    self._turn()

    def _turn(self) -> None:
        new = self.path.with_suffix(".new")
        file = new.open("wb", buffering=0)
        self.file.close()
        self.file = file
        self.path.rename(self.path.with_suffix(".log.1"))
        new.rename(self.path)


def lab_process(plan: dict[str, Any]) -> Callable[[], None]:
    """What a child does between fork and exec: joins its groups, takes its limits, becomes its user for good."""

    def become() -> None:
        for path in plan["cgroups"]:
            Path(path).write_text(str(os.getpid()))
        for name, value in plan["rlimits"].items():
            number = getattr(resource, f"RLIMIT_{name}")
            resource.setrlimit(number, (value, value))
        if plan["uid"] is not None:
            os.setgroups(plan["groups"])
            os.setresgid(plan["gid"], plan["gid"], plan["gid"])
            os.setresuid(plan["uid"], plan["uid"], plan["uid"])
        os.umask(0o022)
        _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    return become


class Keeper:
    """One lab, from its first process to its recorded end."""

    def __init__(self, folder: LabFolder) -> None:
        self.folder = folder
        self.plan = folder.plan
        self.main_pid = self.sshd_pid = self.sshd_starts = 0
        self.ending = False

    def run(self) -> None:
        """Start, reap until the main process ends, clear up, record."""
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        if self.plan["view"]:
            enter(View.from_plan(self.plan["view"]))
        self._overlay_make()
        reader, writer = os.pipe()
        pump = threading.Thread(target=Log(self.folder.path / LOG).pump, args=(reader,), daemon=True)
        pump.start()
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, self._end)
        self.main_pid = self._start(self.plan["main"], writer)
        self._sshd_start(writer)
        self._state_write()
        if self.ending:  # asked before there was anything to end
            self._end()
        status = self._reap_until_main(writer)
        self._clear()
        os.close(writer)
        pump.join(LAST_WORDS_S)
        self._record(status)

    def _overlay_make(self) -> None:
        """As the lab's user, because the workspace is theirs: a link that they put there leads only where they may go."""
        plan = self.plan["overlay"]
        child = os.fork()
        if child == 0:
            try:
                lab_process(self.plan)()
                overlay_make(inside=Inside(**plan["inside"]), python=plan["python"], version=plan["version"])
                os._exit(0)
            except Exception as error:
                os.write(2, f"{error!r}\n".encode())
                os._exit(1)
        if os.waitpid(child, 0)[1] != 0:
            raise OSError("the environment for `pip install` could not be made in the workspace")

    def _sshd_start(self, output: int) -> None:
        """Also again, when it was the one that the kernel killed for memory; a few times, not for ever."""
        if self.plan["sshd"] and self.sshd_starts < SSHD_STARTS and not self.ending:
            self.sshd_starts += 1
            self.sshd_pid = self._start(self.plan["sshd"], output)

    def _start(self, command: list[str], output: int) -> int:
        child = subprocess.Popen(
            command,
            cwd=self.plan["cwd"],
            env=self.plan["environment"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=lab_process(self.plan),
            start_new_session=True,
        )
        return child.pid

    def _end(self, *_: object) -> None:
        """Asked to stop: tell Jupyter, which ends its kernels in order."""
        self.ending = True
        if self.main_pid:
            pids_kill([self.main_pid], signal.SIGTERM)

    def _state_write(self) -> None:
        keeper, main = Identity.of(os.getpid()), Identity.of(self.main_pid)
        state = {"pid": keeper.pid, "start": keeper.start, "main_pid": main.pid, "main_start": main.start}
        json_write(self.folder.path / STATE, state)

    def _reap_until_main(self, output: int) -> int:
        while True:
            pid, status = os.waitpid(-1, 0)
            if pid == self.main_pid:
                return os.waitstatus_to_exitcode(status)
            if pid == self.sshd_pid:
                self._sshd_start(output)

    def _clear(self) -> None:
        """What the lab left running ends with it: kernels, terminals, anything started by hand."""
        pids_kill(descendants(os.getpid()), signal.SIGTERM)
        deadline = time.monotonic() + LEFTOVERS_GRACE_S
        while self._reaped_all(deadline) is False:
            pids_kill(descendants(os.getpid()))

    def _reaped_all(self, deadline: float) -> bool:
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if pid == 0:
                if time.monotonic() > deadline:
                    time.sleep(0.02)
                    return False
                time.sleep(0.02)

    def _record(self, code: int) -> None:
        groups = Cgroups()
        kills = groups.usage(self.folder.name).get("oom_kills", 0)
        groups.remove(self.folder.name)
        why = json_read(self.folder.path / WHY).get("why", "")
        end = {
            "code": 128 - code if code < 0 else code,
            "oom_kills": kills,
            "oom_killed": code in (-signal.SIGKILL, 128 + signal.SIGKILL) and kills > 0 and not self.ending,  # a job's own program says it as shells do
            "detail": why,
        }
        json_write(self.folder.path / EXIT, end)


def main() -> None:
    """Keep the lab whose folder is the argument; what goes wrong before its first process is its recorded end."""
    folder = LabFolder(Path(sys.argv[1]))
    alone = (folder.path / "keeper.lock").open("w")
    try:
        fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # another keeper has this lab
    try:
        Keeper(folder).run()
    except OSError as error:
        pids_kill(descendants(os.getpid()))
        json_write(folder.path / EXIT, {"code": 125, "oom_kills": 0, "oom_killed": False, "detail": f"The lab could not start: {error}"})


if __name__ == "__main__":
    main()
