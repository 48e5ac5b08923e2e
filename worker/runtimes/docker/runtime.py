"""The Docker driver: the verbs of base.py, each a few calls of the engine."""

import contextlib
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from worker.runtimes.base import (
    LABEL,
    LABEL_NODE,
    Check,
    LabSpec,
    Notice,
    Observed,
    RuntimeFault,
    RuntimeInfo,
    Usage,
    Verification,
)
from worker.runtimes.docker.cgroup import Cgroup
from worker.runtimes.docker.client import HTTP_CONFLICT, APIError, Engine, NotFound, faults
from worker.runtimes.docker.create import container_config, container_desk, container_job, spec_check
from worker.runtimes.docker.devices import device_shut
from worker.runtimes.docker.handover import Handover
from worker.runtimes.docker.health import Health
from worker.runtimes.docker.image_verbs import ImageVerbs
from worker.runtimes.docker.images import Images, architecture_of
from worker.runtimes.docker.inside import inside
from worker.runtimes.docker.models import Models
from worker.runtimes.docker.mounts import mounts_ensure, scratch_name, scratch_remove
from worker.runtimes.docker.names import Sources
from worker.runtimes.docker.network import network_ensure, networks_prune
from worker.runtimes.docker.observe import from_inspect, from_list
from worker.runtimes.docker.servers import Servers
from worker.runtimes.docker.tell import catchers_signal
from worker.runtimes.docker.usage import usage_of
from worker.runtimes.docker.verify import compare, engine_readings
from worker.runtimes.docker.volume_verbs import VolumeVerbs
from worker.runtimes.docker.volumes import Sizes, workspace_ensure

MIB = 1024 * 1024
#: After the kill, how long the engine may take to let a container go.
GONE_S = 10.0
#: Between two looks at a container that was asked to end.
LOOK_S = 0.1


class DockerRuntime(ImageVerbs, VolumeVerbs):
    """Labs as containers of one engine.

    `state_dir`: a folder of this worker's for the files that containers are handed; the engine must see it under the
    same path. `network_range`: the range that people's networks must lie in. `images_dir`: Dockerfiles of our own
    images, `sources`: the rest of where images come from. `address`: the engine's socket; without it DOCKER_HOST, else
    the default socket.
    """

    kind = "docker"

    def __init__(self, *, node_id: str, state_dir: Path, network_range: str, images_dir: Path, address: str | None = None, **sources: Any) -> None:
        self.node_id = node_id
        self._engine = Engine(address=address)
        self._handover = Handover(Path(state_dir).resolve() / "containers")
        self._network_range = network_range
        self._images = Images(self._engine, Sources(images_dir, **sources))
        self._health = Health(node_id=node_id, network_range=network_range)
        self._sizes = Sizes()
        self._models, self._servers = Models(), Servers()
        self._ended: dict[str, Observed] = {}
        self._pids: dict[str, int] = {}
        self._lock = threading.Lock()

    def info(self) -> RuntimeInfo:
        """Versions, size and health. Sets the firewall's rules again, so that a flush of them does not last."""
        with faults("The container engine does not answer"):
            said = self._engine.api.info()
            parts = {one["Name"].lower(): one["Version"] for one in self._engine.api.version().get("Components", ())}
            gpu = self._health.gpus(self._engine.api)
            wall = self._health.firewall(self._engine.api)
        engine = Check("engine", "green", f"Docker {said['ServerVersion']} answers.")
        return RuntimeInfo(
            kind=self.kind,
            version=said["ServerVersion"],
            cpus=said["NCPU"],
            memory_mib=said["MemTotal"] // MIB,
            isolates=True,
            gpu_ready=gpu.state == "green",
            checks=[engine, gpu, wall],
            root=said.get("DockerRootDir", ""),
            architecture=architecture_of(said["Architecture"]),
            versions={"docker-engine": said["ServerVersion"], "runc": parts.get("runc", "")},
        )

    def observe(self) -> list[Observed]:
        """One list call; of containers that ended, each is inspected once."""
        filters = {"label": [LABEL, f"{LABEL_NODE}={self.node_id}"]}
        with faults("The containers could not be listed"):
            rows = self._engine.api.containers(all=True, filters=filters)
        with self._lock:
            self._ended = {key: self._ended[key] for key in self._ended if key in {row["Id"] for row in rows}}
        return [seen for row in rows if (seen := self._seen(row))]

    def _seen(self, row: dict[str, Any]) -> Observed | None:
        listed = from_list(row)
        if listed.running or listed.exit_code is None:
            return listed
        if row["Id"] not in self._ended:
            try:
                with faults("The container could not be looked up"):
                    found = self._engine.api.inspect_container(row["Id"])
            except RuntimeFault as fault:
                if isinstance(fault.__cause__, NotFound):
                    return None
                raise
            self._ended[row["Id"]] = from_inspect(found)
        return self._ended[row["Id"]]

    def start(self, spec: LabSpec) -> Observed:
        """Create and start; a container of that name is left as it is, or started if it never was."""
        spec_check(spec, self._network_range)
        with self._handover.alone(spec.name):
            return self._start(spec)

    def _start(self, spec: LabSpec) -> Observed:
        api = self._engine.api
        found = self._inspect(spec.name)
        if found and found["State"]["Status"] != "created":
            return from_inspect(found)
        made = str(found["Id"]) if found else self._create(api, spec)
        try:
            with faults("The engine refused to start the lab"):
                api.start(made)
                return from_inspect(api.inspect_container(made))
        except RuntimeFault as fault:
            self._discard(made)  # half made: the next try begins anew. By its id: a slow engine may come to it when the next one bears the name
            if self._models.refused(spec, fault) or self._servers.refused(spec, fault):
                return self._start(spec)
            raise

    def _create(self, api: Any, spec: LabSpec) -> str:
        """Its id; its name where somebody else just made it."""
        spec = self._servers.given(self._models.given(api, spec))
        given = self._handover.write(spec, container_job(spec) if spec.command else "", container_desk(spec) if spec.desk else "")
        workspace_ensure(api, spec)
        mounts_ensure(api, spec)
        if spec.network:
            network_ensure(api, spec.network, self.node_id)
        with faults("The engine refused to make the lab"):
            try:
                body = container_config(replace(spec, image=self._images.held_as(spec.image)), given)
                return str(api.create_container_from_config(body, spec.name)["Id"])
            except APIError as error:
                if error.status_code != HTTP_CONFLICT:
                    raise
                return spec.name

    def _inspect(self, name: str) -> dict[str, Any] | None:
        with faults("The container could not be looked up"):
            try:
                found: dict[str, Any] = self._engine.api.inspect_container(name)
            except NotFound:
                return None
            return found

    def stop(self, name: str, grace_s: float) -> None:
        """Returns when the engine confirms that it is gone. At most grace_s and 20 s; an engine that hangs holds it up for 10 s."""
        with faults("The lab could not be stopped"):
            with contextlib.suppress(NotFound):
                self._terminate(name, grace_s)
            self._discard(name)
            self._until_gone(name)
            scratch_remove(self._engine.api, scratch_name(name))
        self._handover.remove(name)
        self._pids.pop(name, None)

    def _terminate(self, name: str, grace_s: float) -> None:
        """Ask it to end and look until it has. In short calls: the engine's own stop is one that waits as long as the grace."""
        if grace_s <= 0:
            return
        try:
            self._engine.api.kill(name, signal="SIGTERM")
        except APIError as error:
            if error.status_code != HTTP_CONFLICT:  # it does not run any more
                raise
        until = time.monotonic() + grace_s
        while time.monotonic() < until:
            found = self._inspect(name)
            if found is None or not found["State"]["Running"]:
                return
            time.sleep(LOOK_S)

    def _discard(self, name: str) -> None:
        with faults("The container could not be removed"):
            try:
                self._engine.api.remove_container(name, force=True)
            except NotFound:
                pass
            except APIError as error:
                if error.status_code != HTTP_CONFLICT:  # its removal is under way
                    raise

    def _until_gone(self, name: str) -> None:
        until = time.monotonic() + GONE_S
        while self._inspect(name) is not None:
            if time.monotonic() > until:
                raise RuntimeFault("The engine does not let the container go.", detail=name)
            time.sleep(0.1)

    def verify(self, spec: LabSpec) -> Verification:
        """Every limit, from the engine and from inside. RuntimeFault when the lab does not run."""
        found = self._inspect(spec.name)
        if found is None or not found["State"]["Running"]:
            raise RuntimeFault("The lab ended while its limits were read back.", detail=spec.name)
        readings = inside(self._engine.api, found["Id"], found["State"]["Pid"])
        engine = engine_readings(found)
        given, locked = self._models.not_held(spec, engine["folders"])
        given, absent = self._servers.not_held(given, engine["folders"])
        return replace(compare(given, engine, readings), not_held=locked + absent)

    def job_begin(self, name: str) -> None:
        """By a file among those that the lab was handed."""
        self._handover.go(name)

    def usage(self, name: str) -> Usage | None:
        """CPU, memory, shm and kills for memory, now."""
        pid = self._pid(name)
        if pid is None:
            return None
        try:
            return usage_of(self._engine.api, name, pid)
        except RuntimeFault:
            if self._pid(name, fresh=True) is None:
                return None
            raise

    def _pid(self, name: str, *, fresh: bool = False) -> int | None:
        """The container's first process; looked up once a container, and again when it is not there any more."""
        pid = None if fresh else self._pids.get(name)
        if pid is not None and Path(f"/proc/{pid}").exists():
            return pid
        found = self._inspect(name)
        if found is None or not found["State"]["Running"]:
            self._pids.pop(name, None)
            return None
        self._pids[name] = found["State"]["Pid"]
        return self._pids[name]

    def logs(self, name: str, tail: int) -> str:
        """The last lines of stdout and stderr."""
        if tail <= 0:
            return ""
        with faults("The log could not be read"):
            try:
                text: bytes = self._engine.api.logs(name, stdout=True, stderr=True, tail=tail)
            except APIError as error:
                if isinstance(error, NotFound) or error.status_code == HTTP_CONFLICT:  # gone, or half removed: what removes it must go on
                    return ""
                raise
        return text.decode(errors="replace")

    def processes(self, name: str) -> list[int]:
        """Pids as this host numbers them."""
        pid = self._pid(name)
        if pid is None:
            return []
        try:
            return Cgroup(pid).pids()
        except (OSError, KeyError):
            return self._processes_by_engine(name)

    def _processes_by_engine(self, name: str) -> list[int]:
        with faults("The processes could not be listed"):
            try:
                table = self._engine.api.top(name)
            except (NotFound, APIError):  # gone, or not running any more
                return []
        column = table["Titles"].index("PID")
        return [int(row[column]) for row in table["Processes"]]

    def tell(self, name: str, notice: Notice | None) -> int:
        """By a file among those that the lab was handed, and by a signal from inside."""
        if not self._handover.notice(name, notice.text() if notice else ""):
            return 0
        return catchers_signal(self._engine.api, name)

    def device_shut(self, name: str) -> str:
        """Tried from inside."""
        return device_shut(self._engine.api, name)

    def firewall_probe(self) -> list[str] | None:
        """What a lab reaches and must not, tried now; None without a lab or a lab image to try from."""
        with faults("The probe could not be made"):
            return self._health.probe(self._engine.api, now=True)

    def networks_prune(self, keep: set[str]) -> list[str]:
        """Remove unused networks of people who are not in `keep`."""
        return networks_prune(self._engine.api, self.node_id, keep)
