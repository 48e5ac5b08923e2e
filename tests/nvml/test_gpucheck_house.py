"""`make gpu-check` with a running house: `make up`'s own command, the process runtime, real labs, and libraries that stand in for the driver's."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.embedded.conftest import envs  # noqa: F401  (fixture)
from tests.nvml.conftest import HERE, ROOT, library_make
from tests.support.ports import port_base_free
from tests.support.product import House, house_environment
from tests.support.waiting import wait_for
from worker.runtimes.process.environment import TORCH, Environment
from worker.runtimes.process.view import can_unshare

#: The driver's word in /proc, and one folder at the place of another, seen by what is started after it.
LOADED = """
set -e
mount -t tmpfs none /proc/driver && mkdir /proc/driver/nvidia && echo "NVRM version: 580.65.06" > /proc/driver/nvidia/version
mount --bind "$1" "$2" && shift 2 && exec "$@"
"""
pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]  # a house of its own; test_gpucheck.py is the short form
CARDS = [
    f"gpu GPU-{n}1111111-2222-3333-4444-555555555555 name=NVIDIA_H200 total=143771 used=4 reserved=614 util=0 temp=31 power=76000 pci=00000000:{n}B:00.0"
    for n in (1, 2)
]


@pytest.fixture(scope="module")
def driver() -> Iterator[Path]:
    """The folder of the two libraries; not below /tmp, where a lab has its own. Labs write there what they hold."""
    folder = Path(tempfile.mkdtemp(prefix="gpulab-driver-", dir="/var/tmp"))
    folder.chmod(0o755)
    (folder / "state.txt").write_text("\n".join(CARDS) + "\n")
    (folder / "state.txt.held").mkdir()
    (folder / "state.txt.held").chmod(0o777)
    library_make(folder / "libnvidia-ml.so.1", HERE / "stand_in.c")
    library_make(folder / "libcuda.so.1", HERE / "stand_in_cuda.c")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def house(driver: Path, envs: Path) -> Iterator[House]:
    """It sees the kernel's word of a driver, in a mount namespace of its own; its labs have the CPU build under the name of the CUDA build."""
    if not can_unshare():
        pytest.skip("needs root, with mount namespaces")
    home = Path(tempfile.mkdtemp(prefix="gpulab-house-", dir="/var/tmp"))
    home.chmod(0o755)
    cuda, cpu = (Environment(root, TORCH, cuda=cuda).path for root, cuda in ((home / "envs", True), (envs, False)))
    cuda.mkdir(parents=True)
    port = port_base_free()
    own = {"GPULAB_RUNTIME": "process", "GPULAB_ENVS": str(cuda.parent), "GPULAB_NODE": f"g{port}", "LD_LIBRARY_PATH": str(driver)}
    made = House(home, port, dict(house_environment(home, port, **own)), before=("unshare", "--mount", "sh", "-c", LOADED, "sh", str(cpu), str(cuda)))
    made.start()
    try:
        made.people_make()
        with made.api("alice") as client:
            wait_for(lambda: client.get("/images").json()["items"][0]["ready"], within=600, what="the environment of labs")
            wait_for(lambda: len(client.get("/gpus").json()["items"]) == len(CARDS), within=60, what="the cards")
        yield made
    finally:
        made.stop()
        shutil.rmtree(home)


def _check(house: House, driver: Path, report: Path, token: str) -> tuple[int, str, dict[str, Any]]:
    command = [sys.executable, "-m", "worker.gpucheck", "--house", house.url, "--mib", "512", "--json", str(report)]
    environment = os.environ | {"LD_LIBRARY_PATH": str(driver), "GPULAB_TOKEN": token}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)
    return done.returncode, done.stdout + done.stderr, {one["name"]: one for one in json.loads(report.read_text())["checks"]}


def test_labs_of_a_house_get_cards_one_after_the_other_and_see_no_other(house: House, driver: Path, tmp_path: Path) -> None:
    status, said, found = _check(house, driver, tmp_path / "report.json", house.tokens["alice"])
    assert status == 0, said
    assert {one["state"] for one in found.values()} == {"passed"}, said
    assert "2 cards, real, well and free" in found["the house's cards"]["words"]
    assert found["one card after the other"]["figures"]["gpu_pct"] == 100
    with house.api("alice") as client:
        assert {lab["state"] for lab in client.get("/labs").json()["items"]} == {"stopped"}


def test_a_token_that_is_not_good_is_told_and_nothing_is_launched(house: House, driver: Path, tmp_path: Path) -> None:
    status, said, found = _check(house, driver, tmp_path / "report.json", "gpa_nobody")
    assert (status, found["the house's cards"]["state"]) == (1, "failed"), said
    assert "refuses /gpus" in said
