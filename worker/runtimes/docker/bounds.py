"""What every container is kept to that is no lab: images are people's too, and what runs of them does so for a moment, with nothing, on little."""

from typing import Any

from worker.runtimes.base import MIB

LOG_FILE_SIZE, LOG_FILES = "10m", "2"
MEMORY_MIB, PIDS = 2048, 256
#: Nobody's, in every image.
NOBODY = "65534:65534"


def logs_bounded() -> dict[str, Any]:
    """How much of what a container says the engine keeps."""
    return {"Type": "json-file", "Config": {"max-size": LOG_FILE_SIZE, "max-file": LOG_FILES}}


def host_bounded(**more: Any) -> dict[str, Any]:
    """The engine's HostConfig for such a container."""
    return {
        "NetworkMode": "none",
        "Memory": MEMORY_MIB * MIB,
        "MemorySwap": MEMORY_MIB * MIB,
        "PidsLimit": PIDS,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "ReadonlyRootfs": True,
        "LogConfig": logs_bounded(),
        **more,
    }
