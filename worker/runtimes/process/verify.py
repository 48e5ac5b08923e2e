"""Read a lab's limits back: from the control groups, and from inside its main process."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from worker.runtimes.base import MIB, Difference, LabSpec, Verification
from worker.runtimes.mounts import MODELS, MODELS_AT, words_asked, words_inside
from worker.runtimes.process.cgroups import Cgroups
from worker.runtimes.process.state import LabFolder

NOT_ISOLATED = "isolation: labs of this runtime are plain processes of the machine and share its network; they are not kept apart"
GPU_ADVICE = "GPUs: CUDA_VISIBLE_DEVICES names the lab's cards, but a program that ignores it can reach the others"
WHOLE_CARD = "GPU memory: a card has no memory limit of its own; whoever holds it holds all of it"
MODELS_LOCKED = f"models: {MODELS_AT} can only be read here; what you download goes into your workspace"
WORDS = {
    "memory": "memory: {asked} MiB were asked for; this system lets no limit on the whole lab be set, each process is limited to that by itself",
    "cpu": "CPUs: {asked} were asked for; this system lets no limit be set, so the lab is only asked to use that many threads",
    "pids": "processes: {asked} were asked for; this system lets no limit be set for the lab alone",
    "shm": "shm: {asked} MiB were asked for; /dev/shm is the machine's own and shared by all",
    "uid": "user: the portal does not run as root, so the lab runs as the same user as the portal and could read its files",
}


@dataclass(slots=True)
class Reading:
    """Collects what was found and where it differs."""

    found: dict[str, str] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)

    def compare(self, what: str, where: str, asked: str, found: str, shown: str = "") -> None:
        """Note one limit; a difference ends the lab."""
        self.found[what] = shown or found
        if asked != found:
            self.differences.append(Difference(what=what, where=where, asked=asked, found=found))


def not_held(spec: LabSpec, *, groups: Cgroups, root: bool, view: bool) -> list[str]:
    """The limits that do not hold on this system, in words for the lab page."""
    asked = {"memory": spec.memory_mib, "cpu": f"{spec.cpus:g}", "pids": spec.pids, "shm": spec.shm_mib, "uid": spec.uid}
    held = groups.held | ({"uid"} if root else set()) | ({"shm"} if view else set())
    words = [WORDS[name].format(asked=asked[name]) for name in WORDS if name not in held]
    if spec.mounts and not view:
        words.append(f"folders: {', '.join(one.target for one in spec.mounts)}: the portal does not run as root, so it can mount nothing into a lab")
    if view and any(one.kind == MODELS for one in spec.mounts):
        words.append(MODELS_LOCKED)
    return [*words, *([GPU_ADVICE, WHOLE_CARD] if spec.gpu_uuids else []), NOT_ISOLATED]


def verify(spec: LabSpec, folder: LabFolder, *, groups: Cgroups, root: bool, view: bool) -> Verification:
    """Every limit as it is, beside what was asked."""
    reading = Reading()
    _groups_compare(spec, reading, groups, folder.name)
    pid = folder.main.pid
    _inside_compare(spec, reading, _status(pid), _environment(pid), root=root)
    _group_membership(reading, groups, folder.name, pid)
    if view:
        _shm_compare(spec, reading, pid)
        folders = words_inside(Path(f"/proc/{pid}/mountinfo").read_text())
        reading.compare("folders", "inside", words_asked(spec.mounts, spec.shared_data), folders)
    words = not_held(spec, groups=groups, root=root, view=view)
    return Verification(found=reading.found, differences=reading.differences, not_held=words)


def _groups_compare(spec: LabSpec, reading: Reading, groups: Cgroups, name: str) -> None:
    limits = groups.read(name)
    if "memory" in groups.held:
        found = int(limits.get("memory", -1)) // MIB
        reading.compare("memory", "engine", str(spec.memory_mib), str(found), f"{found} MiB")
    if "swap" in limits:
        reading.compare("swap", "engine", "0", str(int(limits["swap"])), "none beyond memory")
    if "cpu" in groups.held:
        reading.compare("cpus", "engine", f"{spec.cpus:g}", f"{limits.get('cpus', -1):g}")
    if "pids" in groups.held:
        reading.compare("pids", "engine", str(spec.pids), str(int(limits.get("pids", -1))))


def _group_membership(reading: Reading, groups: Cgroups, name: str, pid: int) -> None:
    """The limits are worth nothing unless the lab is under them."""
    if groups.held:
        inside = pid in groups.pids(name)
        reading.compare("group", "inside", "joined", "joined" if inside else "not joined", f"gpulab/{name}")


def _inside_compare(spec: LabSpec, reading: Reading, status: Mapping[str, str], environment: Mapping[str, str], *, root: bool) -> None:
    uid = status["Uid"].split()[1]
    reading.compare("uid", "inside", str(spec.uid if root else os.geteuid()), uid)
    reading.compare("capabilities", "inside", "0", str(int(status["CapEff"], 16)), "none" if int(status["CapEff"], 16) == 0 else "")
    reading.compare("no_new_privileges", "inside", "1", status["NoNewPrivs"], "on")
    gpus = environment.get("CUDA_VISIBLE_DEVICES", "unset")
    reading.compare("gpus", "inside", ",".join(spec.gpu_uuids), gpus, gpus or "none")


def _shm_compare(spec: LabSpec, reading: Reading, pid: int) -> None:
    sizes = os.statvfs(f"/proc/{pid}/root/dev/shm")
    found = sizes.f_blocks * sizes.f_frsize // MIB
    reading.compare("shm", "inside", str(spec.shm_mib), str(found), f"{found} MiB")


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _environment(pid: int) -> dict[str, str]:
    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    return {key: value for key, _, value in (pair.partition("=") for pair in pairs)}
