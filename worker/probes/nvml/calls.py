"""Asking NVML for one thing at a time: what is not known costs only itself, and some errors condemn the card."""

from collections.abc import Callable
from typing import Any

import pynvml

MIB = 1024 * 1024
#: Answers after which the card is not to be trusted, in words. Every other error costs only the metric it came with.
CARD_FAULTS = {
    pynvml.NVML_ERROR_GPU_IS_LOST: "The GPU is lost: it fell off the bus or is not reachable (error 15).",
    pynvml.NVML_ERROR_RESET_REQUIRED: "The GPU must be reset before it can be used again (error 16).",
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "The driver and its library have different versions (error 18).",
    pynvml.NVML_ERROR_UNKNOWN: "The driver reports an unknown error for this GPU (error 999).",
}


def metric(get: Callable[..., Any], *arguments: Any, faults: list[str]) -> Any:
    """One metric, or None where the card has none; an error that condemns the card is noted in `faults`."""
    try:
        return get(*arguments)
    except pynvml.NVMLError as error:
        if error.value in CARD_FAULTS:
            faults.append(CARD_FAULTS[error.value])
        return None


def memory_of(handle: Any, *, faults: list[str]) -> Any:
    """Memory in bytes (`total`, `used`), as nvidia-smi tells it: without what the driver keeps for itself, some hundred MiB a card.

    Drivers before R510, and Windows' own below a Linux, know only the older question, which counts that in.
    """
    newer = or_none(pynvml.nvmlDeviceGetMemoryInfo, handle, pynvml.nvmlMemory_v2)
    return newer or metric(pynvml.nvmlDeviceGetMemoryInfo, handle, faults=faults)


def or_none(get: Callable[..., Any], *arguments: Any) -> Any:
    """What it answers, or None."""
    return metric(get, *arguments, faults=[])
