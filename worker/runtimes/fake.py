"""A runtime in memory, for tests: it keeps every promise of base.py, or fails on purpose in a variant named for it."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from worker.runtimes.base import (
    Check,
    ImageFacts,
    LabSpec,
    Measured,
    Notice,
    Observed,
    Progress,
    RuntimeFault,
    RuntimeInfo,
    Usage,
    Verification,
)
from worker.runtimes.folders import folder_found
from worker.runtimes.makes import Hear, Layer, Layers, Saved, Saving
from worker.runtimes.mounts import Mount, Room

#: Nothing listens there: a lab at this address is never ready.
SILENT = ("127.0.0.1", 1)
#: Every fake image is this one.
DIGEST = f"sha256:{'0' * 64}"
#: 128 and SIGKILL.
KILLED = 137


class _Answer(BaseHTTPRequestHandler):
    """Answers as a ready Jupyter does to `/api`, for every lab."""

    def do_GET(self) -> None:
        body = b'{"version": "2.20.0"}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the library's name)
        """Say nothing: a test's output is its own."""


@cache
def answering() -> tuple[str, int]:
    """The address of a small server of this process that answers like a ready Jupyter."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="fake-jupyter", daemon=True).start()
    return "127.0.0.1", server.server_port


class FakeRuntime:
    """Labs as entries of a dictionary. `specs` holds what was asked, by lab id; `exits` ends one from outside."""

    kind = "fake"

    def __init__(self, *, images: set[str] | None = None, node_id: str = "local") -> None:
        self.node_id = node_id
        self.images = images
        self.specs: dict[str, LabSpec] = {}
        self.starts: list[str] = []
        self.sizes: dict[str, Measured] = {}
        self.files: dict[tuple[str, str], dict[str, str]] = {}
        self.networks: set[str] = set()
        self.told: list[tuple[str, Notice | None]] = []
        self.shut: dict[str, str] = {}
        self.rooms: dict[str, Room] = {}
        self.begun: list[str] = []
        self.saved: list[Saving] = []
        self.registry: dict[str, str] = {}
        self.look = "{}"
        self.answers: tuple[int, str] = (0, "{}")
        self._labs: dict[str, tuple[LabSpec, Observed]] = {}
        self._lock = threading.Lock()

    def info(self) -> RuntimeInfo:
        """A node of 64 CPUs and 512 GiB, in good health."""
        checks = [Check("engine", "green", "The engine is in memory.")]
        return RuntimeInfo("fake", "1.0", 64, 512 * 1024, isolates=True, gpu_ready=True, checks=checks)

    def observe(self) -> list[Observed]:
        """Every lab of this node, running or not."""
        with self._lock:
            return [seen for spec, seen in self._labs.values() if spec.node_id == self.node_id]

    def start(self, spec: LabSpec) -> Observed:
        """Begin; one of that name is left as it is."""
        if self.image_inspect(spec.image) is None:
            raise RuntimeFault("The image is not on this node.", detail=spec.image)
        with self._lock:
            if spec.name not in self._labs:
                self.starts.append(spec.name)
                self.specs[spec.lab_id] = spec
                self.sizes.setdefault(spec.workspace, Measured(0, 0))
                if spec.network:
                    self.networks.add(spec.network.name)
                self._labs[spec.name] = (spec, self._begun(spec))
            return self._labs[spec.name][1]

    def _begun(self, spec: LabSpec) -> Observed:
        network = spec.network.name if spec.network else ""
        jupyter = self._jupyter()
        return Observed(spec.name, spec.lab_id, spec.attempt, running=True, jupyter=jupyter, ssh=SILENT, network=network, gpu_uuids=spec.gpu_uuids)

    def _jupyter(self) -> tuple[str, int]:
        return answering()

    def stop(self, name: str, grace_s: float) -> None:
        """It is gone when this returns."""
        with self._lock:
            self._labs.pop(name, None)

    def exits(self, name: str, *, code: int = 1, oom: bool = False, detail: str = "") -> None:
        """The main process ends by itself: what an engine would show from now on."""
        with self._lock:
            spec, seen = self._labs[name]
            main = oom and code == KILLED
            ended = replace(seen, running=False, exit_code=code, oom_killed=main, oom_child=oom and not main, detail=detail, jupyter=None, ssh=None)
            self._labs[name] = (spec, ended)

    def verify(self, spec: LabSpec) -> Verification:
        """Everything is as it was asked."""
        if spec.name not in {one.name for one in self.observe() if one.running}:
            raise RuntimeFault("The lab is not running.", detail=spec.name)
        gpus = ",".join(spec.gpu_uuids) or "none"
        found = {"memory": f"{spec.memory_mib} MiB", "shm": f"{spec.shm_mib} MiB", "pids": str(spec.pids), "gpus": gpus}
        return Verification(found=found, differences=())

    def job_begin(self, name: str) -> None:
        """Remembered in `begun`."""
        self.begun.append(name)

    def usage(self, name: str) -> Usage | None:
        """An idle lab's use."""
        known = {one.name for one in self.observe() if one.running}
        return Usage(10**9, 60 * 1024**2, 0, 0) if name in known else None

    def logs(self, name: str, tail: int) -> str:
        """Three lines, or nothing when it is gone."""
        with self._lock:
            lines = ["jupyter starts", "extensions loaded", "jupyter is ready"] if name in self._labs else []
        return "\n".join(lines[-tail:]) if tail > 0 else ""

    def processes(self, name: str) -> list[int]:
        """No process of the host belongs to a fake lab."""
        return []

    def tell(self, name: str, notice: Notice | None) -> int:
        """Remembered in `told`; no program runs in a fake lab."""
        self.told.append((name, notice))
        return 0

    def device_shut(self, name: str) -> str:
        """What `shut` says."""
        return self.shut.get(name, "")

    def image_inspect(self, image: str) -> ImageFacts | None:
        """Held when `images` names it, or by the id of those; with no `images` given, everything is held."""
        if self.images is not None and image not in self.images and not (image == DIGEST and self.images):
            return None
        labels = {"gpulab.torch": "2.9.1", "gpulab.cuda": "12.8", "gpulab.python": "3.11"}
        return ImageFacts(digest=DIGEST, pulled=False, labels=labels)

    def image_prepare(self, image: str, progress: Progress, *, fresh: bool = False, layers: Layers | None = None) -> None:
        """Half, then all; of one layer."""
        if layers:
            layers([Layer("a1b2", 5, 10)])
        progress(50, "half of it")
        if self.images is not None:
            self.images.add(image)
        progress(100, "done")

    def image_digest_now(self, image: str) -> str:
        """What `registry` says."""
        return self.registry.get(image, "")

    def image_look(self, image: str, script: str, within_s: int) -> str:
        """What `look` says: at first, nothing."""
        return self.look

    def image_remove(self, image: str) -> bool:
        """Not while a lab is made of it."""
        with self._lock:
            if self.images is None or any(spec.image == image for spec, _ in self._labs.values()):
                return False
        self.images.discard(image)
        return True

    def run_inside(self, name: str, script: str, arguments: Sequence[str], within_s: int) -> tuple[int, str]:
        """What `answers` says."""
        if name not in self._labs:
            raise RuntimeFault("The lab is gone.", detail=name)
        return self.answers

    def run_heard(self, name: str, script: str, arguments: Sequence[str], hear: Hear) -> int:
        """What `answers` says."""
        code, said = self.run_inside(name, script, arguments, 0)
        hear(said)
        return code

    def overlay_folder(self, image_digest: str) -> str:
        """Any."""
        return "/workspace/.gpulab/env/fake"

    def image_save(self, saving: Saving, progress: Progress) -> Saved:
        """A layer of 10 MiB; its lab must run."""
        if saving.lab not in self._labs:
            raise RuntimeFault("The lab is gone.", detail=saving.lab)
        progress(50, "Packing")
        self.saved.append(saving)
        return self._made(saving.key, 10 * 1024**2)

    def image_build(self, key: str, dockerfile: str, hear: Hear) -> Saved:
        """Says its first line."""
        hear(dockerfile.splitlines()[0])
        return self._made(key, 1024**2)

    def _made(self, key: str, more: int) -> Saved:
        digest = f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"
        if self.images is not None:
            self.images.add(digest)
        return Saved("gpulab/made", key, digest, False, 1024**3, 1024**3 + more)

    def networks_prune(self, keep: set[str]) -> list[str]:
        """Those that nobody keeps and no lab uses."""
        with self._lock:
            used = {seen.network for _, seen in self._labs.values()}
            gone = sorted(self.networks - keep - used)
            self.networks -= set(gone)
        return gone

    def data_opened(self, mount: Mount, image: str) -> AbstractContextManager[str]:
        """Folders of this machine; nothing else."""
        return nullcontext(str(folder_found(mount.source)))

    def scratch_prune(self) -> None:
        """A fake lab leaves nothing behind."""

    def workspaces(self) -> list[str]:
        """Every one that a lab was started with, or that a test put into `sizes`."""
        return list(self.sizes)

    def workspace_files(self, name: str, folder: str, most: int) -> dict[str, str]:
        """What `files` says."""
        return dict(list(self.files.get((name, folder), {}).items())[:most])

    def room_tell(self, name: str, room: Room) -> None:
        """Kept in `rooms`."""
        self.rooms[name] = room

    def workspace_measure(self, name: str, deadline_s: float) -> Measured | None:
        """What `sizes` says."""
        return self.sizes.get(name)


class SlowRuntime(FakeRuntime):
    """Starting waits until `go` is called, as on an engine under load."""

    def __init__(self, *, wait: Callable[[], object] | None = None, node_id: str = "local") -> None:
        super().__init__(node_id=node_id)
        self._going = threading.Event()
        self._wait = wait or (lambda: self._going.wait(30))

    def go(self) -> None:
        """Let every start go on."""
        self._going.set()

    def start(self, spec: LabSpec) -> Observed:
        """Begin, later."""
        self._wait()
        return super().start(spec)


class NeverReadyRuntime(FakeRuntime):
    """Containers run and Jupyter in them never answers."""

    def _jupyter(self) -> tuple[str, int]:
        return SILENT


class RefusingRuntime(FakeRuntime):
    """The engine refuses every start; `transient` says whether trying again could help."""

    def __init__(self, *, transient: bool = False, words: str = "The engine refused to start the lab.", node_id: str = "local") -> None:
        super().__init__(node_id=node_id)
        self.transient = transient
        self.words = words

    def start(self, spec: LabSpec) -> Observed:
        """Refused."""
        raise RuntimeFault(self.words, detail="refused on purpose", transient=self.transient)
