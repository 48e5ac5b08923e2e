"""From a spec to what the keeper runs: folders, files, environment, commands. Nothing is started here."""

import os
import shutil
import socket
import stat
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from worker.runtimes import desk, job
from worker.runtimes.base import JOB_PLAN, JOB_PROGRAM, MIB, LabSpec, RuntimeFault, job_plan
from worker.runtimes.folders import contents_write, group_keep
from worker.runtimes.mounts import CONTENTS, MODELS, NFS, SCRATCH, TEAM, VOLUME, folder_sound, mount_sound, shared_target
from worker.runtimes.process import jupyter
from worker.runtimes.process.cgroups import Cgroups, Limits
from worker.runtimes.process.environment import Environment, base_python, python_version
from worker.runtimes.process.jupyter import Inside
from worker.runtimes.process.state import PLAN, TOKEN, LabFolder, json_write
from worker.runtimes.process.view import View, is_open

SYSTEM_PREFIXES = frozenset({"/usr", "/usr/local"})


@dataclass(frozen=True, slots=True)
class Host:
    """What this host allows, found once: `root` may change users, `view` may mount."""

    home: Path
    groups: Cgroups
    root: bool
    view: bool


def plan_make(spec: LabSpec, folder: LabFolder, environment: Environment, host: Host) -> None:
    """Fill the attempt's folder; the plan itself is written last, so that a folder with a plan is complete."""
    workspace = _workspace(spec, host)
    inside = _inside(spec, folder, environment, workspace, view=host.view)
    if host.root and not host.view:
        _open_check([environment.path, folder.path, workspace])
    ports = _free_ports(2)
    _files(spec, folder, jupyter.configuration(spec=spec, port=ports[0], inside=inside), host)
    limits = Limits(memory_bytes=spec.memory_mib * MIB, cpus=spec.cpus, pids=spec.pids)
    plan = {
        "lab_id": spec.lab_id,
        "attempt": spec.attempt,
        "node_id": spec.node_id,
        "uid": spec.uid if host.root else None,
        "gid": spec.gid if host.root else None,
        "groups": sorted({one.gid for one in spec.mounts if one.gid}) if host.view else [],
        "ports": ports,
        "cwd": inside.workspace,
        "environment": dict(jupyter.environment(spec=spec, inside=inside)) | libraries_of(os.environ),
        "main": _main(spec, folder, inside, ports[0], host),
        "sshd": [] if spec.desk else _sshd(inside, ports[1]),
        "overlay": {"inside": asdict(inside), "python": str(base_python()), "version": python_version()},
        "cgroups": host.groups.make(spec.name, limits),
        "rlimits": _rlimits(spec, host),
        "view": _view(spec, folder, environment, workspace, host).as_plan() if host.view else None,
    }
    json_write(folder.path / PLAN, plan)


def libraries_of(environ: Mapping[str, str]) -> dict[str, str]:
    """Where the worker itself looks for libraries: a host whose driver lies beside the system's own folders says it so, for labs as well."""
    return {"LD_LIBRARY_PATH": environ["LD_LIBRARY_PATH"]} if environ.get("LD_LIBRARY_PATH") else {}


def _workspace(spec: LabSpec, host: Host) -> Path:
    """The person's folder, made once and theirs alone; it outlives labs."""
    path = host.home / "workspaces" / spec.workspace
    if not path.is_dir():
        path.mkdir(parents=True, mode=0o700)
        if host.root:
            os.chown(path, spec.uid, spec.gid)
    return path


def _inside(spec: LabSpec, folder: LabFolder, environment: Environment, workspace: Path, *, view: bool) -> Inside:
    seen = "/workspace" if view else str(workspace)
    return Inside(
        workspace=seen,
        data="/data" if view and spec.shared_data else spec.shared_data,
        overlay=f"{seen}/.gpulab/{environment.digest[:12]}",
        env=str(environment.path),
        run=str(folder.path),
        tmp="/tmp" if view else str(folder.path / "tmp"),  # noqa: S108  (the lab's own, by its view)
    )


def _open_check(paths: list[Path]) -> None:
    """Labs run as other users: say which folder they cannot reach, instead of failing somewhere inside Python."""
    prefix = Path(sys.base_prefix)
    for path in (*(one.parent for one in paths), prefix):
        if not is_open(path):
            raise RuntimeFault(
                f"Labs run as users of their own and cannot reach {path}: a folder above it is closed to others. "
                "Set GPULAB_HOME to a folder such as /srv/gpulab, and use a Python that everybody can read.",
                transient=False,
            )


def _free_ports(count: int) -> list[int]:
    """Ports on the loopback that are free now."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _files(spec: LabSpec, folder: LabFolder, configuration: dict[str, Any], host: Host) -> None:
    path = folder.path
    for name in ("jupyter", "tmp", "root"):
        (path / name).mkdir(mode=0o700)
    json_write(path / "jupyter_config.json", configuration, mode=0o644)
    contents_write(path / CONTENTS)
    token = os.open(path / TOKEN, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o400)
    with os.fdopen(token, "w") as file:
        file.write(spec.token)
    (path / "gateway.pub").write_text(spec.gateway_key.strip() + "\n")
    (path / "passwd").write_text(_passwd(spec))
    shutil.copyfile(Path(__file__).with_name("labsshd.py"), path / "labsshd.py")
    for name in ("gateway.pub", "passwd", "labsshd.py"):
        (path / name).chmod(0o644)
    if host.root:
        for name in ("jupyter", "tmp", TOKEN):
            os.chown(path / name, spec.uid, spec.gid)


def _passwd(spec: LabSpec) -> str:
    """The machine's users and this lab's, so that programs find a name for the uid."""
    lines = [line for line in Path("/etc/passwd").read_text().splitlines() if line.split(":")[2:3] != [str(spec.uid)]]
    return "\n".join([*lines, f"{spec.username}:x:{spec.uid}:{spec.gid}:{spec.username}:/workspace:/bin/bash", ""])


def _sshd(inside: Inside, port: int) -> list[str]:
    """The SSH server by the image's own Python; isolated from what the person installed, so that it always starts."""
    script = [f"{inside.env}/bin/python", "-I", f"{inside.run}/labsshd.py"]
    return [*script, str(port), f"{inside.workspace}/.gpulab/ssh_host_ed25519_key", f"{inside.run}/gateway.pub"]


def _main(spec: LabSpec, folder: LabFolder, inside: Inside, port: int, host: Host) -> list[str]:
    """What it is for: a job, a file page, or Jupyter."""
    if spec.desk:
        return _desk(spec, folder, inside, port, host)
    return _job(spec, folder, inside) if spec.command else jupyter.command(inside=inside)


def _desk(spec: LabSpec, folder: LabFolder, inside: Inside, port: int, host: Host) -> list[str]:
    """The file page, by the image's own Python; isolated from what the person installed."""
    (folder.path / desk.PROGRAM).write_bytes(desk.desk_program())
    (folder.path / desk.LIBRARY).write_bytes(desk.desk_library())
    (folder.path / desk.PLAN).write_text(desk.desk_plan(spec, workspace=inside.workspace, given=inside.run, address=("127.0.0.1", port)))
    for name in (desk.PROGRAM, desk.LIBRARY, desk.PLAN):
        (folder.path / name).chmod(0o644)
    if host.root:
        os.chown(folder.path / desk.PLAN, spec.uid, spec.gid)
        (folder.path / desk.PLAN).chmod(0o400)
    return [f"{inside.env}/bin/python", "-I", f"{inside.run}/{desk.PROGRAM}", f"{inside.run}/{desk.PLAN}"]


def _job(spec: LabSpec, folder: LabFolder, inside: Inside) -> list[str]:
    """The program that runs the job, by the image's own Python."""
    (folder.path / JOB_PLAN).write_text(job_plan(spec, workspace=inside.workspace, given=inside.run))
    (folder.path / JOB_PROGRAM).write_text(Path(job.__file__).read_text())
    for name in (JOB_PLAN, JOB_PROGRAM):
        (folder.path / name).chmod(0o644)
    return [f"{inside.env}/bin/python", "-I", f"{inside.run}/{JOB_PROGRAM}", f"{inside.run}/{JOB_PLAN}"]


def _rlimits(spec: LabSpec, host: Host) -> dict[str, int]:
    """Where control groups do not hold, the next best that the kernel has for single processes and users."""
    found = {"CORE": 0}
    if "memory" not in host.groups.held:
        found["DATA"] = spec.memory_mib * MIB
    if "pids" not in host.groups.held and host.root:
        found["NPROC"] = spec.pids
    return found


def _beside(spec: LabSpec, folder: LabFolder, host: Host) -> tuple[tuple[str, str, bool], ...]:
    """The folders beside its workspace, made where they are ours to make: (host folder, where it is seen, writable)."""
    found = []
    for mount in spec.mounts:
        if not mount_sound(mount) or mount.kind in (VOLUME, NFS) or (mount.kind == MODELS and not folder_sound(mount.below)):
            raise RuntimeFault(f"{mount.target} is no folder of this machine: only an engine can mount it.", transient=False)
        source = Path(mount.below if mount.kind == MODELS else mount.source)
        if mount.kind == TEAM:
            source = host.home / "teams" / mount.source
            _own_folder(source, 0, mount.gid, 0o2770)
        elif mount.kind == SCRATCH:
            source = folder.path / "scratch"
            _own_folder(source, spec.uid, spec.gid, 0o700)
        found.append((str(source), mount.target, mount.writable))
    return tuple(found)


def _own_folder(path: Path, uid: int, gid: int, mode: int) -> None:
    """Make it once, with its owner."""
    if not path.is_dir():
        path.parent.mkdir(mode=0o711, exist_ok=True)
        path.mkdir(mode=0o700)
        os.chown(path, uid, gid)
        path.chmod(mode)
        if mode & stat.S_ISGID:
            group_keep(path)


def _view(spec: LabSpec, folder: LabFolder, environment: Environment, workspace: Path, host: Host) -> View:
    same = [(str(environment.path), False), (str(folder.path), True)]
    if sys.base_prefix not in SYSTEM_PREFIXES:
        same.append((os.path.realpath(sys.base_prefix), False))
    return View(
        root=str(folder.path / "root"),
        workspace=str(workspace),
        data=spec.shared_data if spec.shared_data and Path(spec.shared_data).is_dir() else "",
        data_at=shared_target(spec.mounts),
        beside=_beside(spec, folder, host),
        passwd=str(folder.path / "passwd"),
        same=tuple(same),
        shm_bytes=spec.shm_mib * MIB,
        tmp_bytes=spec.memory_mib * MIB // 2,
    )
