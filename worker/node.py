"""This process's hands: which runtime and which probe this node has, chosen once at the start and said in words."""

import logging
import ssl
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import redis
from django.conf import settings
from django.db import Error, connection

from labs.bus.doorbell import node_queue, ring
from labs.bus.redis import client
from labs.catalogue.services import image_ensure, images_seed
from labs.enrolment.services import front_files
from labs.fleet.queries import DISK_CHECK, driver_of
from labs.fleet.services import node_open, node_report, node_unknown
from labs.notices.services import notice_queue_admins
from labs.turns.queries import database_now
from worker.beside import copies_folder, models_checks
from worker.clock import HouseClock, boot_s
from worker.disks import at_rest_check, disk_checks, limits_check
from worker.hands import Hands
from worker.loops import alone, images, moving, quotas, snapshots, starters
from worker.probes.choose import probe_choose
from worker.probes.kernel_log import KernelLog
from worker.probes.none import NoProbe
from worker.quotas.linux import ProjectQuotas
from worker.runtimes.base import Check, Runtime, RuntimeFault, RuntimeInfo
from worker.runtimes.choose import choose
from worker.runtimes.docker.client import Engine, faults
from worker.runtimes.docker.places import VolumePlaces
from worker.runtimes.docker.runtime import DockerRuntime
from worker.runtimes.places import Places
from worker.runtimes.process.environment import TORCH
from worker.runtimes.process.places import FolderPlaces
from worker.runtimes.process.runtime import ProcessRuntime
from worker.versions import version_checks
from worker.watchdog import Watchdog

log = logging.getLogger(__name__)


@cache
def hands() -> Hands:
    """The node's hands, made at the first call."""
    kind, why = choose(settings.RUNTIME, docker_answers)
    realm = node_open(node_id=settings.NODE_ID).realm
    runtime = docker(realm) if kind == "docker" else process(realm)
    probe, probe_words = probe_choose(settings.PROBE, simulated=settings.SIMULATED_GPUS, node_id=settings.NODE_ID)
    words = f"{kind}: {why}"
    log.info("runtime %s", words)
    (settings.GPULAB_HOME / "runtime.txt").write_text(words + "\n")
    return Hands(
        node_id=settings.NODE_ID,
        runtime=runtime,
        probe=probe,
        runtime_words=words,
        probe_words=probe_words,
        isolates=kind == "docker",
        clock=clock().now,
        booted_at=booted_at(clock().now, boot_s),
        kernel_xids=KernelLog().xids,
        keep=lambda limits: alone.Kept(kind, realm, limits).write(_kept_at()),
    )


def _kept_at() -> Path:
    return settings.GPULAB_HOME / "limits.json"


def record_await(*, every_s: float = 2.0) -> None:
    """Return when the record answers. Until then end the labs whose time is up, by what an earlier worker on this node kept."""
    held: Hands | None = None
    while not _record_answers():
        if held is None and (kept := alone.kept_read(_kept_at())):
            log.warning("the record does not answer: the time limits of %d labs are kept meanwhile", len(kept.limits))
            runtime = docker(kept.realm) if kept.runtime == "docker" else process(kept.realm)
            held = Hands(node_id=settings.NODE_ID, runtime=runtime, probe=NoProbe(), limits=dict(kept.limits))
        if held:
            alone.tick(hands=held, now=held.clock())
        time.sleep(every_s)


def _record_answers() -> bool:
    try:
        database_now()
    except Error as error:
        log.warning("the record does not answer: %s", error)
        connection.close()
        return False
    return True


@cache
def clock() -> HouseClock:
    """This process's view of the house's clock."""
    return HouseClock(database_now)


def booted_at(now: Callable[[], datetime], since_boot_s: Callable[[], float]) -> Callable[[], datetime]:
    """When this host booted, by the house's clock."""
    return lambda: now() - timedelta(seconds=since_boot_s())


@cache
def watchdog() -> Watchdog:
    """Ends this process when it is rung and does not hear."""
    return Watchdog(send=lambda: ring("worker.pulse", queue=node_queue(settings.NODE_ID)), broker_answers=_broker_answers)


def _broker_answers() -> bool:
    try:
        return bool(client().ping())
    except redis.RedisError:
        return False


def docker(realm: str) -> DockerRuntime:
    """The Docker driver for this node; it sees only what bears the realm."""
    return DockerRuntime(
        node_id=realm,
        state_dir=settings.GPULAB_HOME / "run",
        network_range=str(settings.NETWORK_RANGE),
        images_dir=settings.BASE_DIR / "images",
        mirror=settings.REGISTRY_MIRROR,
        tars=settings.IMAGE_FILES,
        credentials=Path(settings.REGISTRY_CREDENTIALS) if settings.REGISTRY_CREDENTIALS else None,
    )


@cache
def places(kind: str, realm: str) -> Places:
    """Where this node's workspaces are."""
    return VolumePlaces(realm) if kind == "docker" else FolderPlaces(settings.GPULAB_HOME / "workspaces")


@cache
def carrier() -> moving.Carrier:
    """What this worker carries workspaces to and from other nodes with."""
    held = hands()
    return moving.Carrier(hands=held, places=places(held.runtime.kind, node_open(node_id=held.node_id).realm), tls=_tls)


@cache
def keeper() -> snapshots.Keeper:
    """What this worker makes snapshots with."""
    held = hands()
    return snapshots.Keeper(hands=held, places=places(held.runtime.kind, node_open(node_id=held.node_id).realm))


@cache
def limits() -> quotas.Limits:
    """What this worker keeps the limits of workspaces with."""
    held = hands()
    return quotas.Limits(hands=held, places=places(held.runtime.kind, node_open(node_id=held.node_id).realm), quotas=ProjectQuotas())


def _tls() -> ssl.SSLContext:
    """As the house's front shows itself to the relays of nodes."""
    cert, key, authority = front_files(folder=settings.GPULAB_HOME / "relay", now=clock().now())
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(authority))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(str(cert), str(key))
    return context


def process(realm: str) -> Runtime:
    """The process driver for this node; it sees only what bears the realm."""
    return ProcessRuntime(home=settings.GPULAB_HOME, envs=settings.ENVS_FOLDER, node_id=realm)


def docker_answers() -> str:
    """The engine's version; RuntimeFault where none answers."""
    engine = Engine(deadline_s=3)
    with faults("The container engine does not answer"):
        return str(engine.api.version()["Version"])


def report() -> None:
    """A sign of life, with versions, size and health of engine and host."""
    held = hands()
    try:
        info = held.runtime.info()
    except RuntimeFault as fault:
        log.warning("the engine does not answer: %s", fault.words)
        node_unknown(node_id=held.node_id, now=held.clock())
        return
    places = {"labs and workspaces": Path(info.root or settings.GPULAB_HOME), "records and logs": settings.GPULAB_HOME, **settings.DISKS}
    versions = version_checks(runtime=info.versions, driver=driver_of(node_id=held.node_id))
    lies = _workspaces(info)
    at_rest, encrypts = at_rest_check(_kept(info))
    folders = [*disk_checks(places), at_rest, limits_check(ProjectQuotas(), lies), *models_checks(isolates=info.isolates)]
    found = [*info.checks, *versions, *folders, *_clock_checks()]
    checks = [{"name": check.name, "state": check.state, "words": check.words, "fix": check.fix} for check in found]
    _disks_tell(held, found)
    node_report(
        node_id=held.node_id,
        now=held.clock(),
        runtime=held.runtime.kind,
        runtime_words=held.runtime_words,
        isolates=info.isolates,
        gpu_ready=info.gpu_ready,
        engine_version=info.version,
        cpus=info.cpus,
        memory_mib=info.memory_mib,
        checks=checks,
        encrypts=encrypts,
    )


def _workspaces(info: RuntimeInfo) -> Path:
    """The folder that this node's workspaces lie in."""
    return Path(info.root) / "volumes" if info.kind == "docker" and info.root else settings.GPULAB_HOME / "workspaces"


def _kept(info: RuntimeInfo) -> dict[str, Path | None]:
    """Where what people keep lies on this node; None where the engine does not say it."""
    workspaces = None if info.kind == "docker" and not info.root else _workspaces(info)
    return {"workspaces": workspaces, "snapshots": settings.SNAPSHOTS, "copies of data sets": copies_folder()}


def _disks_tell(held: Hands, checks: Sequence[Check]) -> None:
    """Tell administrators of a full disk, once a day."""
    now = held.clock()
    for check in checks:
        if check.name.startswith(DISK_CHECK) and check.state == "red":
            key, subject = f"{check.name}:{held.node_id}:{now:%F}", f"A disk of node {held.node_id} is full"
            notice_queue_admins(kind="disk", subject=subject, words=f"{check.words}\n\n{check.fix}", now=now, url="/manage/nodes/", key=key)


def _clock_checks() -> list[Check]:
    """A line when the database's clock has jumped under this worker."""
    jump = clock().jump
    if not jump:
        return []
    words = f"The database's clock jumped by {jump}; times of labs go on as before."
    return [Check("clock", "yellow", words, "Set the database host's clock right; or, if it is right now, restart the workers.")]


def image_bring() -> None:
    """Add the image that comes with this runtime to the catalogue and prepare it while the portal serves already."""
    held = hands()
    if settings.JOINED:  # the house has its images already, and asks for those that are wanted here
        return
    starters.ship(now=held.clock())
    if held.runtime.kind == "process":
        image = image_ensure(
            runtime="process",
            reference=f"torch:{TORCH}",
            title=f"PyTorch {TORCH} on this machine",
            description="Python environment of this machine with JupyterLab and PyTorch. For trying out: it does not isolate people from each other.",
            now=held.clock(),
        )
    else:
        image = image_ensure(
            runtime="docker",
            reference=settings.LAB_IMAGE,
            title=f"PyTorch {settings.LAB_IMAGE.rpartition(':')[2]}",
            description="PyTorch with CUDA, JupyterLab, SSH, TensorBoard and the usual scientific packages.",
            now=held.clock(),
        )
        images_seed(now=held.clock())
    held.once(images.pool, f"image:{image.pk}", lambda: images.prepare(hands=held, image_id=image.pk))
