"""The MIG slices of a card. A slice tells its memory and its processes; it has no utilisation, temperature or power of its own."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pynvml

from worker.probes.base import GpuProcess, GpuReading
from worker.probes.nvml.calls import MIB, memory_of, or_none

GIB = 1024


def mig_is_on(handle: Any) -> bool:
    """Is the card in MIG mode now? Cards and drivers without MIG say no."""
    mode = or_none(pynvml.nvmlDeviceGetMigMode, handle)
    return mode is not None and mode[0] == pynvml.NVML_DEVICE_MIG_ENABLE


def slice_handles(handle: Any) -> Iterator[Any]:
    """The slices that an administrator made of the card."""
    for index in range(int(or_none(pynvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0)):
        found = or_none(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, index)
        if found is not None:
            yield found


def slices_of(handle: Any, card: GpuReading, processes: Callable[[Any], Sequence[GpuProcess]]) -> list[GpuReading]:
    """Every slice of the card, as readings of their own; `processes` tells what runs on one. What is wrong with the card is wrong with them."""
    most = int(or_none(pynvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 1)
    found = ((one, _slice(one, card, most)) for one in slice_handles(handle))
    return [replace(reading, processes=processes(one)) for one, reading in found if reading is not None]


def _slice(handle: Any, card: GpuReading, most: int) -> GpuReading | None:
    uuid = or_none(pynvml.nvmlDeviceGetUUID, handle)
    parts = or_none(pynvml.nvmlDeviceGetAttributes_v2, handle)
    if uuid is None or parts is None:
        return None
    memory = memory_of(handle, faults=[])
    return GpuReading(
        uuid=str(uuid),
        index=card.index,
        model=card.model,
        memory_total_mib=memory.total // MIB if memory else int(parts.memorySizeMB),
        memory_used_mib=memory.used // MIB if memory else None,
        compute_capability=card.compute_capability,
        fault=card.fault,
        parent=card.uuid,
        profile=_profile(str(or_none(pynvml.nvmlDeviceGetName, handle) or ""), parts),
        share=min(int(parts.gpuInstanceSliceCount) / most, 1.0),
        place=card.place,
    )


def _profile(name: str, parts: Any) -> str:
    """`1g.18gb`, as newer drivers put it into the name; else made of what the slice has."""
    _, named, profile = name.partition(" MIG ")
    if named:
        return profile
    gpu, compute = int(parts.gpuInstanceSliceCount), int(parts.computeInstanceSliceCount)
    part = f"{compute}c." if compute != gpu else ""
    return f"{part}{gpu}g.{round(int(parts.memorySizeMB) / GIB)}gb"
