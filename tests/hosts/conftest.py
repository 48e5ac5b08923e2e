"""Two hosts on one machine: a house on the first, and a second one that joins it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.world import entered, inside, world_made
from tests.hosts.second import Second, second_host, urls_for_nodes


@pytest.fixture(scope="module")
def hosts_up() -> Iterator[Second]:
    """The house, and a second host that has joined and is heard."""
    if os.geteuid() != 0:
        message = "needs root: networks, engines and a database of its own"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    with Path("/proc/self/ns/net").open("rb") as home, world_made(**urls_for_nodes()) as world, entered(home), second_host(world) as second:
        yield second


@pytest.fixture
def second(hosts_up: Second) -> Iterator[Second]:
    """That host, from inside the house's network."""
    with inside(hosts_up.world.namespace):
        yield hosts_up
