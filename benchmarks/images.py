"""From the click to the first cell's answer, for an image that the node holds and for one that a registry has; and what our image spares Jupyter's start.

    python -m benchmarks.images --engine unix:///… --image gpulab/pytorch-cuda:… [--runs 5] [--json FILE] [--check]

  warm     POST /api/v1/labs to the answer of a first cell through the relay, the image on the node
  cold     the same of an image that only a registry on loopback has (Debian's docker-registry): all of it in one layer that the node has not got
  saved    the same of an image that was saved from a lab with a package installed, on the node that made it
  pull     the floor under cold: the engine alone pulls that image
  start    the image's Jupyter, `docker run` to /api/status, beside JupyterLab as pip installs it, in the same image; and what of a processor each took

--check fails when the start takes more than 0.45 of the stock one's, or cold more than the pull and warm together and 10 s, or a part was not measured.
What was measured is printed and kept in --json after each launch, so that a run that is cut off (Ctrl-C, SIGTERM) or a part that fails loses nothing else.
Deadlines are for a machine that does much else: a whole run takes about 5 minutes on an idle one.
"""

import argparse
import base64
import contextlib
import json
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import httpx

from benchmarks.floor import DEADLINE_S, Sizes, wait
from benchmarks.house import MeasuredHouse
from benchmarks.image_start import STOCK, TOKEN, body, once
from tests.support.jupyter import cell_run
from tests.support.registry import Registry, registry_made
from tests.support.wheels import FIRST

START_SHARE, COLD_MORE_S = 0.45, 10.0
PARTS = ("start", "pull", "warm", "saved", "cold")
#: How long an image may take to come from the registry.
COLD_S = 1800.0
STOCK_TAG = "gpulab-bench/stock:1"
STOCK_DOCKERFILE = "FROM {image}\nUSER root\nRUN python3 -m pip install -q --no-cache-dir --root-user-action=ignore rfc3987-syntax\nUSER 1000:1000\n"
ADD = """
from django.utils.timezone import now
from labs.catalogue.services import image_add
repository, _, tag = "{reference}".rpartition(":")
print(image_add(slug="cold", title="Cold", runtime="docker", repository=repository, tag=tag, actor=None, now=now()).pk)
"""
WHEEL = "cd /tmp; echo {content} | base64 -d > tinyone-1.0-py3-none-any.whl; python3 -m pip install -q --user --no-index ./tinyone-1.0-py3-none-any.whl"
#: By the service that the page's button calls; at most 100 s.
SAVE = """
import time
from django.utils.timezone import now
from labs.lifecycle.models import Lab
from labs.making.models import Making
from labs.making.services import making_save
lab = Lab.objects.select_related("owner", "image", "node").get(pk="{lab}")
row = making_save(lab=lab, name="Bench", note="", actor=lab.owner, now=now())
until = time.monotonic() + 100
while row.is_open and time.monotonic() < until:
    time.sleep(0.05)
    row.refresh_from_db()
assert row.image_id, (row.state, row.words)
print(row.image_id)
"""


class ImagesHouse(MeasuredHouse):
    """Measures to the first cell instead of the first answer."""

    saving_s = 0.0

    def first_cell(self, image: int, within_s: float = DEADLINE_S) -> float:
        """Seconds from the click to what a cell printed; the lab is stopped afterwards."""
        wish = {"image": image, "gpus": 0, "cpus": self.sizes.cpus, "memory_gib": self.sizes.memory_gib, "shm_gib": self.sizes.shm_gib, "hours": 1}
        with self._client(0) as client:
            began = time.perf_counter()
            lab = client.post("/labs", json=wish).raise_for_status().json()
            headers = {"Authorization": f"token {self._token(lab['id'])}"}
            self._until_running(client, lab["id"], within_s)
            with httpx.Client(headers=headers, timeout=30) as jupyter:
                wait(lambda: jupyter.get(lab["urls"]["jupyter"] + "api/status").status_code == 200, f"lab {lab['id']}")
            assert cell_run(lab["urls"]["jupyter"], headers, "print(6 * 7)", within=DEADLINE_S).strip() == "42"
            seconds = time.perf_counter() - began
            client.post(f"/labs/{lab['id']}/stop").raise_for_status()
            wait(lambda: self._is_over(client, lab["id"]), f"the end of {lab['id']}")
        return seconds

    def saved_image(self, api: Any) -> int:
        """Save a lab with a package of its own as an image; `saving_s` is from the click to its place in the catalogue."""
        wish = {"image": self.image, "gpus": 0, "cpus": self.sizes.cpus, "memory_gib": self.sizes.memory_gib, "shm_gib": self.sizes.shm_gib, "hours": 1}
        with self._client(0) as client:
            lab = client.post("/labs", json=wish).raise_for_status().json()
            self._until_running(client, lab["id"], DEADLINE_S)
            script = WHEEL.format(content=base64.b64encode(FIRST).decode())
            api.exec_start(api.exec_create(f"gpulab-{lab['id']}-1", ["bash", "-lc", script], environment={"HOME": "/workspace"})["Id"])
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
    began = time.perf_counter()
    api.pull(reference)
    seconds = time.perf_counter() - began
    api.remove_image(reference, force=True)
    return seconds


@dataclass
class Measured:
    """Seconds of each part as they come, what went wrong in others, and the file that has them after each."""

    image: str
    kept: Path | None
    spells: dict[str, list[float]] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, seconds: float) -> None:
        """One more of that part."""
        self.spells.setdefault(name, []).append(round(seconds, 3))
        print(f"{name:10} {seconds:7.2f} s", flush=True)
        self.keep()

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What fails in it is noted, and the next part goes on."""
        try:
            yield
        except (AssertionError, OSError, RuntimeError, ValueError, docker.errors.DockerException, httpx.HTTPError) as fault:
            self.wrong[name] = str(fault)[:500] or type(fault).__name__
            print(f"{name}: {self.wrong[name]}", flush=True)
            self.keep()

    def median(self, name: str) -> float | None:
        """Of what was measured of a part; None where nothing was."""
        return round(statistics.median(self.spells[name]), 3) if name in self.spells else None

    def facts(self) -> dict[str, Any]:
        """For a program."""
        shares = {"share": self.share(), "share_cpu": self.share(" cpu"), "more_s": self.more()}
        return {"image": self.image, "median_s": {name: self.median(name) for name in self.spells}, **shares, "spells_s": self.spells, "wrong": self.wrong}

    def share(self, kind: str = "") -> float | None:
        """Of the stock Jupyter's start; or of its processor time (" cpu")."""
        ours, stock = self.median(f"start{kind}"), self.median(f"stock{kind}")
        return round(ours / stock, 3) if ours and stock else None

    def more(self) -> float | None:
        """Seconds of a cold launch beyond the pull and a warm one."""
        cold, pull, warm = (self.median(name) for name in ("cold", "pull", "warm"))
        return round(cold - pull - warm, 2) if cold and pull and warm else None

    def keep(self) -> None:
        """Write down what is known."""
        if self.kept:
            self.kept.write_text(json.dumps(self.facts(), indent=2) + "\n")

    def missed(self) -> list[str]:
        """Each missed goal in words, and each part that has no figure."""
        found = [f"{name} was not measured" for name in PARTS if name not in self.spells]
        share, more = self.share(), self.more()
        if share and share > START_SHARE:
            found.append(f"the start takes {share} of the stock one's, above {START_SHARE}")
        if more and more > COLD_MORE_S:
            found.append(f"cold takes {more:.1f} s more than the pull and warm together, above {COLD_MORE_S:g}")
        return found


def starts_measure(api: Any, image: str, runs: int, found: Measured) -> None:
    """Our start and the stock one in turn, after one round that only warms the caches."""
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder)
        given.chmod(0o755)
        for name, text in (("token", TOKEN), ("passwd", "lab:x:1000:1000::/workspace:/bin/bash\n"), ("authorized_keys", "# nobody\n")):
            (given / name).write_text(text)
        (given / "Dockerfile").write_text(STOCK_DOCKERFILE.format(image=image))
        for line in api.build(path=folder, tag=STOCK_TAG, network_mode="host", rm=True, decode=True):
            if "error" in line:
                raise RuntimeError(line["error"])
        as_pip = ["/usr/bin/tini", "--", "/bin/sh", "-c", f"JUPYTER_TOKEN_FILE=/run/gpulab/token {STOCK}"]
        kinds = {"start": (body(image, given, None), "/l/bench/api/status"), "stock": (body(STOCK_TAG, given, as_pip), "/api/status")}
        try:
            for number in range(runs + 1):
                for name, (config, path) in kinds.items():
                    spell = once(api, config, path)
                    if number:
                        found.add(name, spell.wall_s)
                        found.add(f"{name} cpu", spell.cpu_s)
        finally:
            api.remove_image(STOCK_TAG, force=True)


def launches_measure(api: Any, house: ImagesHouse, reference: str, runs: int, found: Measured) -> None:
    """Warm and saved in turn, after one launch that only warms the caches; then cold, once."""
    saved = 0
    with found.part("warm"):
        house.first_cell(house.image)
    with found.part("saved"):
        saved = house.saved_image(api)
        found.add("saving", house.saving_s)
        house.first_cell(saved)
    for _ in range(runs):
        with found.part("warm"):
            found.add("warm", house.first_cell(house.image))
        with found.part("saved"):
            if saved:
                found.add("saved", house.first_cell(saved))
    if reference:
        with found.part("cold"):
            cold = int(house.house.manage("shell", "--no-imports", "-c", ADD.format(reference=reference)).splitlines()[-1])
            found.add("cold", house.first_cell(cold, COLD_S))


def measure(asked: argparse.Namespace, home: Path, found: Measured) -> None:
    """All of it."""
    api = docker.APIClient(base_url=asked.engine, version="auto", timeout=1800)
    with found.part("start"):
        starts_measure(api, asked.image, asked.runs, found)
    registry, reference = registry_made(home / "registry"), ""
    try:
        with found.part("pull"):
            reference = cold_image(api, asked.image, registry)
            found.add("pull", pull_alone(api, reference))
        with found.part("house"), ImagesHouse(home / "house", asked.engine, asked.image, Sizes(), 1) as house:
            launches_measure(api, house, reference, asked.runs, found)
    finally:
        with contextlib.suppress(docker.errors.ImageNotFound):
            api.remove_image(reference or "gpulab-bench/none:1", force=True)
        registry.down()


def told(found: Measured) -> None:
    """For a person."""
    for name, value in found.facts()["median_s"].items():
        print(f"{name:10} median {value:7.2f} s of {len(found.spells[name])}")
    print(f"start: {found.share()} of the stock one's (goal {START_SHARE}), {found.share(' cpu')} of its processor time", flush=True)
    print(f"cold: {found.more()} s beyond pull and warm (goal {COLD_MORE_S:g})", flush=True)


def main() -> None:
    """Measure, print, and write the figures where --json says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--engine", required=True)
    parser.add_argument("--image", required=True, help="the lab image, present on that engine")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true", help="fail when a goal is missed")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    found = Measured(asked.image, asked.json)
    try:
        with contextlib.suppress(KeyboardInterrupt), tempfile.TemporaryDirectory(prefix="gpulab-bench-") as folder:
            home = Path(folder)
            home.chmod(0o755)
            measure(asked, home, found)
    finally:
        told(found)
    if asked.check and (words := found.missed()):
        sys.exit("Missed: " + "; ".join(words) + ".")


if __name__ == "__main__":
    main()
