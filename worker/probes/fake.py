"""A probe for tests that plays a script of readings and faults."""

from collections.abc import Iterable

from worker.probes.base import GpuReading, NodeReading, ProbeFault


class ScriptedProbe:
    """Gives the script's readings one after another, raises its faults, and repeats the last line for ever."""

    def __init__(self, script: Iterable[NodeReading | ProbeFault], *, kind: str = "nvml") -> None:
        self.kind = kind
        self.closed = False
        self._script = list(script)

    def read(self) -> NodeReading:
        """The next line of the script."""
        line = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        if isinstance(line, ProbeFault):
            raise line
        return line

    def close(self) -> None:
        """Note that it was closed."""
        self.closed = True


def card(uuid: str = "GPU-00000000-test", *, index: int = 0, gpu_pct: int | None = 50, used_mib: int | None = 1000, fault: str = "") -> GpuReading:
    """One plausible reading, for scripts."""
    return GpuReading(
        uuid=uuid,
        index=index,
        model="NVIDIA H200",
        memory_total_mib=143_771,
        memory_used_mib=used_mib,
        gpu_pct=gpu_pct,
        memory_pct=10,
        temperature_c=40,
        power_w=200.0,
        power_limit_w=700.0,
        sm_mhz=1980,
        memory_mhz=3201,
        ecc_errors=0,
        compute_capability="9.0",
        fault=fault,
    )


def reading(*gpus: GpuReading) -> NodeReading:
    """A node with these cards, for scripts."""
    return NodeReading("nvml", driver="580.65.06", cuda="13.0", gpus=gpus)
