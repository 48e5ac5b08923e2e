"""What a folder of this host takes of its disk, counted by a process of its own: neither its time nor a fault in it touches the worker."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from worker.runtimes.base import Measured, RuntimeFault

PROGRAM = Path(__file__).with_name("walk.py")
#: How much longer than its own time the program may take to begin and to end.
SPARE_S = 15.0


def folder_measure(folder: Path, deadline_s: float) -> Measured:
    """Count it, for at most `deadline_s`; what was counted by then is marked as not all."""
    gently = ["ionice", "-c2", "-n7"] if shutil.which("ionice") else []
    command = [*gently, sys.executable, "-I", str(PROGRAM), str(folder), str(deadline_s)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=deadline_s + SPARE_S)
        return Measured(**json.loads(done.stdout))
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", "") or str(error)
        raise RuntimeFault("The workspace could not be measured.", detail=str(detail)[-500:]) from error
