"""What a GPU probe is: `read()` -> what the cards of this node say now.

A missing sensor is None. A lost card is a reading too (with `fault`), never an exception.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

_PCI = re.compile(r"([0-9a-fA-F]{4,8}):([0-9a-fA-F]{2}):([0-9a-fA-F]{2})(?:\.[0-9a-fA-F])?")


class ProbeFault(Exception):
    """The driver is there and fails (or hangs). `words` is fit for the page; we never simulate over it."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process on a card. `pid` is the host's."""

    pid: int
    memory_mib: int | None
    name: str
    command: str


@dataclass(frozen=True, slots=True)
class GpuReading:
    """One card or one MIG slice, one moment. Units: percent, MiB, degrees C, watt, MHz. A slice tells memory and little else."""

    uuid: str
    index: int
    model: str
    memory_total_mib: int | None = None
    memory_used_mib: int | None = None
    gpu_pct: int | None = None
    memory_pct: int | None = None
    temperature_c: int | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    sm_mhz: int | None = None
    memory_mhz: int | None = None
    ecc_errors: int | None = None
    compute_capability: str = ""  # "9.0", "" unknown
    processes: Sequence[GpuProcess] = ()
    fault: str = ""  # "" healthy, else words: "GPU is lost (error 15)"
    mig: bool = False  # a card whose slices are the units
    parent: str = ""  # of a slice: the UUID of its card
    profile: str = ""  # of a slice: "1g.18gb"
    share: float = 1.0  # of a slice: its fraction of the card
    place: tuple[str, ...] = ()  # where a card sits, outermost first; () where the driver does not tell
    pci: str = ""  # of a card: where it is on the bus, as `pci_name` writes it


@dataclass(frozen=True, slots=True)
class CardXid:
    """The driver reported error `code` of a card, which is named by its UUID or by `pci_name`."""

    card: str
    code: int


def pci_name(text: str) -> str:
    """A place on the bus as everybody here writes it, `0000:3b:00`; NVML and the kernel's log differ. Empty for what is none."""
    found = _PCI.fullmatch(text.strip())
    return f"{int(found[1], 16):04x}:{found[2]}:{found[3]}".lower() if found else ""


@dataclass(frozen=True, slots=True)
class NodeReading:
    """All cards of the node and its driver at one moment; `xids` came since the reading before."""

    kind: str  # nvml, simulated, none
    driver: str
    cuda: str
    gpus: Sequence[GpuReading]
    xids: Sequence[CardXid] = ()


class Probe(Protocol):
    """`read` never blocks longer than 2 s; raises ProbeFault."""

    kind: str

    def read(self) -> NodeReading:
        """All cards now."""
        ...

    def close(self) -> None:
        """Let go of whatever is held."""
        ...
