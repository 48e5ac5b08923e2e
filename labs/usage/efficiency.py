"""What an ended lab made of what it held, in one line, and what to do otherwise next time. Pure."""

from dataclasses import dataclass

#: A lab that was measured for less says nothing about itself.
LEAST_MINUTES = 5
SLICE_BUSY, SLICE_MEMORY = 25.0, 0.25
NEVER_BUSY = 1
HALF = 0.5
ALMOST = 0.92


@dataclass(frozen=True, slots=True)
class Used:
    """What a lab held and what it did with it: sizes in MiB, GPU numbers a card, `gpu_pct` the mean of all its cards."""

    minutes: int
    gpus: int
    cpus: int
    memory_mib: int
    shm_mib: int
    gpu_memory_mib: int = 0
    gpu_pct: float | None = None
    gpu_pct_max: int | None = None
    idle_share: float | None = None
    gpu_memory_mib_max: int | None = None
    cpu_pct: float | None = None
    memory_mib_max: int | None = None
    shm_mib_max: int | None = None


@dataclass(frozen=True, slots=True)
class Efficiency:
    """`line` tells what was used, `advice` what would do better (empty: nothing); `code` names the advice for programs."""

    line: str
    advice: str = ""
    code: str = "fine"

    @property
    def words(self) -> str:
        """Both in one sentence."""
        return f"{self.line}: {self.advice}" if self.advice else f"{self.line}."


def efficiency_of(used: Used, *, slices: bool) -> Efficiency | None:
    """The line of an ended lab; None where too little was measured. `slices`: does the house have slices of cards to offer?"""
    if used.minutes < LEAST_MINUTES:
        return None
    found = _tight(used) or (_of_gpus(used, slices) if used.gpus else None) or _of_memory(used) or Efficiency("")
    return Efficiency(_line(used), found.advice, found.code)


def _line(used: Used) -> str:
    parts = []
    if used.gpus:
        name = "GPU" if used.gpus == 1 else f"{used.gpus} GPUs"
        parts.append(f"{name} {used.gpu_pct:.0f}% busy" if used.gpu_pct is not None else f"{name} held")
        if used.gpu_memory_mib_max is not None and used.gpu_memory_mib:
            parts.append(_of(used.gpu_memory_mib_max, used.gpu_memory_mib))
    elif used.cpu_pct is not None:
        parts.append(f"{used.cpu_pct / 100:.1f} of {used.cpus} CPU cores busy")
    if used.memory_mib_max is not None and not used.gpus:
        parts.append(f"{_of(used.memory_mib_max, used.memory_mib)} of memory")
    return ", ".join(parts) or f"Measured for {used.minutes} minutes"


def _tight(used: Used) -> Efficiency | None:
    """Something was nearly full: the next run may fail for it."""
    if used.shm_mib_max is not None and used.shm_mib_max >= ALMOST * used.shm_mib:
        return Efficiency(
            "", f"shared memory was nearly full ({_of(used.shm_mib_max, used.shm_mib)}); ask for more, or for fewer data-loader workers.", "more_shm"
        )
    if used.memory_mib_max is not None and used.memory_mib_max >= ALMOST * used.memory_mib:
        return Efficiency("", f"memory was nearly full ({_of(used.memory_mib_max, used.memory_mib)}); ask for more.", "more_memory")
    return None


def _of_gpus(used: Used, slices: bool) -> Efficiency | None:
    if used.gpu_pct is None:
        return None
    if used.gpu_pct_max is not None and used.gpu_pct_max <= NEVER_BUSY:
        return Efficiency("", 'it was never used. Move model and data to "cuda", or launch without a GPU and start at once.', "no_gpu")
    if used.gpus > 1 and used.gpu_pct * used.gpus <= 110:
        return Efficiency("", "one GPU would have done the same; it starts sooner and leaves the others to colleagues.", "fewer_gpus")
    small = used.gpu_memory_mib_max is not None and used.gpu_memory_mib_max <= SLICE_MEMORY * used.gpu_memory_mib
    if used.gpus == 1 and used.gpu_pct <= SLICE_BUSY and small and slices:
        return Efficiency("", "a slice would do.", "slice")
    if used.idle_share is not None and used.idle_share > HALF:
        return Efficiency("", f"it stood idle {used.idle_share:.0%} of the time. Stop a lab when its run is over; your files stay.", "idle")
    if used.gpu_pct < 100 * HALF and used.cpu_pct is not None and used.cpu_pct >= 85 * used.cpus:
        return Efficiency("", "the CPUs were the bottleneck. Ask for more cores and use more data-loader workers.", "more_cpus")
    if used.gpu_pct <= SLICE_BUSY and small:
        return Efficiency("", "larger batches would use it better.", "larger_batches")
    return None


def _of_memory(used: Used) -> Efficiency | None:
    """Much more memory than it needed keeps other labs off the node."""
    if used.memory_mib_max is None or used.memory_mib < 32 * 1024 or used.memory_mib_max > used.memory_mib / 4:
        return None
    enough = max(-(-used.memory_mib_max * 2 // 1024), 8)
    return Efficiency("", f"it needed {used.memory_mib_max / 1024:.1f} of {used.memory_mib / 1024:g} GiB of memory; {enough} GiB would do.", "less_memory")


def _of(used_mib: int, whole_mib: int) -> str:
    return f"{used_mib / 1024:.2g} of {whole_mib / 1024:.0f} GiB" if used_mib < 10 * 1024 else f"{used_mib / 1024:.0f} of {whole_mib / 1024:.0f} GiB"
