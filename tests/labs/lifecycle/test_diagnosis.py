"""What a log says of an end, and what to ask for next time."""

import pytest

from labs.lifecycle.diagnosis import Asked, Fix, end_told_by, fix_of

SHM = "ERROR: Unexpected bus error encountered in worker. This might be caused by insufficient shared memory (shm)."
CARDS = [("NVIDIA L4", 23034), ("NVIDIA A100", 81920), ("NVIDIA H200", 143771)]


@pytest.mark.parametrize(
    ("log", "code"),
    [
        ("", ""),
        ("Traceback\nValueError: out of range", ""),
        (SHM, "out_of_shm"),
        ("RuntimeError: unable to open shared memory object </torch_7_1> in read-write mode", "out_of_shm"),
        ("OSError: [Errno 28] No space left on device: '/dev/shm/x'", "out_of_shm"),
        ("OSError: [Errno 28] No space left on device: '/workspace/x'", ""),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", "cuda_out_of_memory"),
        ("RuntimeError: CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 23.65 GiB total capacity)", "cuda_out_of_memory"),
        ("RuntimeError: cuDNN error: CUDNN_STATUS_ALLOC_FAILED", "cuda_out_of_memory"),
        ("RuntimeError: CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported", "cuda_out_of_memory"),
        ("RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", "cuda_out_of_memory"),
        ("CUDA_ERROR_OUT_OF_MEMORY: out of memory", "cuda_out_of_memory"),
        ("XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 7406166528 bytes.", "cuda_out_of_memory"),
        ("RuntimeError: CUDA error: an illegal memory access was encountered", ""),
        (f"{SHM}\nCUDA out of memory", "out_of_shm"),
    ],
)
def test_a_log_tells_why(log: str, code: str) -> None:
    assert end_told_by(log) == code


def fix(code: str, *, card_mib: int = 0, memory: int = 16, shm: int = 8, most: int = 128, most_shm: int = 32) -> Fix | None:
    asked = Asked(memory_gib=memory, shm_gib=shm, card_mib=card_mib)
    return fix_of(code=code, asked=asked, most_memory_gib=most, most_shm_gib=most_shm, models=CARDS)


def test_too_little_memory_is_doubled_within_the_limit() -> None:
    assert fix("out_of_memory") == fix("child_out_of_memory") == Fix("with twice the memory", {"memory_gib": 32})
    assert fix("out_of_memory", memory=100) == Fix("with 128 GiB of memory", {"memory_gib": 128})
    assert fix("out_of_memory", memory=128) is None


def test_more_shared_memory_brings_the_memory_that_it_counts_in() -> None:
    assert fix("out_of_shm", memory=64) == Fix("with 16 GiB of shared memory", {"shm_gib": 16})
    assert fix("out_of_shm") == Fix("with 16 GiB of shared memory", {"shm_gib": 16, "memory_gib": 32})
    assert fix("out_of_shm", shm=32) is None


def test_a_full_card_asks_for_the_next_larger_one() -> None:
    assert fix("cuda_out_of_memory", card_mib=23034) == Fix("on NVIDIA A100", {"gpu_model": "NVIDIA A100"})
    assert fix("cuda_out_of_memory", card_mib=9856) == Fix("on NVIDIA L4", {"gpu_model": "NVIDIA L4"}), "a slice, and the whole of a card"
    assert fix("cuda_out_of_memory", card_mib=143771) is None
    assert fix("cuda_out_of_memory") is None, "it had no card"


@pytest.mark.parametrize("code", ["asked", "exited", "time_up", "removed"])
def test_other_ends_have_nothing_to_ask_for(code: str) -> None:
    assert fix(code) is None
