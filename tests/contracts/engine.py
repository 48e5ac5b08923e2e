"""Fixtures for tests against the real engine, and ways into a lab that a person would use."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.conftest import need
from tests.contracts.specs import RANGE, Maker
from worker.runtimes.base import LabSpec, Observed
from worker.runtimes.docker.runtime import DockerRuntime

NODE = "contract"
IMAGES = Path(__file__).resolve().parents[2] / "images"


@pytest.fixture(scope="session")
def engine_address() -> str:
    """The private engine's socket."""
    return need("GPULAB_TEST_DOCKER", "a container engine (tests/engine/engine.sh up)")


@pytest.fixture(scope="session")
def engine_image() -> str:
    """The lab image in it."""
    return need("GPULAB_TEST_IMAGE", "a lab image (tests/engine/engine.sh image)")


@pytest.fixture(scope="session")
def api(engine_address: str) -> Iterator[Any]:
    """The engine's API as a bystander sees it."""
    client = docker.APIClient(base_url=engine_address, version="auto", timeout=60)
    yield client
    client.close()


@pytest.fixture(scope="session")
def runtime(engine_address: str, tmp_path_factory: pytest.TempPathFactory) -> DockerRuntime:
    """The driver under test."""
    state = tmp_path_factory.mktemp("state")
    return DockerRuntime(node_id=NODE, state_dir=state, network_range=RANGE, images_dir=IMAGES, address=engine_address)


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The private key of a gateway; its public half beside it."""
    key = tmp_path_factory.mktemp("gateway") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    return key


@pytest.fixture
def make_spec(runtime: DockerRuntime, api: Any, engine_image: str, gateway: Path) -> Iterator[Maker]:
    """Specs of this image; whatever ran of them is removed afterwards."""
    maker = Maker(image=engine_image, node_id=NODE, gateway_key=gateway.with_suffix(".pub").read_text())
    yield maker
    tidy(runtime, api, maker)


def tidy(runtime: DockerRuntime, api: Any, maker: Maker) -> None:
    """Remove the containers, volumes and networks of what a maker made."""
    for spec in maker.made:
        runtime.stop(spec.name, 0)
    for name in {spec.workspace for spec in maker.made}:
        try:
            api.remove_volume(name)
        except docker.errors.APIError:  # never made, or another spec's
            continue
    for network in {spec.network.name for spec in maker.made if spec.network}:
        try:
            api.remove_network(network)
        except docker.errors.APIError:
            continue


def ssh(seen: Observed, key: Path, command: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the lab by OpenSSH's own client, which hands on no language but the lab's own."""
    assert seen.ssh is not None
    host, port = seen.ssh
    quiet = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes"]
    own = {name: value for name, value in os.environ.items() if not name.startswith("LC_")} | {"LANG": "C.UTF-8"}
    line = ["ssh", "-i", str(key), "-p", str(port), *quiet, *options, f"lab@{host}", command]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False, env=own)


def inside(api: Any, spec: LabSpec, *command: str) -> tuple[int, str]:
    """Run a command in the lab by the engine; its exit code and output."""
    made = api.exec_create(spec.name, list(command))
    output = api.exec_start(made["Id"]).decode(errors="replace")
    return api.exec_inspect(made["Id"])["ExitCode"], output
