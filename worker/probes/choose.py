"""Which probe a node takes, and why in words. Simulated only where there is no NVIDIA driver at all."""

from pathlib import Path

from worker.probes.base import Probe
from worker.probes.none import NoProbe
from worker.probes.nvml.probe import DRIVER_NOT_LOADED, LIBRARY_NOT_FOUND, NvmlProbe
from worker.probes.simulated import SimulatedProbe

NVIDIA = "0x10de"
DISPLAY_CLASS = "0x03"


def probe_choose(wanted: str, *, simulated: int, node_id: str, root: Path = Path("/")) -> tuple[Probe, str]:
    """The probe for `wanted` (auto, nvml, simulated, none) and the words for it. `simulated` is the number of such cards.

    auto takes NVML wherever a driver was installed, even if it fails: a broken driver is shown as broken.
    """
    if wanted == "none":
        return NoProbe(), "This node offers no GPUs (GPULAB_PROBE=none)."
    if wanted == "nvml":
        forced = NvmlProbe()
        forced.open()
        return forced, "Read from the NVIDIA driver (GPULAB_PROBE=nvml)."
    if wanted == "simulated":
        return SimulatedProbe(simulated, node_id=node_id), "SIMULATED cards, as asked for (GPULAB_PROBE=simulated)."
    nvml = NvmlProbe()
    missing = driver_missing(nvml.open(), root)
    if not missing:
        return nvml, "Read from the NVIDIA driver."
    nvml.close()
    return SimulatedProbe(simulated, node_id=node_id), f"SIMULATED cards: {missing}"


def driver_missing(answer: int | None, root: Path) -> str:
    """Why this machine counts as one without an NVIDIA driver, or empty. `answer` is the driver's to a first call.

    The library without a card is no driver: images for containers carry it to machines that have none.
    """
    if answer == LIBRARY_NOT_FOUND and not (root / "proc/driver/nvidia/version").exists():
        return "this machine has no NVIDIA driver."
    if answer == DRIVER_NOT_LOADED and not has_card(root):
        return "this machine has no NVIDIA card."
    return ""


def has_card(root: Path) -> bool:
    """Does the kernel show an NVIDIA card, or device files of its driver?"""
    return any(root.glob("dev/nvidia[0-9]*")) or any(map(_is_nvidia_display, root.glob("sys/bus/pci/devices/*")))


def _is_nvidia_display(device: Path) -> bool:
    try:
        return (device / "vendor").read_text().strip() == NVIDIA and (device / "class").read_text().startswith(DISPLAY_CLASS)
    except OSError:
        return False
