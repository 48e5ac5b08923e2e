"""Cards that are not there, for trying the house out on a machine without a GPU. Their names say what they are."""

import math
import time
import uuid
from collections.abc import Callable

from worker.probes.base import GpuReading, NodeReading

MODEL = "SIMULATED H200"
MEMORY_MIB = 143_771
POWER_LIMIT_W = 700.0
IDLE_W = 75.0
#: One wave of load, in seconds; each card is a step further along it.
PERIOD_S = 120.0


class SimulatedProbe:
    """`count` cards with a load that rises and falls: the same moment always gives the same reading."""

    kind = "simulated"

    def __init__(self, count: int, *, node_id: str = "local", clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        # The same node has the same cards after every start, as a real one does.
        self._uuids = [f"GPU-{uuid.uuid5(uuid.NAMESPACE_DNS, f'{index}.simulated.{node_id}')}" for index in range(count)]

    def read(self) -> NodeReading:
        """All cards now. Never fails."""
        now = self._clock()
        return NodeReading(self.kind, driver="", cuda="", gpus=tuple(self._card(index, one, now) for index, one in enumerate(self._uuids)))

    def close(self) -> None:
        """Nothing is held."""

    def _card(self, index: int, card_uuid: str, now: float) -> GpuReading:
        load = wave(now, index)
        return GpuReading(
            uuid=card_uuid,
            index=index,
            model=MODEL,
            memory_total_mib=MEMORY_MIB,
            memory_used_mib=round(MEMORY_MIB * (0.02 + 0.6 * load)),
            gpu_pct=round(100 * load),
            memory_pct=round(60 * load),
            temperature_c=round(32 + 38 * load),
            power_w=round(IDLE_W + (POWER_LIMIT_W - IDLE_W) * 0.9 * load, 1),
            power_limit_w=POWER_LIMIT_W,
            sm_mhz=round(345 + 1635 * load),
            memory_mhz=3201,
            ecc_errors=0,
            compute_capability="9.0",
        )


def wave(now: float, index: int) -> float:
    """The load from 0 to 1 of one card: a slow wave with a quicker ripple on it."""
    slow = math.sin(2 * math.pi * (now / PERIOD_S + index / 5))
    quick = math.sin(2 * math.pi * (now / 14 + index / 3))
    return min(max(0.5 + 0.42 * slow + 0.08 * quick, 0.0), 1.0)
