"""A whole house whose every part can be taken away: PostgreSQL, Redis and engine of its own, in a network of its own."""

import contextlib
import ctypes
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import docker
import httpx
import psycopg
import redis

from tests.faults.tiny import REPOSITORY, tiny_images
from tests.support.product import PASSWORD, ROOT, House, house_environment
from tests.support.waiting import wait_for

HOSTS = ROOT / "tests/engine/hosts.sh"
CLONE_NEWNET = 0x40000000
PORT = 21000
CARDS = 4


@contextlib.contextmanager
def entered(network: IO[bytes]) -> Iterator[None]:
    """This thread, and what it starts, is in that network meanwhile: a file of the kernel's, /proc/self/ns/net or a named one."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open("rb") as home:
        if libc.setns(network.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            libc.setns(home.fileno(), CLONE_NEWNET)


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """This thread, and what it starts, is in the network of that name meanwhile."""
    with Path(f"/run/netns/{namespace}").open("rb") as there, entered(there):
        yield


class FaultyHouse(House):
    """GPU Lab over a database and a broker that are not its own children."""

    def _secrets(self) -> dict[str, str]:
        return {"GPULAB_SECRET_KEY": super()._secrets()["GPULAB_SECRET_KEY"]}


@dataclass
class Postgres:
    """A cluster that can be stopped at once, as by a power cut, and started again."""

    folder: Path
    port: int
    password: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def url(self) -> str:
        return f"postgres://gpulab:{self.password}@127.0.0.1:{self.port}/postgres"

    def make(self) -> None:
        """Its folder, once."""
        data = self.folder / "data"
        data.mkdir(parents=True)
        word = self.folder / "word"
        word.write_text(self.password)
        for path in (self.folder, data, word):
            shutil.chown(path, "postgres")
        self._run("initdb", "-D", str(data), "-U", "gpulab", "--auth=scram-sha-256", f"--pwfile={word}", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")

    def start(self) -> None:
        """Up, and answering."""
        options = f"-p {self.port} -h 127.0.0.1 -k {self.folder}"
        self._run("pg_ctl", "-s", "-w", "-D", str(self.folder / "data"), "-l", str(self.folder / "log"), "start", "-o", options)

    def stop(self) -> None:
        """Away at once."""
        self._run("pg_ctl", "-s", "-w", "-D", str(self.folder / "data"), "stop", "-m", "immediate")

    def _run(self, program: str, *arguments: str) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
        path = str(found[-1]) if found else str(shutil.which(program))
        as_user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"] if os.geteuid() == 0 else []
        ran = subprocess.run([*as_user, path, *arguments], cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        assert ran.returncode == 0, f"{program}: {ran.stderr}"


@dataclass
class Broker:
    """A Redis that can be killed, emptied and cut off."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, socket_timeout=15)

    def start(self) -> None:
        """Up, and empty."""
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(self.folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_for(self._answers, within=60, what="Redis")

    def stop(self) -> None:
        """Away at once."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def consumers(self) -> list[str]:
        """Clients that wait for tasks."""
        return [client["id"] for client in self.client.client_list() if client["cmd"] == "brpop"]

    @contextlib.contextmanager
    def thieves(self, *queues: str) -> Iterator[None]:
        """Whatever is sent to the queues is taken before a worker sees it: the worker lives, is linked, and consumes nothing."""
        ending = threading.Event()

        def steal() -> None:
            # Redis serves who has waited longest: workers ask anew every second, a thief waits for five.
            thief = redis.Redis.from_url(self.url, socket_timeout=10)
            while not ending.is_set():
                thief.brpop(list(queues), timeout=5)

        threads = [threading.Thread(target=steal, daemon=True) for _ in range(6)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            ending.set()
            for thread in threads:
                thread.join(10)

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False


class Link:
    """An open link to a lab, by way of the relay: a line every 0.1 s. Remembers the longest silence, and whether it broke."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self.longest_s, self.lines, self.broke = 0.0, 0, ""
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._listen, args=(url, headers), daemon=True)
        self._thread.start()

    def _listen(self, url: str, headers: dict[str, str]) -> None:
        try:
            with httpx.stream("GET", url, headers=headers, timeout=30) as answer:
                last = time.monotonic()
                for _ in answer.iter_lines():
                    now = time.monotonic()
                    self.longest_s, last = max(self.longest_s, now - last), now
                    self.lines += 1
                    if self._ending.is_set():
                        return
            self.broke = "it ended"
        except httpx.HTTPError as error:
            self.broke = repr(error)

    def end(self) -> None:
        """Enough was heard."""
        self._ending.set()
        self._thread.join(30)


@dataclass
class World:
    """The house and everything under it."""

    folder: Path
    namespace: str
    engine_address: str
    postgres: Postgres
    broker: Broker
    house: FaultyHouse
    scratch: Path

    @property
    def engine(self) -> Any:
        return docker.APIClient(base_url=self.engine_address, version="auto", timeout=60)

    def host(self, verb: str) -> None:
        """`hosts.sh verb` for this host."""
        subprocess.run([HOSTS, verb, self.folder / "hosts", "1"], check=True, stdout=subprocess.DEVNULL)

    def engine_signal(self, number: int) -> None:
        """Send to the engine itself."""
        os.kill(int((self.folder / "hosts/h1/docker.pid").read_text()), number)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the database itself."""
        with psycopg.connect(self.postgres.url) as link:
            return link.execute(query, values).fetchall()  # type: ignore[arg-type]  # queries of the tests

    def trusted(self) -> bool:
        """The tiny lab has no Python with which it could say what is in it: once the worker has seen that, an administrator vouches for it."""
        with psycopg.connect(self.postgres.url) as link:
            return link.execute("UPDATE catalogue_image SET is_fit = true WHERE looked_at IS NOT NULL").rowcount > 0

    def pid_of(self, command: str) -> int | None:
        """The process `manage.py command` of the house."""
        return self.house.pid_of(command)

    def launch(self, name: str = "alice", **wish: Any) -> str:
        """Ask for a lab; its id."""
        self.trusted()  # a host that joined has looked into the image by itself
        with self.house.api(name) as client:
            image = client.get("/images").json()["items"][0]["id"]
            body = {"image": image, "gpus": 1, "cpus": 1, "memory_gib": 1, "shm_gib": 1, "hours": 2, "name": f"lab-{secrets.token_hex(4)}"} | wish
            answer = client.post("/labs", json=body, headers={"Idempotency-Key": secrets.token_hex(8)})
            assert answer.status_code == 201, answer.text
            return str(answer.json()["id"])

    def running(self, name: str = "alice", *, within: float = 90, **wish: Any) -> str:
        """A lab that runs; its id."""
        lab_id = self.launch(name, **wish)
        self.house.lab_until(name, lab_id, "running", within=within)
        return lab_id

    def stop(self, lab_id: str, name: str = "alice") -> None:
        """End it and wait until it has ended."""
        with self.house.api(name) as client:
            client.post(f"/labs/{lab_id}/stop")
            wait_for(lambda: client.get(f"/labs/{lab_id}").json()["state"] in ("stopped", "failed"), within=90, what="the end of a lab")

    def stop_all(self) -> None:
        """End every lab, whosever it is, and wait until all have ended."""
        live = (
            "SELECT lab.id, split_part(email, '@', 1) FROM lifecycle_lab lab JOIN people_user owner ON owner.id = lab.owner_id "
            "WHERE state NOT IN ('stopped', 'failed')"
        )
        for lab_id, name in self.rows(live):
            with self.house.api(name) as client:
                client.post(f"/labs/{lab_id}/stop")
        wait_for(lambda: not self.rows(live), within=90, what="the end of all labs")

    def control_stop(self) -> None:
        """Everything but the engine and the relay away at once: portal, worker, SSH gateway, database, broker, and who would start them again."""
        assert self.house.process
        pids = [wait_for(lambda word=word: self.pid_of(word), what=word) for word in ("portal.asgi:application", "worker", "ssh_gateway")]
        self.house.process.send_signal(signal.SIGSTOP)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self.postgres.stop()
        self.broker.stop()

    def control_start(self) -> None:
        """All of it back."""
        assert self.house.process
        self.postgres.start()
        self.broker.start()
        self.house.process.send_signal(signal.SIGCONT)
        wait_for(self.house._serves, within=120, what="the portal")

    def door(self, lab_id: str, name: str = "alice") -> tuple[str, dict[str, str]]:
        """Where the lab is reached through the relay, and with which headers."""
        script = (
            "from django.utils.timezone import now\nfrom labs.lifecycle.models import Lab\nfrom labs.lifecycle.services import lab_token_create\n"
            f"lab = Lab.objects.get(pk='{lab_id}')\nprint(lab_token_create(lab=lab, name='test', actor=lab.owner, now=now())[1])"
        )
        secret = self.house.manage("shell", "--no-imports", "-c", script).strip().splitlines()[-1]
        url = f"http://127.0.0.1:{self.house.labs_port}/l/{lab_id}/"
        headers = {"Host": f"lab-{lab_id}.localhost:{self.house.labs_port}", "Authorization": f"token {secret}"}

        def opens() -> bool:
            return httpx.get(url + "api", headers=headers, timeout=30).status_code == 200

        wait_for(opens, within=60, what="the way into the lab")
        return url, headers

    def link(self, url: str, headers: dict[str, str]) -> Link:
        """An open link, with something heard of it already."""
        made = Link(url + "stream", headers)
        wait_for(lambda: made.lines > 3, within=60, what="lines of an open link")
        return made

    def books(self) -> None:
        """No orphan, no card booked twice, no lab stuck: read from the database and the engine, once they agree."""
        wait_for(self._agree, within=60, what="containers and records that agree")
        assert not self.rows("SELECT gpu_id FROM lifecycle_lease WHERE closed_at IS NULL GROUP BY gpu_id HAVING count(*) > 1")
        assert not self.rows("SELECT id FROM lifecycle_lab WHERE state IN ('starting', 'stopping') AND deadline_at < now()")

    def _agree(self) -> bool:
        placed = self.rows("SELECT id, attempt, state FROM lifecycle_lab WHERE state IN ('starting', 'running', 'stopping')")
        found = sorted(row["Names"][0].lstrip("/") for row in self.engine.containers(filters={"label": "gpulab.lab"}))
        return all(row[2] == "running" for row in placed) and found == sorted(f"gpulab-{row[0]}-{row[1]}" for row in placed)


def signed_in(world: World, name: str = "alice", url: str = "") -> httpx.Client:
    """A browser, signed in by the form."""
    browser = httpx.Client(base_url=url or world.house.url, timeout=60)
    form = browser.get("/accounts/login/").text
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
    assert token
    sent = {"login": f"{name}@example.edu", "password": PASSWORD, "csrfmiddlewaretoken": token[1]}
    answer = browser.post("/accounts/login/", data=sent, headers={"Referer": f"{browser.base_url}accounts/login/"})
    assert answer.status_code == 302, f"{answer.status_code}: {answer.text[:500]}"
    return browser


@contextlib.contextmanager
def world_made(**more: str) -> Iterator[World]:
    """Everything up and people in it; everything down afterwards. Use it, and all tests of it, inside its network. `more`: settings of the house."""
    folder = Path(tempfile.mkdtemp(prefix="gpulab-world-"))
    folder.chmod(0o755)
    mark = f"gf{os.getpid() % 10000}"
    os.environ["GPULAB_HOSTS_MARK"], os.environ["GPULAB_HOSTS_SUBNET"] = mark, f"198.19.{os.getpid() % 250}"
    with contextlib.ExitStack() as ends:
        ends.callback(shutil.rmtree, folder, ignore_errors=True)
        ends.callback(subprocess.run, [HOSTS, "down", folder / "hosts", "1"], check=False, stdout=subprocess.DEVNULL)
        out = subprocess.run([HOSTS, "up", folder / "hosts", "1"], check=True, stdout=subprocess.PIPE, text=True).stdout
        namespace, address = out.split()[-2:]
        ends.enter_context(inside(namespace))
        yield ends.enter_context(_furnished(folder, namespace, address, more))


@contextlib.contextmanager
def _furnished(folder: Path, namespace: str, address: str, more: dict[str, str]) -> Iterator[World]:
    tiny_images(docker.APIClient(base_url=address, version="auto", timeout=60))
    scratch = folder / "scratch"
    scratch.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "gpulab-scratch", scratch], check=True)
    postgres, broker = Postgres(folder / "postgres", PORT + 10), Broker(folder, PORT + 11)
    postgres.make()
    postgres.start()
    broker.start()
    home = folder / "home"
    home.mkdir(mode=0o755)
    environment = house_environment(
        home, PORT, DOCKER_HOST=address, GPULAB_LAB_IMAGE=f"{REPOSITORY}:ok", GPULAB_RUNTIME="docker", GPULAB_PROBE="simulated",
        GPULAB_SIMULATED_GPUS=str(CARDS), GPULAB_NODE="n1", GPULAB_DATABASE_URL=postgres.url, GPULAB_REDIS_URL=broker.url,
        GPULAB_NETWORK_RANGE="10.217.0.0/16", GPULAB_DISKS=f"scratch={scratch}", GPULAB_RECONCILE_S=os.environ.get("GPULAB_TEST_RECONCILE_S", "2"),
    )  # fmt: skip
    house = FaultyHouse(home=home, port=PORT, environment=dict(environment) | more)
    world = World(folder, namespace, address, postgres, broker, house, scratch)
    try:
        house.start(within=240)
        house.people_make()
        with house.api("alice") as client:
            wait_for(
                lambda: world.trusted() and len(client.get("/gpus").json()["items"]) == CARDS and client.get("/images").json()["items"],
                within=180,
                what="cards and image",
            )
        yield world
    finally:
        with contextlib.suppress(OSError):
            world.engine_signal(signal.SIGCONT)
        house.stop()
        with contextlib.suppress(AssertionError):
            postgres.stop()
        broker.stop()
        subprocess.run(["umount", "-l", scratch], check=False)
