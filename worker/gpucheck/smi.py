"""What `nvidia-smi` says of the cards, and where it and the probe differ: two programs that ask one driver must agree."""

import csv
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping

from worker.gpucheck.report import Failed, LeftOut
from worker.probes.base import GpuReading, pci_name

WITHIN_S = 60
FIELDS = (
    "uuid",
    "name",
    "pci.bus_id",
    "memory.total",
    "memory.used",
    "temperature.gpu",
    "power.draw",
    "enforced.power.limit",
    "clocks.mem",
    "ecc.errors.uncorrected.volatile.total",
    "compute_cap",
    "mig.mode.current",
    "driver_version",
)
#: nvidia-smi's name -> ours, and how far two looks at a moving thing may be apart, a second or two between them.
NEAR = {
    "memory.total": ("memory_total_mib", 1.0),
    "memory.used": ("memory_used_mib", 64.0),
    "temperature.gpu": ("temperature_c", 8.0),
    "power.draw": ("power_w", 100.0),
    "enforced.power.limit": ("power_limit_w", 1.0),
    "ecc.errors.uncorrected.volatile.total": ("ecc_errors", 0.0),
}
SAME = {"name": "model", "compute_cap": "compute_capability"}
_CUDA = re.compile(r"CUDA(?: UMD)? Version:\s*([0-9.]+)")
Row = Mapping[str, str]


def said() -> tuple[dict[str, Row], str]:
    """Each card's fields by UUID, and the newest CUDA that the driver speaks."""
    rows = csv.reader(_run(f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits").splitlines(), skipinitialspace=True)
    cards = [dict(zip(FIELDS, row, strict=True)) for row in rows if row]
    cuda = _CUDA.search(_run())
    return {card["uuid"]: card for card in cards}, cuda[1] if cuda else ""


def _run(*arguments: str) -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        raise LeftOut("nvidia-smi is not on this host; it comes with the driver's utilities.")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=WITHIN_S, check=False)
    if done.returncode:
        raise Failed(f"nvidia-smi fails: {(done.stdout + done.stderr).strip()[-300:]}")
    return done.stdout


def differences(card: GpuReading, row: Row) -> list[str]:
    """Where a reading and nvidia-smi's row of the same card do not agree, in words."""
    return [*_not_same(card, row), *_not_near(card, row)]


def _not_same(card: GpuReading, row: Row) -> Iterator[str]:
    for theirs, ours in SAME.items():
        if row[theirs] != getattr(card, ours):
            yield _words(card, theirs, getattr(card, ours), row[theirs])
    if pci_name(row["pci.bus_id"]) != card.pci:
        yield _words(card, "pci.bus_id", card.pci, row["pci.bus_id"])
    if (row["mig.mode.current"] == "Enabled") != card.mig:
        yield _words(card, "mig.mode.current", card.mig, row["mig.mode.current"])


def _not_near(card: GpuReading, row: Row) -> Iterator[str]:
    for theirs, (ours, most) in NEAR.items():
        read, told = getattr(card, ours), number(row[theirs])
        if (read is None) != (told is None) or (read is not None and told is not None and abs(read - told) > most):
            yield _words(card, theirs, read, row[theirs])


def _words(card: GpuReading, field: str, read: object, told: str) -> str:
    return f"GPU {card.index}: the probe reads {field} as {read!r}, nvidia-smi says {told!r}"


def number(text: str) -> float | None:
    """A figure; None for `[N/A]` and its like."""
    try:
        return float(text)
    except ValueError:
        return None
