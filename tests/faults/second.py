"""A second host on this machine, with an engine and a network of its own, that joins the house of the first."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

from tests.faults.tiny import REPOSITORY
from tests.faults.world import HOSTS, PORT, World, inside
from tests.support.forward import forwarded
from tests.support.product import ROOT
from tests.support.waiting import wait_for

DATABASE, BROKER, RELAY = 5432, 6379, 7443


@dataclass
class Second:
    """The host that joined as n2."""

    world: World
    namespace: str
    engine_address: str
    address: str
    place: Path
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def engine(self) -> Any:
        return docker.APIClient(base_url=self.engine_address, version="auto", timeout=60)

    @property
    def containers(self) -> list[str]:
        """The labs that run there."""
        return [row["Names"][0].lstrip("/") for row in self.engine.containers(filters={"label": "gpulab.lab"})]

    def cable(self, verb: str) -> None:
        """`cut` or `heal` it."""
        subprocess.run([HOSTS, verb, "2"], check=True)

    def join(self) -> str:
        """As an administrator does it; what the program says."""
        script = (
            "from django.utils.timezone import now\nfrom labs.people.models import User\nfrom labs.enrolment.services import join_token_create\n"
            "print(join_token_create(node_id='n2', actor=User.objects.get(role='administrator'), now=now())[1])"
        )
        token = self.world.house.manage("shell", "--no-imports", "-c", script).split()[-1]
        command = [sys.executable, "-m", "tools.node", "--place", str(self.place), "join", f"http://127.0.0.1:{PORT}", token]
        ran = subprocess.run([*command, "--relay", f"{self.address}:{RELAY}"], cwd=ROOT, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        with (self.place / "node.env").open("a") as file:
            file.write('GPULAB_PROBE="simulated"\nGPULAB_RUNTIME="docker"\nGPULAB_NETWORK_RANGE="10.218.0.0/16"\nGPULAB_RECONCILE_S="2"\n')
        return ran.stdout

    def start(self) -> None:
        """Its worker and its relay, in its own network."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("GPULAB_", "DJANGO_"))}
        with inside(self.namespace), (self.place / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tools.node", "--place", str(self.place), "run"],
                cwd=ROOT,
                env=environment | {"DOCKER_HOST": self.engine_address},
                stdout=log,
                stderr=log,
            )

    def stop(self) -> None:
        """Both away."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(90)

    def state(self) -> str:
        """What the house thinks of it."""
        return str(self.world.rows("SELECT state FROM fleet_node WHERE id = 'n2'")[0][0])

    def until(self, state: str, within: float) -> None:
        """Wait for that."""
        wait_for(lambda: self.state() == state, within=within, what=f"n2 {state}; its log:\n{(self.place / 'log').read_text()[-3000:]}")


def urls_for_nodes() -> dict[str, str]:
    """Settings of a house that others join: where they reach its database and its broker."""
    return {"GPULAB_NODES_DATABASE_URL": f"postgres://{_subnet()}.11:{DATABASE}/postgres", "GPULAB_NODES_REDIS_URL": f"redis://{_subnet()}.11:{BROKER}/0"}


def _subnet() -> str:
    return f"198.19.{os.getpid() % 250}"


@contextlib.contextmanager
def second_host(world: World) -> Iterator[Second]:
    """Joined and heard."""
    subnet = _subnet()
    folder = world.folder / "hosts"
    with contextlib.ExitStack() as ends:
        ends.callback(subprocess.run, [HOSTS, "down", folder, "2"], check=False, stdout=subprocess.DEVNULL)
        out = subprocess.run([HOSTS, "up", folder, "2"], check=True, stdout=subprocess.PIPE, text=True).stdout
        namespace, address = out.split()[-2:]
        second = Second(world, namespace, address, f"{subnet}.12", world.folder / "node")
        second.engine.load_image(b"".join(world.engine.get_image(f"{REPOSITORY}:ok")))
        ends.callback(shutil.rmtree, second.place, ignore_errors=True)
        with inside(world.namespace):
            ends.enter_context(forwarded(f"{subnet}.11", DATABASE, PORT + 10))
            ends.enter_context(forwarded(f"{subnet}.11", BROKER, PORT + 11))
            second.join()
        second.start()
        ends.callback(second.stop)
        with inside(world.namespace):
            second.until("ready", 180)
        yield second
