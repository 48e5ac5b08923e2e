"""What a runtime is: a few idempotent verbs over containers (or processes) that bear our label.

A driver knows nothing of the database, of Celery or of the portal. It receives a finished `LabSpec`
and answers with facts. Every verb may be called twice: the second call is a no-op that answers the same.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from worker.runtimes.makes import Layers, Makes
from worker.runtimes.mounts import Measured as Measured
from worker.runtimes.mounts import Mount, VolumeVerbs

MIB = 1024 * 1024
LABEL = "gpulab.lab"
LABEL_ATTEMPT = "gpulab.attempt"
LABEL_GPUS = "gpulab.gpus"
LABEL_NODE = "gpulab.node"


class RuntimeFault(Exception):
    """The engine refused or did not answer; `words` is fit for the lab's owner."""

    def __init__(self, words: str, *, detail: str = "", transient: bool = True) -> None:
        super().__init__(detail or words)
        self.words = words
        self.detail = detail
        self.transient = transient


@dataclass(frozen=True, slots=True)
class Network:
    """A person's own network on the node. `subnet` is CIDR, given by the platform, never by the engine."""

    name: str
    subnet: str


@dataclass(frozen=True, slots=True)
class Desk:
    """What the file page of a workspace is told: the portal's address, the node's name, and how many bytes its owner may still write (None: any)."""

    portal: str
    node: str
    left: int | None


@dataclass(frozen=True, slots=True)
class LabSpec:
    """Everything that a runtime needs to start one attempt of a lab. Built server-side, validated, never user input."""

    lab_id: str
    attempt: int
    node_id: str
    image: str  # an engine reference by digest or local id; for the process runtime the environment's name
    image_digest: str  # names the pip overlay, so that one image's packages never shadow another's
    uid: int
    gid: int
    username: str
    gpu_uuids: tuple[str, ...]
    cpus: float
    memory_mib: int
    shm_mib: int
    pids: int
    workspace: str  # name of the volume that holds the person's /workspace
    shared_data: str  # host folder mounted read-only at /data, "" for none
    token: str  # Jupyter's upstream token; handed over by file, never by environment or argument
    base_url: str  # "/l/<lab id>/"
    gateway_key: str  # the SSH gateway's public key, the only one that the lab's sshd takes
    network: Network | None
    environment: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()  # a job's program and arguments: it runs instead of Jupyter, and the lab ends with it
    folder: str = ""  # where a job begins, below the workspace
    output: str = ""  # where its log and results are kept, below the workspace
    desk: Desk | None = None  # it serves the file page instead of Jupyter
    mounts: tuple[Mount, ...] = ()  # folders beside the workspace

    @property
    def name(self) -> str:
        """The container's name. It is the idempotency key of `start`."""
        return f"gpulab-{self.lab_id}-{self.attempt}"


@dataclass(frozen=True, slots=True)
class Observed:
    """One container (or process group) of ours as the engine sees it now."""

    name: str
    lab_id: str
    attempt: int
    running: bool
    fresh: bool = False  # made, and not started yet
    exit_code: int | None = None
    oom_killed: bool = False  # the main process was killed for memory
    oom_child: bool = False  # it ended otherwise, and another of its processes had been killed for memory
    detail: str = ""  # the engine's own error text, if any
    jupyter: tuple[str, int] | None = None  # where the node's relay reaches it
    ssh: tuple[str, int] | None = None
    inside: str = ""  # the host at which the ports of its own programs answer; the loopback only where it has no network of its own
    network: str = ""  # the person's network it is attached to
    gpu_uuids: tuple[str, ...] = ()  # the cards that it was given


@dataclass(frozen=True, slots=True)
class Usage:
    """What a lab uses now. Bytes and nanoseconds; None where the system does not tell."""

    cpu_ns: int | None
    memory_bytes: int | None
    shm_bytes: int | None
    oom_kills: int | None  # processes of the lab killed for memory since its start, PID 1 or child
    own_torch: str = ""  # the version that the person installed over the image's torch; "" while it is the image's own


@dataclass(frozen=True, slots=True)
class Difference:
    """A limit that was asked for and is not what was found. `where` is "engine" or "inside"."""

    what: str
    where: str
    asked: str
    found: str


@dataclass(frozen=True, slots=True)
class Verification:
    """The limits as read back: `found` for the lab page, `differences` end the lab."""

    found: Mapping[str, str]
    differences: Sequence[Difference]
    not_held: Sequence[str] = ()  # limits that this runtime cannot enforce here, in words


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a node's health: is a promise of ours kept on this host?"""

    name: str
    state: str  # green, yellow or red
    words: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class RuntimeInfo:
    """What the engine says of itself and of the host."""

    kind: str  # docker, process, fake
    version: str
    cpus: int
    memory_mib: int
    isolates: bool  # does it keep people apart?
    gpu_ready: bool  # can it hand a GPU to a lab?
    checks: Sequence[Check]
    root: str = ""  # the folder where the engine keeps labs and workspaces, as this host sees it
    architecture: str = "amd64"  # of its processor, as registries name it
    versions: Mapping[str, str] = field(default_factory=dict)  # of what keeps labs apart: docker-engine, runc


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """An image as the node holds it."""

    digest: str  # "sha256:…": a registry's digest when `pulled`, else the engine's own image id
    pulled: bool
    labels: Mapping[str, str]  # gpulab.torch, gpulab.cuda, gpulab.python where the image tells
    architecture: str = ""  # of the processor that it is made for
    size: int = 0  # bytes on the disk; 0 where nobody counts
    layers: int = 0
    made_at: str = ""  # ISO 8601, as its maker says


#: What a job's lab is handed: the program that runs it, its plan, and the file that lets it begin.
JOB_PROGRAM, JOB_PLAN, JOB_GO = "job.py", "job.json", "go"


def job_plan(spec: LabSpec, *, workspace: str, given: str, path: str = "", environment: Mapping[str, str] | None = None) -> str:
    """The plan of its job as the lab reads it (job.py); `workspace` and `given` are folders as the lab sees them."""
    plan = {"command": list(spec.command), "folder": spec.folder, "output": spec.output, "workspace": workspace, "go": f"{given}/{JOB_GO}"}
    return json.dumps(plan | {"path": path, "environment": dict(environment or {})})


#: Where a lab's programs find what they are told; the environment names the file.
NOTICE_VARIABLE = "GPULAB_NOTICE"


@dataclass(frozen=True, slots=True)
class Notice:
    """What the programs of a lab are told: a stable code, the words that its owner reads, and the moment in ISO 8601 (UTC)."""

    code: str
    words: str
    at: str

    def text(self) -> str:
        """The file's content."""
        return json.dumps({"code": self.code, "words": self.words, "at": self.at}) + "\n"


#: percent 0..100, words ("downloading torch, 120 of 200 MB")
Progress = Callable[[int, str], None]


class Runtime(Makes, VolumeVerbs, Protocol):
    """The verbs. All raise RuntimeFault; none blocks longer than its own documented deadline."""

    kind: str

    def info(self) -> RuntimeInfo:
        """Versions, size and health of the engine. At most 10 s."""
        ...

    def observe(self) -> list[Observed]:
        """Everything that bears our label for this node, running or not, in one engine call."""
        ...

    def start(self, spec: LabSpec) -> Observed:
        """Create and start; a container of that name is left as it is and observed."""
        ...

    def stop(self, name: str, grace_s: float) -> None:
        """SIGTERM, wait at most grace_s, SIGKILL, remove. Returns when the engine confirms it is gone."""
        ...

    def verify(self, spec: LabSpec) -> Verification:
        """Read every limit back, from the engine and from inside."""
        ...

    def job_begin(self, name: str) -> None:
        """Let the job that waits in it begin: its limits were read back. Nothing where there is none."""
        ...

    def usage(self, name: str) -> Usage | None:
        """CPU, memory and shm now; None when it is gone."""
        ...

    def logs(self, name: str, tail: int) -> str:
        """The last `tail` lines, stdout and stderr together; empty when it is gone."""
        ...

    def processes(self, name: str) -> list[int]:
        """Host pids of the lab's processes; maps NVML's pids to labs."""
        ...

    def tell(self, name: str, notice: Notice | None) -> int:
        """Put the notice into the file that GPULAB_NOTICE names (None: take it away) and send SIGUSR1 to the lab's programs that catch it.

        To those alone: the signal's default action ends a program. How many were sent it; 0 when the lab is gone.
        """
        ...

    def device_shut(self, name: str) -> str:
        """The device of its GPUs that a running lab can no longer open; empty when all is well, it has none, or is gone."""
        ...

    def image_inspect(self, image: str) -> ImageFacts | None:
        """What the node holds under that reference; None when it does not. A lab is placed only where it is held."""
        ...

    def image_prepare(self, image: str, progress: Progress, *, fresh: bool = False, layers: Layers | None = None) -> None:
        """Load, pull, build or install it; `fresh`: build all of it anew. Long; calls `progress` (and `layers` before it, in a pull); what that raises ends it.

        Raises RuntimeFault with words.
        """
        ...

    def image_digest_now(self, image: str) -> str:
        """The digest that the registry has under this tag now; empty where no registry is asked for it."""
        ...

    def image_look(self, image: str, script: str, within_s: int) -> str:
        """What a program says that runs in the image, apart from everything else; RuntimeFault where the image cannot run it."""
        ...

    def image_remove(self, image: str) -> bool:
        """Free its space on the node; False where something is made of it still, or where images are no matter of this runtime."""
        ...

    def run_inside(self, name: str, script: str, arguments: Sequence[str], within_s: int) -> tuple[int, str]:
        """Run a program in a lab, as its user and in its limits: exit code and what it said. RuntimeFault when the lab is gone."""
        ...

    def networks_prune(self, keep: set[str]) -> list[str]:
        """Remove people's networks of ours that are not in `keep` and have no container; the names removed."""
        ...
