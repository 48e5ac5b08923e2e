"""FAULTS row 27, and all of the house away at once: what is replaced and what is stopped while labs run."""

import itertools
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.deploy.nginx import PORTAL, Site, binary, site_make
from tests.faults.world import World
from tests.support.product import ROOT
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.engine, pytest.mark.postgres, pytest.mark.timeout(600)]
#: How long everything is away, in each run and in the long one.
SHORT_S, LONG_S = 6, 600
WEB_PORTS = (21020, 21030)


def containers(world: World) -> dict[str, int]:
    """Each lab's container and its process on the host."""
    names = [row["Names"][0].lstrip("/") for row in world.engine.containers(filters={"label": "gpulab.lab"})]
    return {name: world.engine.inspect_container(name)["State"]["Pid"] for name in names}


def assert_all_lives_on_without_the_house(world: World, seconds: float) -> None:
    """Everything but the engine and the relay away for so long: labs and links live on, requests are served, and then the books are right."""
    stays, dies = world.running(), world.running()
    url, headers = world.door(stays)
    links, pids = [world.link(url, headers) for _ in range(3)], containers(world)
    world.control_stop()
    began, asked = time.monotonic(), 0
    try:
        world.engine.remove_container(f"gpulab-{dies}-1", force=True)
        while time.monotonic() - began < seconds:
            assert httpx.get(url + "api", headers=headers, timeout=10).status_code == 200, "a new request is served by the last known table"
            asked += 1
            time.sleep(max(0.05, seconds / 1200))
        lines = [link.lines for link in links]
    finally:
        world.control_start()
    back = time.monotonic()
    world.house.lab_until("alice", dies, "failed", within=60)
    world.running(within=60)
    silent = max(link.longest_s for link in links)
    print(f"\n{asked} requests in {seconds:g} s without the house, none failed; longest silence {silent:.2f} s; right after {time.monotonic() - back:.1f} s")
    for link in links:
        link.end()
    assert not any(link.broke for link in links) and asked > 20
    assert min(lines) > 5 * seconds, "a line every 0.1 s, all the while"
    assert containers(world)[f"gpulab-{stays}-1"] == pids[f"gpulab-{stays}-1"]
    world.stop_all()
    world.books()


def test_with_the_whole_control_plane_away_labs_and_links_live_on_and_the_books_are_right_afterwards(world: World):
    assert_all_lives_on_without_the_house(world, SHORT_S)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_with_the_whole_control_plane_away_for_ten_minutes_labs_and_links_live_on_and_the_books_are_right_afterwards(world: World):
    assert_all_lives_on_without_the_house(world, LONG_S)


# ------------------------------------------------------------------ row 27


class Web:
    """One of the two web processes behind the proxy."""

    def __init__(self, world: World, port: int, url: str) -> None:
        self.port = port
        self.environment = world.house.environment | world.house._secrets() | {"GPULAB_PORTAL_URL": url, "GPULAB_TRUSTED_PROXIES": "1"}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Up, and answering."""
        options = ["--no-proxy-headers", "--no-access-log", "--timeout-graceful-shutdown", "3", "--log-level", "warning"]
        command = [sys.executable, "-m", "uvicorn", "portal.asgi:application", "--host", "127.0.0.1", "--port", str(self.port), *options]
        self.process = subprocess.Popen(command, cwd=ROOT, env=self.environment)
        wait_for(self._serves, within=90, what="a web process")

    def stop(self) -> None:
        """As compose ends it."""
        if self.process:
            self.process.terminate()
            self.process.wait(60)

    def _serves(self) -> bool:
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.port}/healthz", headers={"Host": PORTAL, "X-Forwarded-Proto": "https"}, timeout=5)
        except httpx.HTTPError:
            return False
        return answer.status_code == 200


class Load:
    """People who read pages and the API, and change something now and then, through the proxy. Counts the answers."""

    def __init__(self, site: Site, world: World, lab_id: str) -> None:
        self.site, self.world, self.lab_id = site, world, lab_id
        self.answers: Counter[str] = Counter()
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self._read, args=(name,), daemon=True) for name in ("alice", "bob", "charlie")]
        self.threads.append(threading.Thread(target=self._change, daemon=True))

    def client(self, name: str) -> httpx.Client:
        """A client as that person; a program's, by token."""
        trust = ssl.create_default_context(cafile=self.site.certificate)
        host = {"Host": f"{PORTAL}:{self.site.https}", "Authorization": f"Bearer {self.world.house.tokens[name]}"}
        return httpx.Client(base_url=f"https://127.0.0.1:{self.site.https}", verify=trust, headers=host, timeout=60)

    def ask(self, client: httpx.Client, method: str, path: str, **body: Any) -> None:
        """One request; what came back is counted."""
        try:
            answer = client.request(method, path, extensions={"sni_hostname": PORTAL}, **body)
            self.answers[f"{answer.status_code // 100}xx"] += 1
        except httpx.HTTPError as fault:
            self.answers[f"broken: {type(fault).__name__}"] += 1

    def _read(self, name: str) -> None:
        with self.client(name) as client:
            for path in itertools.cycle(("/healthz", "/api/v1/labs", "/accounts/login/", "/api/v1/me")):
                self.ask(client, "GET", path)
                if self.ending.wait(0.1):
                    return

    def _change(self) -> None:
        with self.client("alice") as client:
            while not self.ending.wait(2):
                self.ask(client, "POST", f"/api/v1/labs/{self.lab_id}/extend", json={"hours": 2})

    def __enter__(self) -> "Load":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        for thread in self.threads:
            thread.join(90)


@contextmanager
def proxied(world: World, folder: Path) -> Iterator[tuple[Site, list[Web]]]:
    """The deployment's proxy before two web processes of the house."""
    if binary() is None:
        pytest.fail("needs nginx") if os.environ.get("CI") else pytest.skip("needs nginx")
    site = site_make(folder, portal=WEB_PORTS[0], second=WEB_PORTS[1], relay=world.house.labs_port)
    webs = [Web(world, port, site.portal_url) for port in WEB_PORTS]
    with (folder / "stdout").open("wb") as out:
        nginx = subprocess.Popen([binary() or "nginx", "-c", site.configuration], stdout=out, stderr=out)
        try:
            for web in webs:
                web.start()
            yield site, webs
        finally:
            for web in webs:
                web.stop()
            nginx.terminate()
            nginx.wait(60)


def migrated(world: World) -> None:
    """What the next version's migration does to a table under load, while the version before it still works on it."""
    world.house.manage("migrate", "--noinput")
    with psycopg.connect(world.postgres.url, autocommit=True) as link:
        link.execute("SET lock_timeout = '5s'")
        link.execute("ALTER TABLE lifecycle_lab ADD COLUMN next_version integer")
        link.execute("CREATE INDEX CONCURRENTLY next_version ON lifecycle_lab (next_version)")
        link.execute("ALTER TABLE lifecycle_lab DROP COLUMN next_version")


def test_row_27_a_migration_and_a_rolling_restart_under_load_touch_no_lab_and_turn_nobody_away(world: World, tmp_path: Path):
    lab_id = world.running(hours=2)
    url, headers = world.door(lab_id)
    link, pids = world.link(url, headers), containers(world)
    with proxied(world, tmp_path) as (site, webs):
        with Load(site, world, lab_id) as load:
            wait_for(lambda: load.answers.total() > 20, within=60, what="answers before anything is changed")
            migrated(world)
            for web in webs:
                web.stop()
                web.start()
            worker = wait_for(lambda: world.pid_of("worker"), what="a worker")
            os.kill(worker, signal.SIGTERM)
            wait_for(lambda: world.pid_of("worker") not in (None, worker), within=60, what="a worker of the new version")
        link.end()
    failed = sum(count for kind, count in load.answers.items() if kind == "5xx" or kind.startswith("broken"))
    print(f"\n{load.answers.total()} requests: {dict(load.answers)}; longest silence of the link {link.longest_s:.2f} s")
    assert load.answers["2xx"] > 50 and failed <= 0.001 * load.answers.total(), load.answers
    assert not link.broke and containers(world) == pids
    assert world.house.lab_until("alice", lab_id, "running")["attempt"] == 1
    world.stop_all()
    world.books()
