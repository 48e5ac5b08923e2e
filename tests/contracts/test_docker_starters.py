"""The templates that ship, put into a lab by their own program and run from the first cell to the last, in the lab image and within a lab's limits.

Each notebook asserts what it shows: losses fall, few pictures suffice, two processes hold the same weights, ONNX answers as PyTorch does.
"""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.engine import api, engine_address, engine_image, gateway, make_spec, runtime  # noqa: F401  (fixtures)
from tests.contracts.specs import Maker
from worker.runtimes.docker.runtime import DockerRuntime
from worker.shipped import archive, shipped

ROOT = Path(__file__).resolve().parents[2] / "starters"
TEMPLATES = list(shipped(ROOT))
#: Run in the lab: two at a time, since it has two cores.
RUN = """
import base64, json, os, subprocess, sys, time
from concurrent.futures import ThreadPoolExecutor

os.environ |= {"HOME": "/workspace", "OMP_NUM_THREADS": "1", "QUICK": sys.argv[1]}

def run(text):
    slug, folder, first, packed = json.loads(text)
    carried, begin = f"/workspace/{slug}.pyz", time.monotonic()
    with open(carried, "wb") as file:
        file.write(base64.b64decode(packed))
    placed = subprocess.run([sys.executable, "-I", carried], capture_output=True, text=True)
    ran = subprocess.run(["jupyter", "execute", "--inplace", "--timeout=1500", first], cwd=f"/workspace/{folder}", capture_output=True, text=True)
    return slug, {"placed": placed.stdout, "code": ran.returncode, "said": ran.stderr[-1500:], "seconds": round(time.monotonic() - begin, 1)}

with ThreadPoolExecutor(2) as pool:
    print("@@" + json.dumps(dict(pool.map(run, sys.argv[2:]))))
"""


def packed(folder: str, slug: str) -> str:
    """One template as the program takes it."""
    one = next(one for one in TEMPLATES if one.slug == slug)
    first = one.told()["first"]
    content = archive(folder=folder, first=first, data=[], files=one.files())
    return json.dumps([slug, folder, first, base64.b64encode(content).decode()])


def run_all(runtime: DockerRuntime, make_spec: Maker, *, quick: bool, within_s: int) -> dict[str, Any]:
    spec = make_spec(cpus=2, memory_mib=4096, shm_mib=1024, pids=600)
    runtime.start(spec)
    given = [packed(f"templates/{one.slug}-v1", one.slug) for one in TEMPLATES]
    code, said = runtime.run_inside(spec.name, RUN, ["1" if quick else "0", *given], within_s)
    assert code == 0, said[-2000:]
    told: dict[str, Any] = json.loads(said[said.index("@@") + 2 :])
    return told


def assert_all_ran(told: dict[str, Any]) -> None:
    assert sorted(told) == sorted(one.slug for one in TEMPLATES) and len(told) >= 6
    for slug, one in told.items():
        assert '"kept": false, "first": true' in one["placed"], (slug, one)
        assert one["code"] == 0, (slug, one["said"])


@pytest.mark.engine
@pytest.mark.timeout(600)
def test_every_notebook_that_ships_runs_to_its_last_cell_in_a_lab(runtime: DockerRuntime, make_spec: Maker):
    assert_all_ran(run_all(runtime, make_spec, quick=True, within_s=540))


@pytest.mark.engine
@pytest.mark.long
@pytest.mark.timeout(3600)
def test_every_notebook_that_ships_runs_whole(runtime: DockerRuntime, make_spec: Maker):
    assert_all_ran(run_all(runtime, make_spec, quick=False, within_s=3500))
