"""LabSpec -> the engine's own words. Pure: what a container of ours is, in one place."""

import hashlib
import ipaddress
import re
from pathlib import Path
from typing import Any

from worker.runtimes import desk
from worker.runtimes.base import JOB_PLAN, JOB_PROGRAM, LABEL, LABEL_ATTEMPT, LABEL_GPUS, LABEL_NODE, MIB, NOTICE_VARIABLE, LabSpec, RuntimeFault, job_plan
from worker.runtimes.docker.bounds import logs_bounded
from worker.runtimes.docker.handover import NOTICE
from worker.runtimes.docker.mounts import mounts_config
from worker.runtimes.mounts import CONTENTS, MODELS, MODELS_ENVIRONMENT, mount_sound, shared_target

JUPYTER_PORT = "8888/tcp"
SSH_PORT = "2222/tcp"
LOOPBACK = "127.0.0.1"
#: Seen by nobody: what the NVIDIA toolkit understands as "no card", whatever the image says.
NO_GPU = "void"
#: Where a lab sees what it was handed, read-only.
GIVEN = "/run/gpulab"
#: How a job is run instead of the image's own entry point; tini passes signals on, and reaps.
JOB_ENTRY = ["/usr/bin/tini", "-g", "--", "python3", "-I", f"{GIVEN}/{JOB_PROGRAM}", f"{GIVEN}/{JOB_PLAN}"]
#: How a file page is, likewise.
DESK_ENTRY = ["/usr/bin/tini", "-g", "--", "python3", "-I", f"{GIVEN}/{desk.PROGRAM}", f"{GIVEN}/{desk.PLAN}"]
WORKSPACE = "/workspace"
RUN_MIB = 64

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}")
_GPU = re.compile(r"(GPU|MIG)-[A-Za-z0-9-]{1,64}")
_PATH = re.compile(r"/[A-Za-z0-9/_-]*/")
#: None of the engine's own (`host`), and not another container's.
_NETWORK = re.compile(r"gpulab-[a-zA-Z0-9_.-]{1,120}")


def spec_check(spec: LabSpec, network_range: str) -> None:
    """Refuse (RuntimeFault, not transient) what must never reach the engine, should a bug ever build it."""
    names = (spec.name, spec.workspace, spec.node_id, spec.username)
    wrong = [name for name in names if not _NAME.fullmatch(name)]
    wrong += [uuid for uuid in spec.gpu_uuids if not _GPU.fullmatch(uuid)]
    wrong += [] if _PATH.fullmatch(spec.base_url) else [spec.base_url]
    wrong += [f"uid {spec.uid}"] if spec.uid < 1000 or spec.gid < 1000 else []
    wrong += [] if 0 < spec.shm_mib <= spec.memory_mib and spec.cpus > 0 and spec.pids > 0 else ["limits"]
    wrong += [one.target for one in spec.mounts if not mount_sound(one)]
    wrong += [] if spec.network and _NETWORK.fullmatch(spec.network.name) and _inside(spec.network.subnet, network_range) else ["network"]
    if wrong:
        raise RuntimeFault(f"The lab's specification is not valid: {', '.join(map(repr, wrong))}.", transient=False)


def _inside(subnet: str, network_range: str) -> bool:
    try:
        return ipaddress.IPv4Network(subnet).subnet_of(ipaddress.IPv4Network(network_range))
    except ValueError:
        return False


def overlay_name(image_digest: str) -> str:
    """The folder of the person's own packages for this image: twelve characters of its digest."""
    algorithm, _, value = image_digest.partition(":")
    if algorithm != "sha256" or not re.fullmatch(r"[0-9a-f]{64}", value):
        value = hashlib.sha256(image_digest.encode()).hexdigest()
    return value[:12]


def overlay_folder(image_digest: str) -> str:
    """Where a lab of that image finds what its user installed, as the lab sees it."""
    return f"{WORKSPACE}/.gpulab/env/{overlay_name(image_digest)}"


def container_config(spec: LabSpec, given: Path) -> dict[str, Any]:
    """The body of the engine's create call. `given` is the host folder that handover.py filled."""
    entry = JOB_ENTRY if spec.command else DESK_ENTRY
    program = {"Entrypoint": entry, "Cmd": []} if spec.command or spec.desk else {}
    return program | {
        "Image": spec.image,
        "User": f"{spec.uid}:{spec.gid}",
        "Hostname": f"lab-{spec.lab_id}",
        "Env": [f"{name}={value}" for name, value in sorted(_environment(spec).items())],
        "Labels": {LABEL: spec.lab_id, LABEL_ATTEMPT: str(spec.attempt), LABEL_NODE: spec.node_id, LABEL_GPUS: ",".join(spec.gpu_uuids)},
        "ExposedPorts": {JUPYTER_PORT: {}, SSH_PORT: {}},
        "HostConfig": _host_config(spec, given),
    }


def container_desk(spec: LabSpec) -> str:
    """The plan of its file page; nobody but the node's relay reaches its port."""
    return desk.desk_plan(spec, workspace=WORKSPACE, given=GIVEN, address=("0.0.0.0", int(JUPYTER_PORT.partition("/")[0])))  # noqa: S104


def container_job(spec: LabSpec) -> str:
    """The plan of its job: what is installed over the image's packages is found by it as by a notebook."""
    user_base = overlay_folder(spec.image_digest)
    environment = {"HOME": WORKSPACE, "USER": spec.username, "PYTHONUSERBASE": user_base}
    return job_plan(spec, workspace=WORKSPACE, given=GIVEN, path=f"{user_base}/bin", environment=environment)


def _environment(spec: LabSpec) -> dict[str, str]:
    own = {
        "GPULAB_BASE_URL": spec.base_url,
        "GPULAB_IMAGE_DIGEST": overlay_name(spec.image_digest),
        # Said even where the device request says it again: the official images ask for all cards.
        "NVIDIA_VISIBLE_DEVICES": ",".join(spec.gpu_uuids) or NO_GPU,
        NOTICE_VARIABLE: f"{GIVEN}/{NOTICE}",
        "JUPYTER_CONFIG_PATH": f"{GIVEN}/{CONTENTS}",
    }
    models = MODELS_ENVIRONMENT if any(one.kind == MODELS and one.writable for one in spec.mounts) else {}
    return dict(spec.environment) | models | own


def _host_config(spec: LabSpec, given: Path) -> dict[str, Any]:
    loopback = [{"HostIp": LOOPBACK, "HostPort": ""}]
    config: dict[str, Any] = {
        "NetworkMode": spec.network.name if spec.network else "none",
        "PortBindings": {JUPYTER_PORT: loopback, SSH_PORT: loopback},
        "Mounts": _mounts(spec, given),
        "Tmpfs": _tmpfs(spec),
        "Memory": spec.memory_mib * MIB,
        "MemorySwap": spec.memory_mib * MIB,
        "ShmSize": spec.shm_mib * MIB,
        "NanoCpus": round(spec.cpus * 1e9),
        "PidsLimit": spec.pids,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "ReadonlyRootfs": True,
        "IpcMode": "private",
        "Init": False,  # the image's entry point is tini
        "RestartPolicy": {"Name": "no"},  # the platform retries, not the engine
        "LogConfig": logs_bounded(),
    }
    if groups := sorted({str(one.gid) for one in spec.mounts if one.gid}):
        config["GroupAdd"] = groups
    if spec.gpu_uuids:
        config["DeviceRequests"] = [{"Driver": "nvidia", "DeviceIDs": list(spec.gpu_uuids), "Capabilities": [["gpu"]]}]
    return config


def _tmpfs(spec: LabSpec) -> dict[str, str]:
    return {
        "/tmp": f"rw,nosuid,nodev,exec,size={spec.memory_mib}m,mode=1777",  # noqa: S108  (in the container)
        "/run/lab": f"rw,nosuid,nodev,noexec,size={RUN_MIB}m,uid={spec.uid},gid={spec.gid},mode=0700",
    }


def _mounts(spec: LabSpec, given: Path) -> list[dict[str, Any]]:
    bound = {"/etc/passwd": given / "passwd", "/etc/group": given / "group", GIVEN: given / "secrets"}
    if spec.shared_data:
        bound[shared_target(spec.mounts)] = Path(spec.shared_data)
    mounts: list[dict[str, Any]] = [{"Type": "bind", "Source": str(source), "Target": target, "ReadOnly": True} for target, source in bound.items()]
    # Without NoCopy the engine would give an empty workspace the owner of the image's folder.
    workspace = {"Type": "volume", "Source": spec.workspace, "Target": "/workspace", "VolumeOptions": {"NoCopy": True}}
    return [*mounts, workspace, *mounts_config(spec, given)]
