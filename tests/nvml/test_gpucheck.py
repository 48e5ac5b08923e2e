"""`make gpu-check` from end to end, over C libraries that stand in for the driver's two and a stand-in of nvidia-smi."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.nvml.conftest import HERE, ROOT, library_make
from worker.gpucheck.by_torch import needs_of
from worker.gpucheck.smi import differences, number
from worker.probes.base import GpuReading
from worker.runtimes.process.plan import libraries_of

ONE = "GPU-11111111-2222-3333-4444-555555555555"
TWO = "GPU-99999999-2222-3333-4444-555555555555"
CARD = "gpu {uuid} name=NVIDIA_H200 total=143771 used={used} reserved=614 util=0 temp=31 power=76000 pci=00000000:3B:00.0"
QUIET = CARD.format(uuid=ONE, used=4)
TORCH = """#!/bin/sh
case "$*" in
  *get_arch_list*) echo '{"torch": "2.11.0+cu130", "cuda": "13.0", "archs": ["sm_80", "sm_90", "compute_120"]}' ;;
  *qualify.py*) echo "a library's warning"; echo '{"passed": %s, "checks": {"matmul": {"passed": %s, "words": "bf16 700 TFLOP/s"}}}' ;;
  *) echo 'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1048576.00 GiB.' >&2; exit 1 ;;
esac
"""


@dataclass
class Host:
    """A host with the stand-ins; `says` sets the driver's state."""

    folder: Path

    @property
    def state(self) -> Path:
        return self.folder / "state.txt"

    def says(self, *lines: str) -> None:
        self.state.write_text("\n".join(lines) + "\n")

    def torch(self, *, passes: bool) -> Path:
        file = self.folder / f"python-{passes}"
        file.write_text(TORCH.replace("%s", str(passes).lower()))
        file.chmod(0o755)
        return file

    def check(self, *arguments: str, **extra: str) -> tuple[int, str, dict[str, Any]]:
        """Run it: exit status, what it said, and each check's outcome by name."""
        report = self.folder / "report.json"
        path = f"{self.folder}:{os.environ['PATH']}"
        environment = os.environ | {"LD_LIBRARY_PATH": str(self.folder), "NVML_STATE": str(self.state), "PATH": path, "GPULAB_ENVS": str(self.folder / "envs")}
        command = [sys.executable, "-m", "worker.gpucheck", "--readings", "20", "--mib", "512", "--json", str(report), *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment | extra, capture_output=True, text=True, timeout=120, check=False)
        assert not done.stderr, done.stderr
        whole = json.loads(report.read_text())
        return done.returncode, done.stdout, {one["name"]: one for one in whole["checks"]} | {"whole": whole}


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("driver")
    library_make(folder / "libnvidia-ml.so.1", HERE / "stand_in.c")
    library_make(folder / "libcuda.so.1", HERE / "stand_in_cuda.c")
    return folder


@pytest.fixture
def host(libraries: Path, tmp_path: Path) -> Host:
    for library in libraries.iterdir():
        (tmp_path / library.name).symlink_to(library)
    smi = tmp_path / "nvidia-smi"
    smi.write_text(f'#!/bin/sh\nexec {sys.executable} {HERE / "smi.py"} "$@"\n')
    smi.chmod(0o755)
    return Host(tmp_path)


def test_a_host_on_which_all_holds_passes_and_says_what_was_seen(host: Host) -> None:
    host.says(QUIET)
    status, said, found = host.check("--python", str(host.torch(passes=True)))
    left_out = {name for name, one in found.items() if one.get("state") == "left out"}
    assert (status, left_out - {"no errors meanwhile"}) == (0, set()), said
    assert "agree on 1 card" in found["nvidia-smi agrees"]["words"]
    assert found["a program on the card"]["figures"]["gpu_pct"] == 100
    assert "named by its process id" in found["a program on the card"]["words"]
    assert "144283 MiB were refused (CUDA_ERROR_OUT_OF_MEMORY" in found["more memory than there is"]["words"]
    assert "as it should" in found["torch and the driver"]["words"]
    assert "700 TFLOP/s" in found["the trial of images"]["words"]
    assert (found["whole"]["driver"], found["whole"]["cards"][0]["model"]) == ("580.65.06", "NVIDIA H200")


def test_what_does_not_hold_fails_alone_and_the_rest_is_tried(host: Host) -> None:
    host.says(f"{QUIET} ecc=3 xid=1:48")
    status, said, found = host.check("--python", str(host.torch(passes=False)), "--clean-within", "0.5", CUDA_LEAK=f"{os.getpid()}:300")
    failed = {name for name, one in found.items() if one.get("state") == "failed"}
    assert status == 1, said
    assert failed == {"the cards are well", "a program on the card", "more memory than there is", "the trial of images", "no errors meanwhile"}
    assert "3 errors of its memory" in found["the cards are well"]["words"]
    assert "is not clean" in found["a program on the card"]["words"]
    assert "Xid 48" in found["no errors meanwhile"]["words"]


def test_a_card_that_somebody_uses_is_left_alone_and_the_next_one_tried(host: Host) -> None:
    host.says(f"{QUIET} proc={os.getpid()}:100", CARD.format(uuid=TWO, used=0))
    _, said, found = host.check()
    assert found["which cards a program sees, GPU 1"]["state"] == "passed", said
    assert "is on it, of no lab" in found["computing, GPU 0"]["words"]
    assert not (host.folder / "state.txt.held" / str(os.getpid())).exists()
    assert "No CUDA build of torch" in found["computing"]["words"]
    assert host.check("--card", "0")[2]["computing"]["state"] == "left out"
    assert "There is no card 7" in host.check("--card", "7")[2]["computing"]["words"]


def test_a_python_without_a_cuda_build_is_told_and_not_tried_further(host: Host) -> None:
    host.says(QUIET)
    python = host.torch(passes=True)
    python.write_text(python.read_text().replace('"13.0"', '""'))
    status, said, found = host.check("--python", str(python))
    assert (status, found["torch and the driver"]["state"]) == (0, "left out"), said
    assert "the trial of images" not in found
    assert "Nothing that was tried speaks against" in said


def test_cuda_that_cannot_be_used_is_told_by_its_name(host: Host) -> None:
    """As on a host with NVLink whose fabric manager does not run: NVML is well, and nothing computes."""
    host.says(QUIET)
    status, _, found = host.check(CUDA_FAIL="802")
    assert status == 1
    assert "CUDA_ERROR_SYSTEM_NOT_READY" in found["which cards a program sees"]["words"]


@pytest.mark.parametrize(("state", "words"), [("driver fail=9", "No NVIDIA driver"), ("driver fail=18", "Restart the host")])
def test_without_a_driver_that_answers_nothing_more_is_tried(host: Host, state: str, words: str) -> None:
    host.says(state)
    status, said, found = host.check()
    assert status == 1
    assert words in found["the driver"]["words"]
    assert set(found) == {"the driver", "whole"}, said


@pytest.mark.parametrize(("token", "state", "words"), [("", "left out", "GPULAB_TOKEN"), ("gpa_one", "failed", "does not answer /gpus")])
def test_a_house_that_cannot_be_entered_is_told(host: Host, token: str, state: str, words: str) -> None:
    host.says(QUIET)
    _, said, found = host.check("--house", "http://127.0.0.1:9", GPULAB_TOKEN=token)
    last = list(found.values())[-2]
    assert (last["state"], words in last["words"]) == (state, True), said


def _reading(**other: Any) -> GpuReading:
    known = {"memory_total_mib": 143771, "memory_used_mib": 4, "temperature_c": 31, "power_w": 76.0, "power_limit_w": 700.0, "ecc_errors": 0}
    return GpuReading(**({"uuid": ONE, "index": 0, "model": "NVIDIA H200", "compute_capability": "9.0", "pci": "0000:3b:00"} | known | other))


ROW = {
    "name": "NVIDIA H200",
    "pci.bus_id": "00000000:3B:00.0",
    "memory.total": "143771",
    "memory.used": "0",
    "temperature.gpu": "33",
    "power.draw": "80.11",
    "enforced.power.limit": "700.00",
    "ecc.errors.uncorrected.volatile.total": "0",
    "compute_cap": "9.0",
    "mig.mode.current": "Disabled",
}


def test_a_reading_that_moved_a_little_agrees() -> None:
    assert differences(_reading(), ROW) == []


@pytest.mark.parametrize(
    ("other", "field"),
    [
        ({"memory_used_mib": 618}, "memory.used"),
        ({"ecc_errors": None}, "ecc.errors"),
        ({"model": "NVIDIA H100"}, "name"),
        ({"pci": "0000:5e:00"}, "pci.bus_id"),
        ({"mig": True}, "mig.mode"),
        ({"power_limit_w": 600.0}, "enforced.power.limit"),
    ],
)
def test_a_reading_that_differs_is_told_with_both_values(other: dict[str, Any], field: str) -> None:
    (words,) = differences(_reading(**other), ROW)
    assert field in words


def test_what_a_card_does_not_have_is_nothing_for_both() -> None:
    assert number("[N/A]") is None
    assert differences(_reading(ecc_errors=None), ROW | {"ecc.errors.uncorrected.volatile.total": "[N/A]"}) == []


@pytest.mark.parametrize(
    ("archs", "sass", "ptx"),
    [(["sm_75", "sm_90a", "sm_120", "compute_120"], ("7.5", "9.0", "12.0"), "12.0"), (["sm_50"], ("5.0",), ""), ([], (), "")],
)
def test_what_torch_says_of_its_build_is_put_as_the_catalogue_keeps_it(archs: list[str], sass: tuple[str, ...], ptx: str) -> None:
    needs = needs_of({"cuda": "13.0", "archs": archs})
    assert (needs.sass, needs.ptx) == (sass, ptx)


def test_a_lab_that_is_a_process_finds_the_drivers_libraries_where_its_worker_does() -> None:
    assert libraries_of({"LD_LIBRARY_PATH": "/usr/local/nvidia/lib64", "GPULAB_SECRET_KEY": "secret"}) == {"LD_LIBRARY_PATH": "/usr/local/nvidia/lib64"}
    assert libraries_of({"LD_LIBRARY_PATH": ""}) == libraries_of({}) == {}


def test_memory_that_the_driver_keeps_for_itself_is_nobodys(driver: Callable[..., Any]) -> None:
    driver.says(QUIET)
    assert driver.read()["reading"]["gpus"][0]["memory_used_mib"] == 4


def test_an_old_driver_counts_what_it_keeps_for_itself(old_driver: Callable[..., Any]) -> None:
    old_driver.says(QUIET)
    assert old_driver.read()["reading"]["gpus"][0]["memory_used_mib"] == 618
