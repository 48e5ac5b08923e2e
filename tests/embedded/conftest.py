"""One environment with torch for all tests of the process runtime: built once, kept where the run keeps its caches."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from worker.runtimes.base import LabSpec
from worker.runtimes.process.environment import TORCH, environment_build, environment_of
from worker.runtimes.process.runtime import ProcessRuntime

TOKEN = "token-of-the-tests-0123456789abcdefghijklmnop"
IMAGE = f"torch:{TORCH}"


@pytest.fixture(scope="session")
def envs() -> Path:
    """Where environments live; the torch one is ready."""
    cache = os.environ.get("GPULAB_CI_CACHE") or os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache/gpulab-tests")
    root = Path(os.environ.get("GPULAB_ENVS") or f"{cache}/envs")
    environment_build(environment_of(root, IMAGE), lambda _percent, _words: None)
    return root


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The gateway's private key; the public one lies beside it."""
    path = tmp_path_factory.mktemp("gateway") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@pytest.fixture
def runtime(tmp_path: Path, envs: Path) -> Iterator[ProcessRuntime]:
    """A runtime with a home of its own; whatever a test leaves running is ended."""
    made = ProcessRuntime(home=tmp_path / "home", envs=envs, node_id="local")
    yield made
    for lab in made.observe():
        made.stop(lab.name, 2.0)


@pytest.fixture
def spec_of(gateway: Path) -> Callable[..., LabSpec]:
    """A spec of alice's; every field can be said otherwise."""

    def make(**other: object) -> LabSpec:
        lab_id = str(other.pop("lab_id", "abcdefghijkl"))
        fields: dict[str, object] = {
            "lab_id": lab_id,
            "attempt": 1,
            "node_id": "local",
            "image": IMAGE,
            "image_digest": "",
            "uid": 20001,
            "gid": 20001,
            "username": "lab",
            "gpu_uuids": (),
            "cpus": 1.5,
            "memory_mib": 1024,
            "shm_mib": 256,
            "pids": 200,
            "workspace": "gpulab-ws-1",
            "shared_data": "",
            "token": TOKEN,
            "base_url": f"/l/{lab_id}/",
            "gateway_key": gateway.with_suffix(".pub").read_text(),
            "network": None,
        }
        return LabSpec(**{**fields, **other})  # type: ignore[arg-type]

    return make
