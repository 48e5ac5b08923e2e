"""Persons, a node with two cards and an image: the cast of every test."""

import contextlib
import itertools
import logging
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.core.cache import cache
from django.utils import timezone

from labs.catalogue.models import Image
from labs.fleet.models import Gpu, Node, NodeImage
from labs.lifecycle.models import Lab
from labs.lifecycle.services import Wish, lab_request
from labs.people.models import Group, Membership, User
from labs.people.services import group_create, person_create
from labs.policy.models import RoleLimits

PASSWORD = "correct-horse-battery-9"
# It tells every address that a test asks for, tickets in them too: here it stands for a browser, which is no part of the house.
logging.getLogger("httpx").setLevel(logging.WARNING)


@pytest.fixture
def now() -> datetime:
    """A moment; services take the clock as an argument."""
    return timezone.now().astimezone(UTC)


def _person(name: str, role: str, now: datetime) -> User:
    for each, values in settings.DEFAULTS["roles"].items():  # a flush after a test with transactions takes them away
        RoleLimits.objects.get_or_create(role=each, defaults=values)
    return person_create(email=f"{name}@example.edu", display_name=name.capitalize(), role=role, group=None, actor=None, now=now, password=PASSWORD)


@pytest.fixture
def root_admin(db: None, now: datetime) -> User:
    """An administrator."""
    return _person("root", "administrator", now)


@pytest.fixture
def team(root_admin: User, now: datetime) -> Group:
    """The team of alice and bob."""
    house = group_create(kind="organisation", name="University", slug="university", parent=None, actor=root_admin, now=now)
    return group_create(kind="team", name="Vision", slug="vision", parent=house, actor=root_admin, now=now)


@pytest.fixture
def alice(team: Group, now: datetime) -> User:
    """A researcher."""
    user = _person("alice", "researcher", now)
    Membership.objects.create(user=user, group=team)
    return user


@pytest.fixture
def bob(team: Group, now: datetime) -> User:
    """A student of alice's team."""
    user = _person("bob", "student", now)
    Membership.objects.create(user=user, group=team)
    return user


@pytest.fixture
def charlie(db: None, now: datetime) -> User:
    """A stranger to alice and bob."""
    return _person("charlie", "researcher", now)


@pytest.fixture
def image(db: None, now: datetime) -> Image:
    """An image that the fake runtime holds."""
    return Image.objects.create(
        slug="pytorch",
        title="PyTorch 2.9",
        runtime="docker",
        repository="gpulab/pytorch-cuda",
        tag="test",
        torch="2.9.1",
        cuda="12.8",
        python="3.11",
        created_at=now,
    )


@pytest.fixture
def node(image: Image, now: datetime) -> Node:
    """A ready node with two cards that holds the image."""
    made = Node.objects.create(
        pk="n1",
        name="n1",
        runtime="docker",
        cpus=64,
        memory_mib=512 * 1024,
        heartbeat_at=now,
        gpu_ready=True,
        probe_kind="nvml",
        driver="580.65.06",
        cuda="13.0",
    )
    for index in range(2):
        Gpu.objects.create(uuid=f"GPU-0000000{index}-test", node=made, index=index, model="NVIDIA H200", memory_mib=143771, compute_capability="9.0")
    NodeImage.objects.create(node=made, image=image, state="present", percent=100, updated_at=now)
    return made


@pytest.fixture
def lab_of(image: Image, node: Node, now: datetime) -> Callable[..., Lab]:
    """Ask for a lab: `lab_of(alice, gpus=1)`. Each is asked for a little later than the one before."""
    moments = itertools.count()

    def ask(owner: User, **wish: object) -> Lab:
        full = {"image_id": image.pk, "gpus": 0, "cpus": 2, "memory_gib": 4, "hours": 2} | wish
        return lab_request(owner=owner, wish=Wish(**full), now=now + timedelta(milliseconds=next(moments)), actor=owner)  # type: ignore[arg-type]

    return ask


@pytest.fixture
def redis_url() -> str:
    """A real Redis, or a failure in CI and a skip that says so elsewhere."""
    return need("GPULAB_TEST_REDIS_URL", "a Redis server")


def need(variable: str, what: str) -> str:
    """The variable that names a real service. In CI nothing may be left out."""
    value = os.environ.get(variable, "")
    if not value:
        message = f"needs {what}: set {variable}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return value


@pytest.fixture(autouse=True)
def _fresh_cache() -> Iterator[None]:
    """Rate limits and presence of one test are not those of the next."""
    with contextlib.suppress(Exception):  # a stopped Redis is what some tests are about
        cache.clear()
    yield
