"""One network a person, with the subnet that the platform gives it: the engine's own pools end at about 30."""

import hashlib
import threading
from typing import Any

from docker.types import IPAMConfig, IPAMPool

from worker.runtimes.base import LABEL_NODE, Network, RuntimeFault
from worker.runtimes.docker.client import APIError, NotFound, faults

#: Every bridge of ours begins so: a handful of firewall rules then holds for all of them.
BRIDGE_PREFIX = "gpl"
HTTP_FORBIDDEN = 403
_making = threading.Lock()


def bridge_name(network: Network) -> str:
    """The bridge's name on the host, at most 15 characters."""
    key = f"{network.name} {network.subnet}".encode()
    return BRIDGE_PREFIX + hashlib.sha256(key).hexdigest()[:12]


def network_ensure(api: Any, network: Network, node_id: str) -> None:
    """Make the person's network; one of that name with another subnet is made anew when nobody is on it."""
    with _making, faults("The person's network could not be made"):
        try:
            found = api.inspect_network(network.name)
        except NotFound:
            _create(api, network, node_id)
            return
        if network.subnet not in {one.get("Subnet") for one in found["IPAM"]["Config"] or []}:
            if found.get("Containers"):
                raise RuntimeFault(f"The network {network.name} is in use with another range.", transient=True)
            api.remove_network(found["Id"])
            _create(api, network, node_id)


def _create(api: Any, network: Network, node_id: str) -> None:
    api.create_network(
        network.name,
        driver="bridge",
        ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=network.subnet)]),
        options={"com.docker.network.bridge.name": bridge_name(network), "com.docker.network.bridge.enable_icc": "false"},
        labels={LABEL_NODE: node_id},
        check_duplicate=True,
    )


def networks_prune(api: Any, node_id: str, keep: set[str]) -> list[str]:
    """Remove our networks that are neither kept nor in use; the names removed."""
    with faults("The networks could not be tidied up"):
        ours = api.networks(filters={"label": f"{LABEL_NODE}={node_id}", "driver": "bridge"})
        return [one["Name"] for one in ours if one["Name"] not in keep and _removed(api, one["Id"])]


def _removed(api: Any, network_id: str) -> bool:
    try:
        api.remove_network(network_id)
    except NotFound:
        return True
    except APIError as error:
        if error.status_code == HTTP_FORBIDDEN:  # a container is on it
            return False
        raise
    return True
