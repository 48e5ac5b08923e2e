"""The house's own programs on a real engine: looking into an image, and trying it out inside a lab's real limits."""

import json
from pathlib import Path

import pytest

from labs.lifecycle.diagnosis import end_told_by
from tests.contracts.engine import api, engine_address, engine_image, gateway, make_spec, runtime  # noqa: F401  (fixtures)
from tests.contracts.specs import Maker
from worker.loops.trials import report_of, words_of
from worker.runtimes.base import RuntimeFault
from worker.runtimes.docker.runtime import DockerRuntime

pytestmark = [pytest.mark.engine, pytest.mark.timeout(540)]
IMAGES = Path(__file__).resolve().parents[2] / "images"
LOOK, QUALIFY = (IMAGES / "look.py").read_text(), (IMAGES / "qualify.py").read_text()


def test_what_is_in_an_image_is_read_in_the_image_itself(runtime: DockerRuntime, engine_image: str, api):
    told = json.loads(runtime.image_look(engine_image, LOOK, 120).splitlines()[-1])
    assert told["torch"].startswith("2.13.0")
    assert (told["cuda"], told["sass"], told["sshd"], told["architecture"]) == ("", [], True, "amd64")
    assert told["python"].startswith("3.11")
    assert told["jupyter_server"]
    assert "BSD" in told["licences"]["torch"]
    assert api.containers(all=True, filters={"label": f"gpulab.job={runtime.node_id}"}) == []


def test_a_job_in_an_image_has_no_network_no_rights_little_weight_and_an_end(runtime: DockerRuntime, engine_image: str):
    script = """
import json, os, socket
weights = [path for path in ("/sys/fs/cgroup/cpu/cpu.shares", "/sys/fs/cgroup/cpu.weight") if os.path.exists(path)]
little = int(open(weights[0]).read()) <= {"cpu.shares": 256, "cpu.weight": 50}[os.path.basename(weights[0])]
status = open("/proc/self/status").read()
try:
    open("/usr/x", "w"); writes = True
except OSError:
    writes = False
print(json.dumps([sorted(os.listdir("/sys/class/net")), os.getuid(), "CapEff:\\t0000000000000000" in status, writes, little]))
"""
    assert json.loads(runtime.image_look(engine_image, script, 60)) == [["lo"], 65534, True, False, True]
    with pytest.raises(RuntimeFault) as caught:
        runtime.image_look(engine_image, "import time; print('began', flush=True); time.sleep(60)", 2)
    assert "did not come to its end in time" in caught.value.detail
    assert not caught.value.transient


def test_the_cpu_build_passes_inside_a_hardened_lab(runtime: DockerRuntime, make_spec: Maker):
    spec = make_spec(cpus=2, memory_mib=3072, shm_mib=1536, pids=500)
    runtime.start(spec)
    code, said = runtime.run_inside(spec.name, QUALIFY, ["--expect", "cpu", "--short"], 480)
    report = report_of(said)
    assert (code, report["passed"]) == (0, True), words_of(report)
    assert len(report["checks"]) == 8
    assert report["checks"]["matmul"]["fp32_tflops"] > 0
    assert report["checks"]["DataLoader"]["shm_mib"] == 1536


def test_large_batches_fail_at_64_mib_of_shm_and_the_end_card_knows_why(runtime: DockerRuntime, make_spec: Maker):
    spec = make_spec(cpus=2, memory_mib=1024, shm_mib=64)
    runtime.start(spec)
    code, said = runtime.run_inside(spec.name, QUALIFY, ["--only", "DataLoader", "--short"], 120)
    assert code == 1
    assert "fails with 64 MiB of shared memory" in words_of(report_of(said))
    assert end_told_by(said) == "out_of_shm"


def test_a_lab_that_is_gone_cannot_be_asked(runtime: DockerRuntime):
    with pytest.raises(RuntimeFault) as caught:
        runtime.run_inside("gpulab-nobody-1", "print(1)", [], 10)
    assert caught.value.words == "The lab is gone."
