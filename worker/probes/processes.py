"""What a host pid is called, read from /proc. A process that is gone by now has no name."""

from pathlib import Path

#: A command line may be megabytes long; this much tells what it is.
COMMAND_CHARS = 300


def name_of(proc: Path, pid: int) -> str:
    """The kernel's short name of the process, or empty."""
    return _text(proc / str(pid) / "comm").strip()


def command_of(proc: Path, pid: int) -> str:
    """The command line with its arguments parted by blanks, shortened; or empty."""
    return _text(proc / str(pid) / "cmdline").replace("\0", " ").strip()[:COMMAND_CHARS]


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
