"""From the click to the first cell's answer, for an image that the node holds and for one that a registry has; and what our image spares Jupyter's start.

    python -m benchmarks.images --engine unix:///… --image gpulab/pytorch-cuda:… [--runs 5] [--json FILE] [--check]

  warm     POST /api/v1/labs to the answer of a first cell through the relay, the image on the node
  cold     the same of an image that only a registry on loopback has (Debian's docker-registry): all of it in one layer that the node has not got
  saved    the same of an image that was saved from a lab with a package installed, on the node that made it
  pull     the floor under cold: the engine alone pulls that image
  start    the image's Jupyter, `docker run` to /api/status, beside JupyterLab as pip installs it, in the same image

--check fails when the start takes more than 0.45 of the stock one's, or cold more than the pull and warm together and 10 s.
"""

import argparse
import base64
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import docker
import httpx

from benchmarks.floor import Sizes, wait
from benchmarks.house import MeasuredHouse
from benchmarks.image_start import STOCK, TOKEN, body, once
from tests.support.jupyter import cell_run
from tests.support.registry import Registry, registry_made
from tests.support.wheels import FIRST

START_SHARE, COLD_MORE_S = 0.45, 10.0
STOCK_DOCKERFILE = "FROM {image}\nUSER root\nRUN python3 -m pip install -q --no-cache-dir --root-user-action=ignore rfc3987-syntax\nUSER 1000:1000\n"
ADD = """
from django.utils.timezone import now
from labs.catalogue.services import image_add
repository, _, tag = "{reference}".rpartition(":")
print(image_add(slug="cold", title="Cold", runtime="docker", repository=repository, tag=tag, actor=None, now=now()).pk)
"""
WHEEL = "cd /tmp; echo {content} | base64 -d > tinyone-1.0-py3-none-any.whl; python3 -m pip install -q --user --no-index ./tinyone-1.0-py3-none-any.whl"
#: By the service that the page's button calls; at most 50 s.
SAVE = """
import time
from django.utils.timezone import now
from labs.lifecycle.models import Lab
from labs.making.models import Making
from labs.making.services import making_save
lab = Lab.objects.select_related("owner", "image", "node").get(pk="{lab}")
row = making_save(lab=lab, name="Bench", note="", actor=lab.owner, now=now())
until = time.monotonic() + 50
while row.is_open and time.monotonic() < until:
    time.sleep(0.05)
    row.refresh_from_db()
assert row.image_id, (row.state, row.words)
print(row.image_id)
"""


class ImagesHouse(MeasuredHouse):
    """Measures to the first cell instead of the first answer."""

    saving_s = 0.0

    def first_cell(self, image: int, within_s: float) -> float:
        """Seconds from the click to what a cell printed; the lab is stopped afterwards."""
        wish = {"image": image, "gpus": 0, "cpus": self.sizes.cpus, "memory_gib": self.sizes.memory_gib, "shm_gib": self.sizes.shm_gib, "hours": 1}
        with self._client(0) as client:
            began = time.perf_counter()
            lab = client.post("/labs", json=wish).raise_for_status().json()
            headers = {"Authorization": f"token {self._token(lab['id'])}"}
            self._until_running(client, lab["id"], within_s)
            with httpx.Client(headers=headers, timeout=30) as jupyter:
                wait(lambda: jupyter.get(lab["urls"]["jupyter"] + "api/status").status_code == 200, f"lab {lab['id']}")
            assert cell_run(lab["urls"]["jupyter"], headers, "print(6 * 7)").strip() == "42"
            seconds = time.perf_counter() - began
            client.post(f"/labs/{lab['id']}/stop").raise_for_status()
            wait(lambda: self._is_over(client, lab["id"]), f"the end of {lab['id']}")
        return seconds

    def saved_image(self, api: Any) -> int:
        """Save a lab with a package of its own as an image; `saving_s` is from the click to its place in the catalogue."""
        wish = {"image": self.image, "gpus": 0, "cpus": self.sizes.cpus, "memory_gib": self.sizes.memory_gib, "shm_gib": self.sizes.shm_gib, "hours": 1}
        with self._client(0) as client:
            lab = client.post("/labs", json=wish).raise_for_status().json()
            self._until_running(client, lab["id"], 120)
            script = WHEEL.format(content=base64.b64encode(FIRST).decode())
            made = api.exec_create(f"gpulab-{lab['id']}-1", ["bash", "-lc", script], environment={"HOME": "/workspace"})
            api.exec_start(made["Id"])
            began = time.perf_counter()
            number = int(self.house.manage("shell", "--no-imports", "-c", SAVE.format(lab=lab["id"])).splitlines()[-1])
            self.saving_s = time.perf_counter() - began
            client.post(f"/labs/{lab['id']}/stop").raise_for_status()
            wait(lambda: self._is_over(client, lab["id"]), f"the end of {lab['id']}")
        return number

    @staticmethod
    def _until_running(client: httpx.Client, lab_id: str, within_s: float) -> None:
        until = time.perf_counter() + within_s
        while (state := client.get(f"/labs/{lab_id}").json())["state"] != "running":
            if state["state"] == "failed" or time.perf_counter() > until:
                raise RuntimeError(json.dumps(state))
            time.sleep(0.05)


def cold_image(api: Any, image: str, registry: Registry) -> str:
    """The image as one layer that no node has, in the registry alone; its reference."""
    reference = f"{registry.address}/bench/cold:1"
    repository, _, tag = reference.rpartition(":")
    config = api.inspect_image(image)["Config"]
    changes = [f"ENV {name}={json.dumps(value)}" for name, _, value in (one.partition("=") for one in config["Env"])]
    changes += [f"ENTRYPOINT {json.dumps(config['Entrypoint'])}", f"USER {config['User']}", f"WORKDIR {config['WorkingDir']}"]
    changes += [f"LABEL {name}={json.dumps(value)}" for name, value in (config["Labels"] or {}).items()]
    made = api.create_container(image, command=["true"])["Id"]
    try:
        api.import_image_from_stream(api.export(made), repository=repository, tag=tag, changes=changes)
    finally:
        api.remove_container(made)
    for line in api.push(repository, tag=tag, stream=True, decode=True):
        if "error" in line:
            raise RuntimeError(line["error"])
    api.remove_image(reference, force=True)
    return reference


def pull_alone(api: Any, reference: str) -> float:
    """Seconds that the engine alone takes; the image is removed again."""
    repository, _, tag = reference.rpartition(":")
    began = time.perf_counter()
    api.pull(repository, tag=tag)
    seconds = time.perf_counter() - began
    api.remove_image(reference, force=True)
    return seconds


def starts(api: Any, image: str, runs: int) -> dict[str, float]:
    """Medians of our start and of the stock one, interleaved, after one round that only warms the caches."""
    stock = "gpulab-bench/stock:1"
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder)
        given.chmod(0o755)
        for name, text in (("token", TOKEN), ("passwd", "lab:x:1000:1000::/workspace:/bin/bash\n"), ("authorized_keys", "# nobody\n")):
            (given / name).write_text(text)
        (given / "Dockerfile").write_text(STOCK_DOCKERFILE.format(image=image))
        for line in api.build(path=folder, tag=stock, network_mode="host", rm=True, decode=True):
            if "error" in line:
                raise RuntimeError(line["error"])
        as_pip = ["/usr/bin/tini", "--", "/bin/sh", "-c", f"JUPYTER_TOKEN_FILE=/run/gpulab/token {STOCK}"]
        kinds = {"lab": (body(image, given, None), "/l/bench/api/status"), "stock": (body(stock, given, as_pip), "/api/status")}
        rounds = [{name: once(api, config, path) for name, (config, path) in kinds.items()} for _ in range(runs + 1)][1:]
        api.remove_image(stock, force=True)
    medians = {name: round(statistics.median(one[name] for one in rounds), 3) for name in kinds}
    return medians | {"share": round(medians["lab"] / medians["stock"], 3)}


def measured(asked: argparse.Namespace, home: Path) -> dict[str, Any]:
    """All four."""
    api = docker.APIClient(base_url=asked.engine, version="auto", timeout=1800)
    figures: dict[str, Any] = {"image": asked.image, "runs": asked.runs, "start": starts(api, asked.image, asked.runs)}
    print(f"start  {figures['start']}", flush=True)
    registry = registry_made(home / "registry")
    try:
        reference = cold_image(api, asked.image, registry)
        figures["pull_s"] = round(pull_alone(api, reference), 2)
        print(f"pull   {figures['pull_s']} s", flush=True)
        with ImagesHouse(home / "house", asked.engine, asked.image, Sizes(), 1) as house:
            warm = [house.first_cell(house.image, 120) for _ in range(asked.runs + 1)][1:]
            figures["warm_s"] = round(statistics.median(warm), 2)
            print(f"warm   {figures['warm_s']} s", flush=True)
            saved = house.saved_image(api)
            figures["saved_s"] = round(statistics.median([house.first_cell(saved, 120) for _ in range(asked.runs + 1)][1:]), 2)
            figures["saving_s"] = round(house.saving_s, 2)
            print(f"saved  {figures['saved_s']} s, saving it took {figures['saving_s']} s", flush=True)
            cold = int(house.house.manage("shell", "--no-imports", "-c", ADD.format(reference=reference)).splitlines()[-1])
            figures["cold_s"] = round(house.first_cell(cold, 1800), 2)
            print(f"cold   {figures['cold_s']} s", flush=True)
            api.remove_image(reference, force=True)
    finally:
        registry.down()
    return figures


def missed(figures: dict[str, Any]) -> list[str]:
    """Each missed goal in words."""
    found = []
    if figures["start"]["share"] > START_SHARE:
        found.append(f"the start takes {figures['start']['share']} of the stock one's, above {START_SHARE}")
    more = figures["cold_s"] - figures["pull_s"] - figures["warm_s"]
    if more > COLD_MORE_S:
        found.append(f"cold takes {more:.1f} s more than the pull and warm together, above {COLD_MORE_S:g}")
    return found


def main() -> None:
    """Measure, print, and write the figures where --json says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--engine", required=True)
    parser.add_argument("--image", required=True, help="the lab image, present on that engine")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true", help="fail when a goal is missed")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gpulab-bench-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        figures = measured(asked, home)
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=2) + "\n")
    if asked.check and (words := missed(figures)):
        sys.exit("Missed: " + "; ".join(words) + ".")


if __name__ == "__main__":
    main()
