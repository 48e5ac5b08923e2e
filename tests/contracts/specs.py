"""Makes the specs of the contract tests: a fresh lab, person and network each time."""

import itertools
import secrets
from typing import Any

from worker.runtimes.base import LabSpec, Network

RANGE = "10.215.0.0/16"
_slots = itertools.count()


def slot_network(slot: int) -> Network:
    """The slot's /28 in the tests' range."""
    return Network(f"gpulab-test-{slot}", f"10.215.{slot // 16}.{slot % 16 * 16}/28")


class Maker:
    """`make_spec(**changes)`; remembers what it made, so that a fixture can tidy up."""

    def __init__(self, *, image: str, node_id: str, **always: Any) -> None:
        self._always = {"image": image, "node_id": node_id} | always
        self.made: list[LabSpec] = []

    def __call__(self, **changes: Any) -> LabSpec:
        slot = next(_slots)
        mark = secrets.token_hex(4)
        values: dict[str, Any] = {
            "lab_id": f"t{mark}",
            "attempt": 1,
            "image_digest": "sha256:" + "ab" * 32,
            "uid": 20100 + slot,
            "gid": 20100 + slot,
            "username": "lab",
            "gpu_uuids": (),
            "cpus": 1.5,
            "memory_mib": 1024,
            "shm_mib": 256,
            "pids": 300,
            "workspace": f"gpulab-test-ws-{mark}",
            "shared_data": "",
            "token": secrets.token_hex(32),
            "base_url": f"/l/t{mark}/",
            "gateway_key": "",
            "network": slot_network(slot),
        }
        spec = LabSpec(**(values | self._always | changes))
        self.made.append(spec)
        return spec
