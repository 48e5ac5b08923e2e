"""What a log says of an end, and what to ask for next time. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

#: End -> how programs say it. The first that is found counts.
SIGNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "out_of_shm",
        re.compile(
            r"insufficient shared memory|unable to (?:open|write|allocate|resize) shared memory|unable to mmap \d+ bytes|"
            r"No space left on device[^\n]*/dev/shm|/dev/shm[^\n]*No space left on device",
            re.IGNORECASE,
        ),
    ),
    (
        "cuda_out_of_memory",
        re.compile(
            r"CUDA(?: error:)? out of memory|CUDA_ERROR_OUT_OF_MEMORY|OutOfMemoryError|(?:CUDNN|CUBLAS|CUFFT|CUSPARSE)_(?:STATUS_)?ALLOC_FAILED|"
            r"cudaErrorMemoryAllocation|NCCL[^\n]*out of memory|RESOURCE_EXHAUSTED: Out of memory",
            re.IGNORECASE,
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the ended lab had asked for, GiB, and the memory of a card (or slice) that it had, MiB; 0 where it had none."""

    memory_gib: int
    shm_gib: int
    card_mib: int = 0


@dataclass(frozen=True, slots=True)
class Fix:
    """What to ask for instead: the words of the button, and the fields that change."""

    words: str
    fields: Mapping[str, int | str] = field(default_factory=dict)


def end_told_by(log: str) -> str:
    """The end that the last lines of a log tell of; empty when they tell of none."""
    return next((code for code, sign in SIGNS if sign.search(log)), "")


def fix_of(*, code: str, asked: Asked, most_memory_gib: int, most_shm_gib: int, models: Sequence[tuple[str, int]]) -> Fix | None:
    """What would have helped, within what the person may have; None where nothing that can be asked for would.

    `models`: those of the fleet with the memory of a card.
    """
    if code in ("out_of_memory", "child_out_of_memory"):
        return _more_memory(asked, most_memory_gib)
    if code == "out_of_shm":
        return _more_shm(asked, most_memory_gib, most_shm_gib)
    if code == "cuda_out_of_memory":
        return _larger_card(asked, models)
    return None


def _more_memory(asked: Asked, most: int) -> Fix | None:
    memory = min(asked.memory_gib * 2, most)
    if memory <= asked.memory_gib:
        return None
    return Fix("with twice the memory" if memory == asked.memory_gib * 2 else f"with {memory} GiB of memory", {"memory_gib": memory})


def _more_shm(asked: Asked, most_memory: int, most: int) -> Fix | None:
    shm = min(max(asked.shm_gib * 2, 1), most, most_memory)
    if shm <= asked.shm_gib:
        return None
    fields: dict[str, int | str] = {"shm_gib": shm}
    if shm > asked.memory_gib // 2:  # shared memory counts inside the memory: what the programs need stays beside it
        fields["memory_gib"] = min(max(asked.memory_gib, shm * 2), most_memory)
    return Fix(f"with {shm} GiB of shared memory", fields)


def _larger_card(asked: Asked, models: Sequence[tuple[str, int]]) -> Fix | None:
    larger = min(((memory, model) for model, memory in models if memory > asked.card_mib), default=None) if asked.card_mib else None
    return Fix(f"on {larger[1]}", {"gpu_model": larger[1]}) if larger else None
