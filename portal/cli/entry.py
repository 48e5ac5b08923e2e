"""Where the program begins and ends: its exit code, and what is said when it fails."""

import os
import signal
import sys

from . import show
from .faults import Fault, Interrupted
from .main import app


def run_main() -> int:
    """Run; the exit code."""
    signal.signal(signal.SIGINT, _interrupted)
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    except Fault as fault:
        _tell(fault)
        return fault.code
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _interrupted(*_: object) -> None:
    raise Interrupted


def _tell(fault: Fault) -> None:
    if show.as_json:
        show.print_json({"error": fault.words, "exit_code": fault.code} | ({"problem": fault.more} if fault.more else {}))
    elif fault.words:
        sys.stderr.write(f"gpulab: {fault.words}\n")


def entry() -> None:
    """The console script."""
    sys.exit(run_main())
