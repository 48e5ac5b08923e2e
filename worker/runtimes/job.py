"""The first program of a job's lab: waits to be let go, runs the job, keeps its log, ends as it ended.

Stands alone, with nothing but the standard library: it runs inside labs, by whatever Python is there.
`python -I job.py job.json`, where the file names `command` (a list, which no shell reads), `folder` and `output`
below `workspace`, what stands first in `path` and is added to the `environment`, and `go`: the file that appears once
the lab's limits were read back.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

LOOK_S = 0.05
LAST_WORDS_S = 2.0
#: What shells answer for a program that is not there, or that may not be run.
NOT_FOUND, NOT_RUN = 127, 126


def main(plan_file: str) -> int:
    """Run it; its exit code, and 128 and the signal's number for one that a signal ended."""
    plan: dict[str, Any] = json.loads(Path(plan_file).read_text())
    go = Path(plan["go"])
    while not go.exists():
        time.sleep(LOOK_S)
    workspace = Path(plan["workspace"])
    output = workspace / plan["output"]
    output.mkdir(parents=True, exist_ok=True)
    with (output / "output.log").open("ab") as log:
        return _run(plan, workspace / plan["folder"], output, log)


def _run(plan: dict[str, Any], folder: Path, output: Path, log: Any) -> int:
    path = os.pathsep.join(filter(None, (plan["path"], os.environ.get("PATH", ""))))
    environment = os.environ | plan["environment"] | {"PATH": path, "GPULAB_OUTPUT": str(output), "PYTHONUNBUFFERED": "1"}
    try:
        child = subprocess.Popen(plan["command"], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except OSError as error:
        _both(log, f"The job could not begin: {error}\n".encode())
        return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_RUN
    signal.signal(signal.SIGTERM, lambda *_: child.send_signal(signal.SIGTERM))
    pump = threading.Thread(target=_pump, args=(child.stdout, log), daemon=True)
    pump.start()
    code = child.wait()
    pump.join(LAST_WORDS_S)  # a program that it left behind may hold its output open for ever
    return 128 - code if code < 0 else code


def _pump(output: Any, log: Any) -> None:
    while chunk := os.read(output.fileno(), 65536):
        _both(log, chunk)


def _both(log: Any, chunk: bytes) -> None:
    """To the house, which shows the last lines, and to the workspace, where all of it stays."""
    sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
    try:
        log.write(chunk)
        log.flush()
    except OSError:  # a full disk loses the copy, never the job
        return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
