"""The cards as the NVIDIA driver sees them, by nvidia-ml-py: one metric at a time, and never longer than a deadline."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pynvml

from worker.probes.base import GpuProcess, GpuReading, NodeReading, ProbeFault, pci_name
from worker.probes.deadline import OneThread, StillBusy
from worker.probes.nvml.calls import CARD_FAULTS, MIB, memory_of, metric, or_none
from worker.probes.nvml.events import XidEvents
from worker.probes.nvml.places import Places, places_of
from worker.probes.nvml.slices import mig_is_on, slices_of
from worker.probes.processes import command_of, name_of

READ_WITHIN_S = 1.5
#: The first call initialises every card of the host, which takes seconds where no persistence daemon runs.
OPEN_WITHIN_S = 15.0

#: What the driver as a whole may answer, in words with the way out.
DRIVER_FAULTS = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: "The NVIDIA driver is loaded, but its library libnvidia-ml.so.1 is not found (error 12).",
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "The NVIDIA driver is installed but not loaded (error 9). Load it, or restart the host.",
    pynvml.NVML_ERROR_NO_PERMISSION: "This process may not talk to the NVIDIA driver (error 4).",
    pynvml.NVML_ERROR_GPU_IS_LOST: "The NVIDIA driver has lost a GPU (error 15). The host must be looked at.",
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "The NVIDIA driver was updated while the old one is still loaded (error 18). Restart the host.",
    pynvml.NVML_ERROR_UNKNOWN: "The NVIDIA driver fails with an unknown error (error 999).",
}


LIBRARY_NOT_FOUND: int = pynvml.NVML_ERROR_LIBRARY_NOT_FOUND
DRIVER_NOT_LOADED: int = pynvml.NVML_ERROR_DRIVER_NOT_LOADED


@dataclass(frozen=True, slots=True)
class _Identity:
    """What does not change about a card; remembered so that a lost one can still be named."""

    index: int
    model: str
    memory_total_mib: int | None
    compute_capability: str
    pci: str


class NvmlProbe:
    """Reads every card in one thread of its own. Cards are told apart by UUID; their index may change."""

    kind = "nvml"

    def __init__(self, *, proc: Path = Path("/proc"), read_within_s: float = READ_WITHIN_S, open_within_s: float = OPEN_WITHIN_S) -> None:
        self._proc = proc
        self._read_within_s = read_within_s
        self._open_within_s = open_within_s
        self._is_open = False
        self._known: dict[str, _Identity] = {}
        self._places: Places = {}
        self._placed: tuple[str, ...] = ()
        self._events = XidEvents()
        self._thread = OneThread(name="nvml")

    def read(self) -> NodeReading:
        """All cards now. Raises ProbeFault when the driver fails or does not answer in time."""
        try:
            return self._thread.call(self._read, within_s=self._read_within_s)
        except StillBusy as busy:
            raise ProbeFault(f"The NVIDIA driver has not answered for {busy.seconds:.0f} s.") from busy

    def open(self) -> int | None:
        """Make the first call, which may take seconds. The driver's answer: 0, NVML's error number, or None when it hangs."""
        try:
            return self._thread.call(self._try, within_s=self._open_within_s)
        except StillBusy:
            return None

    def close(self) -> None:
        """Stop reading."""
        self._thread.end()

    def _try(self) -> int:
        try:
            self._begin()
        except pynvml.NVMLError as error:
            return int(error.value)
        return int(pynvml.NVML_SUCCESS)

    def _begin(self) -> None:
        if not self._is_open:
            pynvml.nvmlInit()
            self._is_open = True

    def _read(self) -> NodeReading:
        try:
            self._begin()
            return self._read_all()
        except pynvml.NVMLError as error:
            self._reopen_next_time()
            raise ProbeFault(driver_words(error)) from error

    def _reopen_next_time(self) -> None:
        if self._is_open:
            self._is_open = False
            self._events.forget()
            or_none(pynvml.nvmlShutdown)

    def _read_all(self) -> NodeReading:
        handles: dict[str, tuple[int, Any]] = {}
        lost: dict[int, str] = {}
        for index in range(int(pynvml.nvmlDeviceGetCount())):
            try:
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                uuid = str(pynvml.nvmlDeviceGetUUID(handle))
            except pynvml.NVMLError as error:
                lost[index] = CARD_FAULTS.get(error.value, f"The GPU does not say who it is (error {error.value}).")
            else:
                handles[uuid] = (index, handle)
        named = {uuid: handle for uuid, (_, handle) in handles.items()}
        places = self._places_of(named)
        seen = [one for uuid, (index, handle) in handles.items() for one in self._units(handle, uuid, index, places.get(uuid, ()))]
        whole = (*seen, *self._missing(set(handles), lost))
        return NodeReading(self.kind, driver=_driver(), cuda=_cuda(), gpus=whole, xids=self._events.since_last(named))

    def _places_of(self, handles: Mapping[str, Any]) -> Places:
        """Where the cards sit, asked again only when there are others or they come in another order."""
        if self._placed != tuple(handles):
            self._places, self._placed = places_of(handles), tuple(handles)
        return self._places

    def _units(self, handle: Any, uuid: str, index: int, place: tuple[str, ...]) -> list[GpuReading]:
        """The card and, where it is in MIG mode, its slices."""
        card = replace(self._card(handle, uuid, index), place=place, mig=mig_is_on(handle))
        if not card.mig:
            return [card]
        return [card, *slices_of(handle, card, lambda one: self._processes(or_none(pynvml.nvmlDeviceGetComputeRunningProcesses, one) or ()))]

    def _missing(self, seen: set[str], lost: dict[int, str]) -> list[GpuReading]:
        """A reading with a fault for each card that was there before and says nothing now."""
        default = "The driver no longer lists this GPU."
        return [_faulty(uuid, identity, lost.get(identity.index, default)) for uuid, identity in self._known.items() if uuid not in seen]

    def _card(self, handle: Any, uuid: str, index: int) -> GpuReading:
        faults: list[str] = []
        ask = partial(metric, faults=faults)
        memory = memory_of(handle, faults=faults)
        use = ask(pynvml.nvmlDeviceGetUtilizationRates, handle)
        capability = ask(pynvml.nvmlDeviceGetCudaComputeCapability, handle)
        identity = self._remember(
            uuid,
            _Identity(
                index=index,
                model=ask(pynvml.nvmlDeviceGetName, handle) or "",
                memory_total_mib=memory.total // MIB if memory else None,
                compute_capability="{}.{}".format(*capability) if capability else "",
                pci=_pci(ask(pynvml.nvmlDeviceGetPciInfo, handle)),
            ),
        )
        return GpuReading(
            uuid=uuid,
            index=index,
            model=identity.model,
            memory_total_mib=identity.memory_total_mib,
            memory_used_mib=memory.used // MIB if memory else None,
            gpu_pct=use.gpu if use else None,
            memory_pct=use.memory if use else None,
            temperature_c=ask(pynvml.nvmlDeviceGetTemperature, handle, pynvml.NVML_TEMPERATURE_GPU),
            power_w=_watt(ask(pynvml.nvmlDeviceGetPowerUsage, handle)),
            power_limit_w=_watt(ask(pynvml.nvmlDeviceGetEnforcedPowerLimit, handle)),
            sm_mhz=ask(pynvml.nvmlDeviceGetClockInfo, handle, pynvml.NVML_CLOCK_SM),
            memory_mhz=ask(pynvml.nvmlDeviceGetClockInfo, handle, pynvml.NVML_CLOCK_MEM),
            ecc_errors=ask(pynvml.nvmlDeviceGetTotalEccErrors, handle, pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC),
            compute_capability=identity.compute_capability,
            processes=self._processes(ask(pynvml.nvmlDeviceGetComputeRunningProcesses, handle) or ()),
            fault=faults[0] if faults else "",
            pci=identity.pci,
        )

    def _remember(self, uuid: str, now: _Identity) -> _Identity:
        """A card that stops answering keeps the name and size it gave before."""
        was = self._known.get(uuid)
        if was is not None:
            kept = {name: getattr(was, name) for name in ("model", "memory_total_mib", "compute_capability", "pci") if not getattr(now, name)}
            now = replace(now, **kept)
        self._known[uuid] = now
        return now

    def _processes(self, found: Any) -> tuple[GpuProcess, ...]:
        return tuple(
            GpuProcess(
                pid=one.pid,
                memory_mib=one.usedGpuMemory // MIB if one.usedGpuMemory is not None else None,
                name=name_of(self._proc, one.pid),
                command=command_of(self._proc, one.pid),
            )
            for one in found
        )


def driver_words(error: pynvml.NVMLError) -> str:
    """What is wrong with the driver as a whole, for the page."""
    return DRIVER_FAULTS.get(error.value, f"The NVIDIA driver fails: {error} (error {error.value}).")


def _faulty(uuid: str, identity: _Identity, words: str) -> GpuReading:
    return GpuReading(
        uuid=uuid,
        index=identity.index,
        model=identity.model,
        memory_total_mib=identity.memory_total_mib,
        compute_capability=identity.compute_capability,
        fault=words,
        pci=identity.pci,
    )


def _pci(info: Any) -> str:
    return pci_name(info.busId if isinstance(info.busId, str) else info.busId.decode()) if info else ""


def _driver() -> str:
    return str(or_none(pynvml.nvmlSystemGetDriverVersion) or "")


def _cuda() -> str:
    """The newest CUDA that the driver speaks, such as `13.0`."""
    version = or_none(pynvml.nvmlSystemGetCudaDriverVersion_v2)
    return f"{version // 1000}.{version % 1000 // 10}" if version else ""


def _watt(milliwatt: int | None) -> float | None:
    return round(milliwatt / 1000, 1) if milliwatt is not None else None
