"""The probe of a node that shall offer no GPUs, by its administrator's word."""

from worker.probes.base import NodeReading


class NoProbe:
    """No cards, and nothing that could fail."""

    kind = "none"

    def read(self) -> NodeReading:
        """An empty node."""
        return NodeReading(self.kind, driver="", cuda="", gpus=())

    def close(self) -> None:
        """Nothing is held."""
