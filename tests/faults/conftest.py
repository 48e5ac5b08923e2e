"""A node on the real engine with tiny labs, for workers that are killed, doubled, paused and lied to."""

import os
import secrets
from collections.abc import Callable, Iterator
from datetime import datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import docker
import pytest
from django.db import connection

from labs.bus import doorbell
from labs.catalogue.models import Image
from labs.fleet.models import Gpu, Node, NodeImage
from labs.lifecycle.models import Lab, Lease
from labs.lifecycle.services import lab_request
from labs.lifecycle.wishes import Wish
from labs.people.models import User
from tests.conftest import need
from tests.faults.hands import AtOnce, House
from tests.faults.second import urls_for_nodes
from tests.faults.tiny import REPOSITORY, tiny_images
from tests.faults.world import World, entered, inside, world_made
from worker.loops import reconcile

#: Each run has a range of its own, so that what a killed one left behind is in nobody's way.
RANGE = IPv4Network(f"10.216.{os.getpid() % 16 * 16}.0/20")


@pytest.fixture(scope="package")
def world_up() -> Iterator[World]:
    """One whole house for all tests that take parts of it away."""
    if os.geteuid() != 0:
        message = "needs root: a network, an engine and a database of its own"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    with Path("/proc/self/ns/net").open("rb") as home, world_made(**urls_for_nodes()) as made, entered(home):
        yield made


@pytest.fixture
def world(world_up: World) -> Iterator[World]:
    """That house, from inside its network."""
    with inside(world_up.namespace):
        yield world_up


@pytest.fixture(scope="session")
def engine_address() -> str:
    """The tests' private engine."""
    return need("GPULAB_TEST_DOCKER", "a container engine (tests/engine/engine.sh up)")


@pytest.fixture(scope="session")
def engine(engine_address: str) -> Iterator[Any]:
    """Its API as a bystander has it, with the tiny labs on it."""
    api = docker.APIClient(base_url=engine_address, version="auto", timeout=30)
    tiny_images(api)
    yield api
    api.close()


@pytest.fixture
def on_postgres() -> None:
    """Workers are processes: they share a server, not a file."""
    need("GPULAB_TEST_DATABASE_URL", "PostgreSQL")
    assert connection.vendor == "postgresql"


@pytest.fixture
def house(
    on_postgres: None, engine: Any, engine_address: str, node: Node, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: datetime
) -> Iterator[House]:
    """A node with four cards, the tiny labs, and no message that is ever delivered: the loops alone must do."""
    monkeypatch.setattr(reconcile, "pool", AtOnce())
    monkeypatch.setattr(doorbell, "_send", lambda *_: None)
    settings.NETWORK_RANGE = RANGE
    for index in (2, 3):
        Gpu.objects.create(uuid=f"GPU-0000000{index}-test", node=node, index=index, model="NVIDIA H200", memory_mib=143771, compute_capability="9.0")
    for tag in ("ok", "exits", "silent"):
        image = Image.objects.create(slug=f"tiny-{tag}", title=f"Tiny, {tag}", runtime="docker", repository=REPOSITORY, tag=tag, created_at=now)
        NodeImage.objects.create(node=node, image=image, state="present", percent=100, updated_at=now)
    made = House(node, engine_address, tmp_path, str(RANGE))
    yield made
    made.end()
    _tidy(engine, node.realm)


def _tidy(api: Any, realm: str) -> None:
    ours = {"label": f"gpulab.node={realm}"}
    for container in api.containers(all=True, filters=ours):
        api.remove_container(container["Id"], force=True)
    for network in api.networks(filters=ours):
        api.remove_network(network["Id"])
    for volume in api.volumes(filters=ours)["Volumes"] or []:
        api.remove_volume(volume["Name"], force=True)


@pytest.fixture
def ask(house: House, now: datetime) -> Callable[..., str]:
    """`ask(alice, gpus=1, tag="ok")`: the id of a lab that waits."""

    def request(owner: User, *, tag: str = "ok", key: str = "", **wish: Any) -> str:
        image = Image.objects.get(tag=tag, repository=REPOSITORY)
        full = {"image_id": image.pk, "gpus": 1, "cpus": 1, "memory_gib": 1, "shm_gib": 1, "hours": 1, "name": f"lab-{secrets.token_hex(4)}"} | wish
        return lab_request(owner=owner, wish=Wish(**full), now=now, actor=owner, idempotency_key=key).pk

    return request


@pytest.fixture
def clean(house: House, engine: Any) -> Callable[..., None]:
    """`clean(running={id, …})`: these labs have one container and their cards each; nothing else has any."""

    def check(*, running: set[str] = frozenset()) -> None:  # type: ignore[assignment]
        rows = engine.containers(all=True, filters={"label": f"gpulab.node={house.node.realm}"})
        names = sorted(row["Names"][0].lstrip("/") for row in rows)
        labs = Lab.objects.filter(pk__in=running)
        assert names == sorted(f"gpulab-{lab.pk}-{lab.attempt}" for lab in labs), f"containers {names}"
        assert {lab.state for lab in labs} <= {"running"}
        held = [lease.lab_id for lease in Lease.objects.filter(closed_at=None)]
        assert sorted(held) == sorted(lab.pk for lab in labs for _ in range(lab.gpus)), f"leases {held}"
        assert not Lab.objects.filter(state__in=("starting", "stopping")).exists()

    return check
