"""When a waiting lab may start: the queue, run ahead."""

from labs.scheduler.house import House
from labs.scheduler.snapshot import Estimate, Waiting


def estimates_of(house: House, line: list[Waiting]) -> dict[str, Estimate]:
    """Stub."""
    return {}
