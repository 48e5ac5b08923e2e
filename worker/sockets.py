"""Open TCP connections of this host, from the kernel's own table."""

from collections.abc import Iterator
from pathlib import Path

TABLES = ("tcp", "tcp6")
ESTABLISHED = "01"


def connections_to(port: int, *, root: Path = Path("/proc/net")) -> int | None:
    """How many connections are open to a port of this host; None where the kernel does not tell.

    A published port is met at its own end (the engine's forwarder listens there) or, where packets are only rewritten,
    at the caller's; a connection that shows both ends counts once.
    """
    try:
        ends = [pair for table in TABLES if (root / table).exists() for pair in _established(root / table)]
    except OSError:
        return None
    return max(sum(local == port for local, _ in ends), sum(remote == port for _, remote in ends))


def _established(table: Path) -> Iterator[tuple[int, int]]:
    for line in table.read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == ESTABLISHED:
            yield int(fields[1].rpartition(":")[2], 16), int(fields[2].rpartition(":")[2], 16)
