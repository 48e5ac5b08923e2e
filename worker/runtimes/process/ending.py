"""End every lab of this machine's process runtime: with `make up`, so that Ctrl-C leaves nothing behind."""

import signal
from pathlib import Path

from worker.runtimes.process.state import LabFolder, folders, json_write, pids_kill, wait_gone

WHY = "why.json"
GRACE_S = 5.0


def labs_end(run: Path, *, why: str) -> int:
    """SIGTERM to every running lab, SIGKILL after 5 s; each one's end is recorded with `why`. How many there were."""
    running = [folder for folder in folders(run) if folder.is_running]
    for folder in running:
        json_write(folder.path / WHY, {"why": why})
        folder.keeper.signal(signal.SIGTERM)
    for folder in running:
        _wait_or_kill(folder)
    return len(running)


def _wait_or_kill(folder: LabFolder) -> None:
    keeper = folder.keeper
    if wait_gone(keeper, GRACE_S):
        return
    pids_kill(folder.pids())
    if not wait_gone(keeper, 1.0):
        keeper.signal(signal.SIGKILL)
