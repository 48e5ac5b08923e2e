"""A GPU Lab of the benchmark's own, with people who launch, and a stopwatch on the bus."""

import json
import logging
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django
import docker
import httpx
import redis
from django.utils import timezone

from benchmarks.floor import DEADLINE_S, Hold, Sizes, at_will, wait
from tests.support.ports import port_base_free
from tests.support.product import House, house_environment

#: Run by `manage.py shell`: people of the benchmark, each with an API token, as one line of JSON.
PEOPLE = """
import json
from django.utils.timezone import now
from labs.people.services import person_create, token_create
made = []
for n in range({count}):
    user = person_create(email=f"bench{{n}}@example.edu", display_name=f"Bench {{n}}", role="researcher", group=None, actor=None, now=now())
    made.append(token_create(user=user, name="benchmark", scope="launch", now=now())[1])
print(json.dumps(made))
"""
#: Announcements of a starting lab, in order: (state, stage) -> what has just been done.
STAGES = {
    ("starting", "placed"): "placed",
    ("starting", "container"): "container started",
    ("starting", "jupyter"): "limits verified",
    ("running", "ready"): "jupyter answers",
}


@dataclass(frozen=True, slots=True)
class Launched:
    """One launch: seconds to the first answer through the relay, the parts of it, and seconds to stop."""

    seconds: float
    parts: dict[str, float]
    stop: float


class MeasuredHouse:
    """Starts with the context and ends with it."""

    def __init__(self, home: Path, engine: str, image: str, sizes: Sizes, people: int) -> None:
        home.mkdir()
        home.chmod(0o755)
        port = port_base_free()
        own = {"DOCKER_HOST": engine, "GPULAB_LAB_IMAGE": image, "GPULAB_RUNTIME": "docker", "GPULAB_PROBE": "none", "GPULAB_NODE": f"b{port}"}
        own |= {"GPULAB_CPU_OVERCOMMIT": "16"}  # ten labs of two cores start at once on two cores, as their floor does
        self.house = House(home=home, port=port, environment=dict(house_environment(home, port, **own)))
        self.sizes, self.count = sizes, people
        self.seen: dict[str, dict[str, float]] = {}
        self.secrets: list[str] = []
        self.image = 0

    def __enter__(self) -> "MeasuredHouse":
        self.house.start(within=DEADLINE_S)
        self.secrets = json.loads(self.house.manage("shell", "--no-imports", "-c", PEOPLE.format(count=self.count)).splitlines()[-1])
        with self._client(0) as client:
            wait(lambda: self._image_ready(client), "the node with the image")
        self._join()
        self.bus = redis.Redis.from_url(os.environ["GPULAB_REDIS_URL"]).pubsub()  # type: ignore[no-untyped-call]
        self.bus.psubscribe("gpulab:lab.*")
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.house.stop()
        self.listener.join(5)
        self._clear()

    def once(self, n: int, hold: Hold = at_will) -> Launched:
        """Click, wait for the notebook, and once `hold` returns stop it and wait for the end."""
        with self._client(n % self.count) as client:
            return self._launch(client, hold)

    def _launch(self, client: httpx.Client, hold: Hold) -> Launched:
        wish = {"image": self.image, "gpus": 0, "cpus": self.sizes.cpus, "memory_gib": self.sizes.memory_gib, "shm_gib": self.sizes.shm_gib, "hours": 1}
        began = time.perf_counter()
        lab = client.post("/labs", json=wish).raise_for_status().json()
        lab_id = lab["id"]
        asked = time.perf_counter()
        token = self._token(lab_id)
        with httpx.Client(headers={"Authorization": f"token {token}"}, timeout=30) as jupyter:
            try:
                wait(lambda: "jupyter answers" in self.seen.get(lab_id, {}), f"lab {lab_id}")
                wait(lambda: jupyter.get(lab["urls"]["jupyter"] + "api/status").status_code == 200, f"lab {lab_id}")
            except TimeoutError as error:
                raise RuntimeError(f"{client.get(f'/labs/{lab_id}').text}\n" + "\n".join(self._log())) from error
        answered = time.perf_counter()
        hold()
        stop_began = time.perf_counter()
        client.post(f"/labs/{lab_id}/stop").raise_for_status()
        wait(lambda: self._is_over(client, lab_id), f"the end of {lab_id}")
        return Launched(answered - began, self._parts(lab_id, began, asked, answered), time.perf_counter() - stop_began)

    def _join(self) -> None:
        """Take the settings that the house left for programs beside it, so that its services can be called from here."""
        lines = (self.house.home / "running.env").read_text().splitlines()
        os.environ.update(dict(line.split("=", 1) for line in lines), DJANGO_SETTINGS_MODULE="portal.settings")
        django.setup()
        logging.getLogger("httpx").setLevel(logging.WARNING)

    @staticmethod
    def _token(lab_id: str) -> str:
        """A token of the lab, as its owner makes one on the lab's page."""
        from labs.lifecycle.models import Lab
        from labs.lifecycle.services import lab_token_create

        lab = Lab.objects.select_related("owner").get(pk=lab_id)
        return lab_token_create(lab=lab, name="benchmark", actor=lab.owner, now=timezone.now())[1]

    def _clear(self) -> None:
        """Leave nothing on the engine: labs of a failed run, people's networks and workspaces."""
        from labs.fleet.models import Node

        engine = docker.DockerClient(base_url=self.house.environment["DOCKER_HOST"], timeout=60)
        realm = Node.objects.get().realm
        mine: Any = {"label": f"gpulab.node={realm}"}
        for container in engine.containers.list(all=True, filters=mine):
            container.remove(force=True)
        for network in engine.networks.list(filters=mine):
            network.remove()
        for volume in engine.volumes.list():
            if volume.name.startswith(f"gpulab-{realm}-"):
                volume.remove()
        engine.close()

    def _log(self) -> list[str]:
        return [line for line in self.house.log if "access" not in line][-40:]

    def _parts(self, lab_id: str, began: float, asked: float, answered: float) -> dict[str, float]:
        """The launch cut at each announcement."""
        marks = [("asked", asked), *((name, self.seen[lab_id][name]) for name in STAGES.values()), ("answers through the relay", answered)]
        parts, last = {}, began
        for name, at in marks:
            parts[name], last = at - last, at
        return parts

    def _image_ready(self, client: httpx.Client) -> bool:
        ready = [image["id"] for image in client.get("/images").json()["items"] if image["ready"]]
        self.image = ready[0] if ready else 0
        return bool(ready)

    def _is_over(self, client: httpx.Client, lab_id: str) -> bool:
        time.sleep(0.05)
        return bool(client.get(f"/labs/{lab_id}").json()["state"] == "stopped")

    def _client(self, n: int) -> httpx.Client:
        return httpx.Client(base_url=f"{self.house.url}/api/v1", headers={"Authorization": f"Bearer {self.secrets[n]}"}, timeout=60)

    def _listen(self) -> None:
        try:
            for message in self.bus.listen():
                if message["type"] == "pmessage":
                    self._heard(json.loads(message["data"]))
        except (redis.RedisError, OSError):
            return  # the house has ended

    def _heard(self, message: dict[str, Any]) -> None:
        stage = STAGES.get((message.get("state", ""), message.get("stage", "")))
        if stage:
            self.seen.setdefault(message["topic"].removeprefix("lab."), {}).setdefault(stage, time.perf_counter())
