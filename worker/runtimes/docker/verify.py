"""Asked and found, side by side: every limit of a lab read back from the engine and from inside."""

from typing import Any

from worker.runtimes.base import MIB, Difference, LabSpec, Verification
from worker.runtimes.docker.create import LOOPBACK
from worker.runtimes.docker.mounts import mounts_found
from worker.runtimes.mounts import words_asked


def asked(spec: LabSpec) -> dict[str, str]:
    """What must be found, in the words of the readings."""
    return {
        "memory": f"{spec.memory_mib} MiB",
        "memory and swap": f"{spec.memory_mib} MiB",
        "shm": f"{spec.shm_mib} MiB",
        "cpus": f"{spec.cpus:g}",
        "pids": str(spec.pids),
        "user": f"{spec.uid}:{spec.gid}",
        "capabilities": "none",
        "new privileges": "no",
        "root": "read-only",
        "gpus": ",".join(spec.gpu_uuids) or "none",
        "network": spec.network.name if spec.network else "none",
        "ports": LOOPBACK,
        "restart": "no",
        "host": "nothing shared",
        "folders": words_asked(spec.mounts, spec.shared_data),
    }


def engine_readings(found: dict[str, Any]) -> dict[str, str]:
    """The engine's inspect -> readings."""
    host = found["HostConfig"]
    bindings = [one for rows in (found["NetworkSettings"]["Ports"] or {}).values() for one in rows or []]
    requests = [uuid for one in host.get("DeviceRequests") or [] for uuid in one.get("DeviceIDs") or ["all"]]
    dropped = [one.upper() for one in host.get("CapDrop") or []] == ["ALL"] and not host.get("CapAdd")
    return {
        "memory": f"{host['Memory'] // MIB} MiB",
        "memory and swap": f"{host['MemorySwap'] // MIB} MiB",
        "shm": f"{host['ShmSize'] // MIB} MiB",
        "cpus": f"{host['NanoCpus'] / 1e9:g}",
        "pids": str(host["PidsLimit"]),
        "user": found["Config"]["User"],
        "capabilities": "none" if dropped else f"dropped {host.get('CapDrop')}, added {host.get('CapAdd')}",
        "new privileges": "no" if _no_new_privileges(host) else "yes",
        "root": "read-only" if host["ReadonlyRootfs"] else "writable",
        "gpus": ",".join(requests) or "none",
        "network": host["NetworkMode"],
        "ports": ",".join(sorted({one["HostIp"] for one in bindings})),
        "restart": host["RestartPolicy"]["Name"] or "no",
        "host": _shared_with_host(host),
        "folders": mounts_found(found.get("Mounts") or []),
    }


def _no_new_privileges(host: dict[str, Any]) -> bool:
    return any(one.startswith("no-new-privileges") and not one.endswith("false") for one in host.get("SecurityOpt") or [])


def _shared_with_host(host: dict[str, Any]) -> str:
    shared = [name for name in ("PidMode", "IpcMode", "UTSMode", "UsernsMode", "NetworkMode") if host.get(name) == "host"]
    shared += ["Privileged"] if host["Privileged"] else []
    shared += ["Devices"] if host.get("Devices") else []
    return ", ".join(shared) or "nothing shared"


def compare(spec: LabSpec, engine: dict[str, str], inside: dict[str, str]) -> Verification:
    """Every reading that is not what was asked is a difference. Pure."""
    wanted = asked(spec)
    differences = [
        Difference(what=what, where=where, asked=wanted[what], found=value)
        for where, readings in (("engine", engine), ("inside", inside))
        for what, value in readings.items()
        if value != wanted[what]
    ]
    return Verification(found=engine | inside, differences=differences)
