"""Do the firewall's rules hold? Asked from inside a lab, where it counts; with none running, from a stand-in for one."""

import contextlib
import ipaddress
import json
import socket
from collections.abc import Iterator, Sequence
from typing import Any

from worker.runtimes.base import Network, RuntimeFault
from worker.runtimes.docker.bounds import NOBODY, host_bounded
from worker.runtimes.docker.client import NotFound
from worker.runtimes.docker.heard import said
from worker.runtimes.docker.network import network_ensure

METADATA = ("169.254.169.254", 80)
#: Runs in the lab, as its user; prints the addresses that took a connection.
SCRIPT = """
import json, socket, sys, threading
reached = []
def attempt(host, port):
    try:
        socket.create_connection((host, port), timeout=2).close()
        reached.append(f"{host}:{port}")
    except OSError:
        pass
threads = [threading.Thread(target=attempt, args=target) for target in json.loads(sys.argv[1])]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
print(json.dumps(reached))
"""


def reached_from(api: Any, container: str, targets: Sequence[tuple[str, int]]) -> list[str]:
    """Those of the targets ("address:port") that the lab can connect to, by its own word. RuntimeFault when that is none."""
    made = api.exec_create(container, ["python3", "-I", "-c", SCRIPT, json.dumps(targets)], stderr=False)
    try:
        told = json.loads(said(api, made["Id"]).decode(errors="replace").strip() or "[]")
    except (ValueError, RecursionError) as error:
        raise RuntimeFault("What the lab said of the probe makes no sense.") from error
    return [one for one in (f"{host}:{port}" for host, port in targets) if isinstance(told, list) and one in told]


def forbidden_reached(api: Any, container: str, others: Sequence[tuple[str, int]]) -> list[str]:
    """What the lab reaches and must not: the metadata address, a service of this host, other people's labs (`others`)."""
    found = api.inspect_container(container)
    networks = found["NetworkSettings"]["Networks"].values()
    gateways = [network["Gateway"] for network in networks if network.get("Gateway")]
    with contextlib.ExitStack() as held:
        listeners = [target for gateway in gateways for target in held.enter_context(_listener(gateway))]
        return reached_from(api, container, [METADATA, *listeners, *others])


@contextlib.contextmanager
def _listener(address: str) -> Iterator[list[tuple[str, int]]]:
    """A service of this host for the moment of the probe; none where this worker has a network of its own."""
    with socket.socket() as server:
        try:
            server.bind((address, 0))
        except OSError:
            yield []
            return
        server.listen()
        yield [(address, server.getsockname()[1])]


@contextlib.contextmanager
def stand_in(api: Any, network_range: str, node_id: str) -> Iterator[str | None]:
    """A container like a lab's, on the range's last network, for the moment of a probe; None without a lab image here."""
    images = api.images(filters={"label": "gpulab.torch"})
    if not images:
        yield None
        return
    network = Network(f"gpulab-probe-{node_id}", last_subnet(network_range))
    network_ensure(api, network, node_id)
    body = {"Image": images[0]["Id"], "User": NOBODY, "Entrypoint": ["/bin/sleep", "60"], "HostConfig": host_bounded(NetworkMode=network.name)}
    made = api.create_container_from_config(body)["Id"]
    try:
        api.start(made)
        yield made
    finally:
        with contextlib.suppress(NotFound):
            api.remove_container(made, force=True)
        with contextlib.suppress(NotFound):
            api.remove_network(network.name)


def last_subnet(network_range: str) -> str:
    """The range's last /28: people are given theirs from its beginning."""
    whole = ipaddress.IPv4Network(network_range)
    return f"{ipaddress.IPv4Address(int(whole.broadcast_address) - 15)}/28"
