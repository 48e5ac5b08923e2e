"""Section 5 of the CIS Docker Benchmark (as docker-bench-security checks it) on a launched lab: each item, and two declared exceptions."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.engine import api, engine_address, engine_image, gateway, make_spec, runtime  # noqa: F401  (fixtures)
from tests.contracts.runtime_contract import ready

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]
#: What a lab does otherwise, and why.
EXCEPTIONS = {
    "5.7 no sshd inside": "a lab's sshd is how its owner enters: as their own user, without passwords, for the gateway's key alone, on the loopback",
    "5.27 health is checked by the engine": "the node's worker asks Jupyter itself, and a lab that does not answer is told to its owner, not restarted",
}
SENSITIVE = ("/", "/boot", "/dev", "/etc", "/lib", "/proc", "/sys", "/usr", "/var/run/docker.sock", "/run/docker.sock")
Seen = dict[str, Any]
ITEMS: dict[str, Callable[[Seen, Seen], bool]] = {
    "5.1 no swarm": lambda lab, engine: engine["Swarm"]["LocalNodeState"] == "inactive",
    "5.2 AppArmor, where the host has it": lambda lab, engine: not has(engine, "apparmor") or lab["AppArmorProfile"] not in ("", "unconfined"),
    "5.3 SELinux, where the host has it": lambda lab, engine: not has(engine, "selinux") or "label=disable" not in options(lab),
    "5.4 no capabilities": lambda lab, engine: lab["HostConfig"]["CapDrop"] == ["ALL"] and not lab["HostConfig"]["CapAdd"],
    "5.5 not privileged": lambda lab, engine: not lab["HostConfig"]["Privileged"],
    "5.6 no sensitive folder of the host": lambda lab, engine: not [one for one in lab["Mounts"] if one["Type"] == "bind" and one["Source"] in SENSITIVE],
    "5.7 no sshd inside": lambda lab, engine: "2222/tcp" not in ports(lab),
    "5.8 no privileged port": lambda lab, engine: all(int(one["HostPort"]) > 1024 for one in bound(lab)),
    "5.9 no needless port": lambda lab, engine: set(ports(lab)) <= {"8888/tcp", "2222/tcp"},
    "5.10 not the host's network": lambda lab, engine: lab["HostConfig"]["NetworkMode"] != "host",
    "5.11 memory is limited": lambda lab, engine: lab["HostConfig"]["Memory"] > 0 and lab["HostConfig"]["MemorySwap"] == lab["HostConfig"]["Memory"],
    "5.12 CPUs are limited": lambda lab, engine: lab["HostConfig"]["NanoCpus"] > 0,
    "5.13 the root is read-only": lambda lab, engine: lab["HostConfig"]["ReadonlyRootfs"],
    "5.14 ports are bound to one address": lambda lab, engine: {one["HostIp"] for one in bound(lab)} == {"127.0.0.1"},
    "5.15 restarts at most five times": lambda lab, engine: lab["HostConfig"]["RestartPolicy"]["Name"] in ("", "no"),
    "5.16 not the host's processes": lambda lab, engine: lab["HostConfig"]["PidMode"] != "host",
    "5.17 not the host's IPC": lambda lab, engine: lab["HostConfig"]["IpcMode"] == "private",
    "5.18 no device of the host": lambda lab, engine: not lab["HostConfig"]["Devices"],
    "5.19 no own ulimit": lambda lab, engine: not lab["HostConfig"]["Ulimits"],
    "5.20 no shared mount propagation": lambda lab, engine: not [one for one in lab["Mounts"] if "shared" in one.get("Propagation", "")],
    "5.21 not the host's name": lambda lab, engine: lab["HostConfig"]["UTSMode"] != "host",
    "5.22 seccomp is on": lambda lab, engine: has(engine, "seccomp") and not [one for one in options(lab) if "seccomp" in one],
    "5.23 no privileged exec": lambda lab, engine: not re.search(r"privileged\s*=\s*True", drivers()),
    # An exec that names no user is the container's own.
    "5.24 no exec as root": lambda lab, engine: not re.search(r"user\s*=\s*[\"']", drivers()) and lab["Config"]["User"].split(":")[0] not in ("", "0", "root"),
    "5.25 no cgroup of its own choice": lambda lab, engine: lab["HostConfig"]["CgroupParent"] in ("", engine.get("CgroupParent", "")),
    "5.26 no new privileges": lambda lab, engine: any(one.startswith("no-new-privileges") and not one.endswith("false") for one in options(lab)),
    "5.27 health is checked by the engine": lambda lab, engine: bool(lab["Config"].get("Healthcheck")),
    "5.28 an image by what it is": lambda lab, engine: lab["Image"].startswith("sha256:"),
    "5.29 processes are limited": lambda lab, engine: 0 < lab["HostConfig"]["PidsLimit"] <= 300,
    "5.30 not docker0": lambda lab, engine: "bridge" not in lab["NetworkSettings"]["Networks"],
    "5.31 not the host's user namespace": lambda lab, engine: lab["HostConfig"]["UsernsMode"] != "host",
    "5.32 not the engine's socket": lambda lab, engine: "docker.sock" not in str(lab["Mounts"]),
}


def has(engine: Seen, name: str) -> bool:
    return any(f"name={name}" in one for one in engine["SecurityOptions"])


def options(lab: Seen) -> list[str]:
    return lab["HostConfig"]["SecurityOpt"] or []


def ports(lab: Seen) -> dict[str, Any]:
    return {port: where for port, where in lab["NetworkSettings"]["Ports"].items() if where}


def bound(lab: Seen) -> list[dict[str, str]]:
    return [one for where in ports(lab).values() for one in where]


def drivers() -> str:
    folder = Path(__file__).resolve().parents[2] / "worker/runtimes/docker"
    return "\n".join(path.read_text() for path in sorted(folder.rglob("*.py")))


def test_every_item_of_the_benchmark_holds_for_a_launched_lab_but_the_declared_two(runtime: Any, make_spec: Any, api: Any) -> None:
    spec = make_spec()
    ready(runtime, spec)
    lab, engine = api.inspect_container(spec.name), api.info()
    broken = {item for item, holds in ITEMS.items() if not holds(lab, engine)}
    assert len(ITEMS) == 32
    assert broken == set(EXCEPTIONS)
