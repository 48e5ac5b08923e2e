"""What the engine and this host promise labs, as lines of the node's health."""

import contextlib
import ipaddress
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import requests
from docker.errors import DockerException

from worker.runtimes.base import LABEL, LABEL_NODE, Check, RuntimeFault
from worker.runtimes.docker import firewall, probe
from worker.runtimes.docker.gpu import engine_takes_gpus

log = logging.getLogger(__name__)
PROBE_EVERY_S = 300
GPU_EVERY_S = 300
JUPYTER = 8888


class Health:
    """Checks of one node. A probe is made every five minutes, and every time while its answer is bad."""

    def __init__(self, *, node_id: str, network_range: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._node_id = node_id
        self._network_range = network_range
        self._clock = clock
        self._lock = threading.Lock()
        self._probed_at: float | None = None
        self._reached: list[str] | None = None
        self._gpu_at: float | None = None
        self._gpu: bool | None = None

    def firewall(self, api: Any) -> Check:
        """Set the rules again and say whether they hold: red when they do not."""
        try:
            firewall.apply()
        except firewall.FirewallFault as fault:
            fix = "Run the worker as root with iptables installed, or give its container NET_ADMIN and the host's network."
            return Check("firewall", "red", f"Labs may reach this host and private networks: {fault}.", fix)
        reached = self.probe(api)
        if reached:
            words = f"From inside a lab these answered and must not: {', '.join(reached)}."
            return Check("firewall", "red", words, "Look for rules above ours: iptables -S DOCKER-USER; iptables -S INPUT.")
        words = "Labs reach the internet, and nothing of this host, of private networks or of other people."
        return Check("firewall", "green", words if reached is not None else f"{words} Not tried yet: no lab image is here.")

    def probe(self, api: Any, *, now: bool = False) -> list[str] | None:
        """What a lab reaches and must not; None while there was none to try from."""
        with self._lock:
            kept = self._probed_at is not None and self._clock() - self._probed_at < PROBE_EVERY_S
            if kept and not self._reached and not now:
                return self._reached
            try:
                self._probe(api)
            except (DockerException, requests.exceptions.RequestException, RuntimeFault) as error:
                log.info("the probe from inside a lab gave no answer: %s", error)  # it ended meanwhile
            return self._reached

    def _probe(self, api: Any) -> None:
        filters = {"label": [LABEL, f"{LABEL_NODE}={self._node_id}"], "status": "running"}
        labs = [(one["Id"], _address(one)) for one in api.containers(filters=filters)]
        with contextlib.ExitStack() as held:
            if labs:
                chosen: str | None = labs[0][0]
            else:
                chosen = held.enter_context(probe.stand_in(api, self._network_range, self._node_id))
            if chosen is None:
                return
            others = [(address, JUPYTER) for _, address in labs[1:] if address]
            self._reached = probe.forbidden_reached(api, chosen, others[:3])
            self._probed_at = self._clock()

    def takes_gpus(self, api: Any) -> bool:
        """Can the engine hand out cards? Tried with a container that does nothing, and kept for five minutes."""
        with self._lock:
            if self._gpu_at is None or self._clock() - self._gpu_at >= GPU_EVERY_S:
                self._gpu = engine_takes_gpus(api)
                self._gpu_at = self._clock() if self._gpu is not None else None
            return bool(self._gpu)

    def gpus(self, api: Any) -> Check:
        """A line about the engine's GPU support; yellow, since a lab without a GPU runs all the same."""
        if self.takes_gpus(api):
            return Check("gpu", "green", "The engine hands GPUs to containers.")
        if self._gpu is None:
            return Check("gpu", "yellow", "Not tried yet: no lab image is here.")
        fix = "Install the NVIDIA driver and the NVIDIA Container Toolkit, then restart the engine."
        return Check("gpu", "yellow", "The engine cannot hand GPUs to containers.", fix)


def _address(row: dict[str, Any]) -> str:
    networks = (row.get("NetworkSettings") or {}).get("Networks") or {}
    for network in networks.values():
        try:
            return str(ipaddress.IPv4Address(network.get("IPAddress", "")))
        except ValueError:
            continue
    return ""
