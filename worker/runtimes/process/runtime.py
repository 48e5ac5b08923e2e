"""The verbs of `worker.runtimes.base.Runtime` over processes."""

import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from worker.runtimes.base import (
    JOB_GO,
    JOB_PLAN,
    MIB,
    Check,
    ImageFacts,
    LabSpec,
    Notice,
    Observed,
    Progress,
    RuntimeFault,
    RuntimeInfo,
    Usage,
    Verification,
)
from worker.runtimes.makes import Hear, Layers, Saved, Saving
from worker.runtimes.process import measure, verify
from worker.runtimes.process.cgroups import Cgroups
from worker.runtimes.process.environment import Environment, driver_is_there, environment_ask, environment_build, environment_of
from worker.runtimes.process.plan import Host, plan_make
from worker.runtimes.process.state import LOG, NOTICE, LabFolder, folders, pids_kill, wait_gone
from worker.runtimes.process.tell import catchers_signal
from worker.runtimes.process.view import can_unshare
from worker.runtimes.process.volume_verbs import VolumeVerbs

REPOSITORY = Path(__file__).resolve().parents[3]
START_WITHIN_S = 5.0
KILL_WITHIN_S = 5.0
NO_IMAGES = "Labs on this machine are no containers, so no image is made of them."
LOST = "The lab's processes were lost: the machine was restarted, or their keeper was killed."


class ProcessRuntime(VolumeVerbs):
    """Labs as groups of processes of this machine. `home` holds run/ and workspaces/, `envs` the environments."""

    kind = "process"

    def __init__(self, *, home: Path, envs: Path, node_id: str) -> None:
        root = os.geteuid() == 0
        self.node_id = node_id
        self.envs = envs
        self.run = home / "run"
        self.host = Host(home=home, groups=Cgroups(), root=root, view=can_unshare())
        self._starting = threading.Lock()
        self._keepers: list[subprocess.Popen[bytes]] = []
        self.homes = home / "workspaces"
        for folder in (self.run, self.homes):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o711)

    def info(self) -> RuntimeInfo:
        """This machine as a node. It hands GPUs out by environment only."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MIB
        cpus = len(os.sched_getaffinity(0))
        version = f"Python {platform.python_version()}"
        return RuntimeInfo(kind=self.kind, version=version, cpus=cpus, memory_mib=memory, isolates=False, gpu_ready=driver_is_there(), checks=self._checks())

    def _checks(self) -> list[Check]:
        lacking = [name for name in ("memory", "cpu", "pids") if name not in self.host.groups.held]
        limits = Check("limits", "green", "memory, CPUs and processes are limited by control groups")
        if lacking:
            limits = Check("limits", "yellow", f"not limited for a whole lab here: {', '.join(lacking)}", "run as root, or use Docker")
        people = Check("isolation", "yellow", "labs are plain processes and not isolated from each other", "install a Docker engine")
        return [people, limits]

    def observe(self) -> list[Observed]:
        """Every attempt of this node with a folder here, running or not."""
        self._keepers = [keeper for keeper in self._keepers if keeper.poll() is None]
        return [self._observed(folder) for folder in folders(self.run) if folder.plan.get("node_id") == self.node_id]

    def _observed(self, folder: LabFolder) -> Observed:
        plan, end, running = folder.plan, folder.exit, folder.is_running
        end = end or folder.exit  # it may have ended between the two looks
        return Observed(
            name=folder.name,
            lab_id=plan["lab_id"],
            attempt=plan["attempt"],
            running=running,
            exit_code=end.get("code"),
            oom_killed=end.get("oom_killed", False),
            oom_child=end.get("oom_kills", 0) > 0 and not end["oom_killed"],
            detail=end.get("detail", "") if end or running else LOST,
            jupyter=("127.0.0.1", plan["ports"][0]) if running else None,
            ssh=("127.0.0.1", plan["ports"][1]) if running else None,
            inside="127.0.0.1" if running else "",
        )

    def start(self, spec: LabSpec) -> Observed:
        """Start the keeper and with it the lab; returns once the keeper has recorded it (5 s at most)."""
        folder = LabFolder(self.run / spec.name)
        environment = environment_of(self.envs, spec.image)
        if not environment.ready:
            raise RuntimeFault(f"The environment {spec.image!r} is not ready on this node yet.")
        with self._starting:
            if not folder.is_begun:
                self._begin(spec, folder, environment)
        return self._started(folder)

    def _begin(self, spec: LabSpec, folder: LabFolder, environment: Environment) -> None:
        """Lay the attempt out anew, whatever a start that was cut short has left, and let its keeper take over."""
        shutil.rmtree(folder.path, ignore_errors=True)
        try:
            folder.path.mkdir()
            folder.path.chmod(0o711)
            plan_make(spec, folder, environment, self.host)
            self._keep(folder)
        except (OSError, RuntimeFault) as error:
            self.host.groups.remove(folder.name)
            shutil.rmtree(folder.path, ignore_errors=True)
            if isinstance(error, RuntimeFault):
                raise
            raise RuntimeFault(f"The lab could not be set up on this machine: {error}") from error

    def _keep(self, folder: LabFolder) -> None:
        keeper = [sys.executable, "-m", "worker.runtimes.process.keeper", str(folder.path)]
        with (folder.path / "keeper.log").open("wb") as out:
            self._keepers.append(
                subprocess.Popen(keeper, cwd=REPOSITORY, env=_keeper_environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
            )

    def _started(self, folder: LabFolder) -> Observed:
        deadline = time.monotonic() + START_WITHIN_S
        while not folder.is_begun:
            if time.monotonic() > deadline:
                raise RuntimeFault("The lab's keeper did not start in time.", detail=_text(folder.path / "keeper.log"))
            time.sleep(0.02)
        return self._observed(folder)

    def stop(self, name: str, grace_s: float) -> None:
        """SIGTERM, wait, SIGKILL, remove the folder. Files in the workspace stay."""
        folder = self._folder(name)
        keeper = folder.keeper
        keeper.signal(signal.SIGTERM)
        if not wait_gone(keeper, grace_s):
            pids_kill(folder.pids())
            if not wait_gone(keeper, KILL_WITHIN_S):
                keeper.signal(signal.SIGKILL)
                wait_gone(keeper, KILL_WITHIN_S)
        pids_kill(self.host.groups.pids(name))
        self.host.groups.remove(name)
        shutil.rmtree(folder.path, ignore_errors=True)

    def verify(self, spec: LabSpec) -> Verification:
        """Read back from the control groups and from inside the main process."""
        folder = self._folder(spec.name)
        if not folder.is_running:
            raise RuntimeFault("The lab does not run, so its limits cannot be read back.")
        try:
            return verify.verify(spec, folder, groups=self.host.groups, root=self.host.root, view=self.host.view)
        except (FileNotFoundError, ProcessLookupError) as error:
            raise RuntimeFault("The lab ended while its limits were read back.") from error

    def job_begin(self, name: str) -> None:
        """By a file in the lab's folder."""
        folder = self._folder(name).path
        if (folder / JOB_PLAN).exists():
            (folder / JOB_GO).touch()

    def usage(self, name: str) -> Usage | None:
        """Now; None when it does not run."""
        folder = self._folder(name)
        return measure.usage(folder, self.host.groups, view=self.host.view) if folder.is_running else None

    def logs(self, name: str, tail: int) -> str:
        """The last lines of what the lab printed."""
        path = self._folder(name).path / LOG
        lines = (_text(path.with_suffix(".log.1")) + _text(path)).splitlines()
        return "\n".join(lines[-tail:]) if tail > 0 else ""

    def processes(self, name: str) -> list[int]:
        """The lab's pids, the keeper's not among them."""
        return self._folder(name).pids()

    def device_shut(self, name: str) -> str:
        """A lab that is a process of this machine loses none that the machine has."""
        return ""

    def tell(self, name: str, notice: Notice | None) -> int:
        """By a file in the lab's folder, and by a signal to the processes below its keeper."""
        folder = self._folder(name)
        if not folder.is_running:
            return 0
        file = folder.path / NOTICE
        if notice is None:
            file.unlink(missing_ok=True)
        else:
            new = file.with_suffix(".new")
            new.write_text(notice.text())
            new.chmod(0o644)
            new.rename(file)
        return catchers_signal(folder.pids)

    def image_inspect(self, image: str) -> ImageFacts | None:
        """The environment as it was built for this host and the present lock; None until then."""
        try:
            environment = environment_of(self.envs, image)
        except RuntimeFault:
            return None
        labels = {f"gpulab.{name}": value for name, value in environment.ready.items()}
        return ImageFacts(digest=f"sha256:{environment.digest}", pulled=False, labels=labels) if labels else None

    def image_prepare(self, image: str, progress: Progress, *, fresh: bool = False, layers: Layers | None = None) -> None:
        """Build the environment; seconds with a warm cache, minutes the first time. It is always what the lock says."""
        environment_build(environment_of(self.envs, image), progress)

    def image_digest_now(self, image: str) -> str:
        """No registry has an environment of this machine."""
        return ""

    def image_look(self, image: str, script: str, within_s: int) -> str:
        """By the environment's own interpreter."""
        return environment_ask(environment_of(self.envs, image), script, within_s)

    def image_remove(self, image: str) -> bool:
        """Environments stay: one is small beside what building it takes."""
        return False

    def run_inside(self, name: str, script: str, arguments: Sequence[str], within_s: int) -> tuple[int, str]:
        """Not tried out: nothing here keeps a program to a lab's limits."""
        raise RuntimeFault("Environments of this machine are not tried out: their labs have no limits of their own to try them in.", transient=False)

    def run_heard(self, name: str, script: str, arguments: Sequence[str], hear: Hear) -> int:
        """Not in labs without limits."""
        raise RuntimeFault(NO_IMAGES, transient=False)

    def overlay_folder(self, image_digest: str) -> str:
        """No layer is made of it."""
        return ""

    def image_save(self, saving: Saving, progress: Progress) -> Saved:
        """No layers here."""
        raise RuntimeFault(NO_IMAGES, transient=False)

    def image_build(self, key: str, dockerfile: str, hear: Hear) -> Saved:
        """No engine here."""
        raise RuntimeFault(NO_IMAGES, transient=False)

    def networks_prune(self, keep: set[str]) -> list[str]:
        """There are no networks in this runtime."""
        return []

    def _folder(self, name: str) -> LabFolder:
        if "/" in name or name.startswith("."):
            raise RuntimeFault(f"{name!r} is no lab of ours.", transient=False)
        return LabFolder(self.run / name)


def _keeper_environment() -> dict[str, str]:
    """No secret of the portal reaches a process that a lab's user could look into."""
    kept = ("PATH", "LANG", "LC_ALL", "TZ", "HOME")
    return {name: os.environ[name] for name in kept if name in os.environ}


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""
