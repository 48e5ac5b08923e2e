"""SIGUSR1 to the programs of a lab that catch it, and to no other: its default action ends a program."""

import contextlib
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

CATCHES_USR1 = 1 << (signal.SIGUSR1 - 1)


def catches(pid: int) -> bool:
    """Has the process a handler for SIGUSR1?"""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return any(line.startswith("SigCgt:") and int(line.split()[1], 16) & CATCHES_USR1 for line in lines)


def catchers_signal(pids: Callable[[], Sequence[int]]) -> int:
    """How many of the lab's programs were sent it. `pids` lists them.

    Each is held by a descriptor before it is looked for in the list again, so that a pid that meanwhile became
    somebody else's process is left alone.
    """
    with contextlib.ExitStack() as held:
        opened = {pid: descriptor for pid in pids() if (descriptor := _opened(held, pid)) is not None}
        still = set(pids())
        return sum(_sent(descriptor) for pid, descriptor in opened.items() if pid in still and catches(pid))


def _opened(held: contextlib.ExitStack, pid: int) -> int | None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    held.callback(os.close, descriptor)
    return descriptor


def _sent(descriptor: int) -> bool:
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGUSR1)
    except (ProcessLookupError, PermissionError):
        return False
    return True
