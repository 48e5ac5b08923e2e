"""Checks of what the probe reads: that it is the driver's, agrees with nvidia-smi, comes in time and finds the cards well."""

import statistics
import time
from collections.abc import Sequence
from typing import Any

from labs.fleet.xids import Does, xid_of
from worker.gpucheck import smi
from worker.gpucheck.report import Failed, Found, LeftOut
from worker.probes.base import CardXid, GpuReading, NodeReading, Probe
from worker.probes.kernel_log import KernelLog
from worker.probes.nvml.probe import READ_WITHIN_S

SAMPLE_EVERY_S = 2.0


class Watched:
    """A probe whose Xids are kept: each is told with one reading only, whoever asked for it."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self.kind = probe.kind
        self.xids: list[CardXid] = []

    def read(self) -> NodeReading:
        """As the probe's own."""
        found = self._probe.read()
        self.xids += found.xids
        return found

    def close(self) -> None:
        """As the probe's own."""
        self._probe.close()


def whole_cards(reading: NodeReading) -> list[GpuReading]:
    """Without the slices of cards in MIG mode."""
    return [one for one in reading.gpus if not one.parent]


def driver(probe: Probe, words: str) -> Found:
    """The driver answers, and names cards. `words` say why this probe was taken."""
    if probe.kind != "nvml":
        raise Failed(f"No NVIDIA driver is read here; a house would show {words}")
    reading = probe.read()
    cards = whole_cards(reading)
    if not cards:
        raise Failed("The driver is there and names no card.")
    names = ", ".join(_said(card) for card in cards)
    return Found(f"driver {reading.driver}, CUDA up to {reading.cuda}: {names}.", {"slices": len(reading.gpus) - len(cards)})


def _said(card: GpuReading) -> str:
    return f"GPU {card.index} {card.model or 'without a name'} ({card.memory_total_mib} MiB{', MIG' if card.mig else ''})"


def agrees(reading: NodeReading) -> Found:
    """Every card is there for nvidia-smi as well, with the same figures."""
    rows, cuda = smi.said()
    cards = whole_cards(reading)
    wrong = [words for card in cards for words in _against(card, rows)]
    wrong += [f"nvidia-smi lists {uuid}, the probe does not" for uuid in rows.keys() - {card.uuid for card in cards}]
    if cuda and cuda != reading.cuda:
        wrong.append(f"the probe says CUDA {reading.cuda}, nvidia-smi {cuda}")
    wrong += [f"the probe says driver {reading.driver}, nvidia-smi {row['driver_version']}" for row in rows.values() if row["driver_version"] != reading.driver]
    if wrong:
        raise Failed("; ".join(wrong) + ".")
    return Found(f"the probe and nvidia-smi agree on {len(cards)} card{'s' if len(cards) > 1 else ''}: {len(smi.FIELDS)} fields each.")


def _against(card: GpuReading, rows: dict[str, smi.Row]) -> list[str]:
    row = rows.get(card.uuid)
    return smi.differences(card, row) if row else [f"the probe lists {card.uuid}, nvidia-smi does not"]


def times(probe: Probe, count: int) -> Found:
    """What a reading takes, and what one every two seconds costs of a core."""
    took, cpu = [], time.process_time()
    for _ in range(count):
        began = time.perf_counter()
        probe.read()
        took.append(1000 * (time.perf_counter() - began))
    cpu_ms = 1000 * (time.process_time() - cpu) / count
    figures = in_figures(took) | {"cpu_ms": round(cpu_ms, 3), "core_pct": round(cpu_ms / SAMPLE_EVERY_S / 10, 3)}
    if figures["worst_ms"] > 1000 * READ_WITHIN_S:
        raise Failed(f"A reading took {figures['worst_ms']:g} ms; {READ_WITHIN_S:g} s is the most.")
    return Found(
        f"{count} readings: median {figures['p50_ms']:g} ms, p95 {figures['p95_ms']:g} ms, worst {figures['worst_ms']:g} ms; "
        f"one every {SAMPLE_EVERY_S:g} s costs {figures['core_pct']:g}% of a core.",
        figures,
    )


def in_figures(took_ms: Sequence[float]) -> dict[str, Any]:
    """Median, 95th percentile and worst of times in ms."""
    cuts = statistics.quantiles(took_ms, n=20)
    return {"readings": len(took_ms), "p50_ms": round(statistics.median(took_ms), 2), "p95_ms": round(cuts[-1], 2), "worst_ms": round(max(took_ms), 2)}


def errors(probe: Watched, kernel: KernelLog) -> Found:
    """No Xid since this program began that takes a card out of service, by the driver's events and by the kernel's log."""
    probe.read()
    xids = [(one.card, xid_of(one.code)) for one in (*probe.xids, *kernel.xids())]
    said = ", ".join(f"Xid {xid.code} of {card} ({xid.words})" for card, xid in xids)
    if any(xid.does != Does.NOTHING for _, xid in xids):
        raise Failed(f"Errors were reported: {said}.")
    if not kernel.is_read:
        raise LeftOut("The kernel's log may not be read by this user: run this as root, as the node's worker runs.")
    return Found(f"the kernel's log is readable; {said or 'no Xid came'}.")


def health(reading: NodeReading) -> Found:
    """No card has a fault, an error of its memory that cannot be corrected, or forgets to say what it is."""
    wrong = [words for card in whole_cards(reading) for words in _ill(card)]
    if wrong:
        raise Failed("; ".join(wrong) + ".")
    return Found("every card says who it is and is well.", {"ecc": [card.ecc_errors for card in whole_cards(reading)]})


def _ill(card: GpuReading) -> list[str]:
    name = f"GPU {card.index}"
    silent = [word for word, value in (("model", card.model), ("memory", card.memory_total_mib), ("compute capability", card.compute_capability)) if not value]
    return [
        *([f"{name}: {card.fault}"] if card.fault else []),
        *([f"{name} does not tell its {' and '.join(silent)}"] if silent and not card.fault else []),
        *([f"{name} counts {card.ecc_errors} errors of its memory that cannot be corrected; reset it or restart the host"] if card.ecc_errors else []),
    ]
