"""What the way into a lab costs: requests and websocket messages a second by the whole way of production, beside its peer.

    python -m benchmarks.doors [--seconds 2] [--rounds 5] [--connections 20] [--chp FOLDER] [--json FILE]

Four ways to the same lab, each a process of its own: *direct*; *relay*; *nginx + relay*, which is what people use, by TLS and the
deployment's own configuration; and *nginx + configurable-http-proxy* (the peer, which checks no pass; its npm package lies in
FOLDER, or is put there). With each figure comes the processor time that the proxies took for one act, which a busy machine does not
change. (SSH is measured by `doors_ssh`.)
"""

import argparse
import asyncio
import json
import logging
import multiprocessing
import os
import shutil
import socket
import ssl
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop

from benchmarks.doors_wire import Door, Figure, Lab, messages, requests
from labs.lifecycle import states
from labs.lifecycle.passes import mint
from labs.lifecycle.routes import Person, RelaySnapshot, Route
from tests.deploy.nginx import LABS, Site, binary, site_make
from tests.support.ports import port_free
from tests.support.waiting import wait_for
from worker.relay.app import House
from worker.relay.origins import Origins
from worker.relay.run import Doors, serve

KEY = b"b" * 32
ID = "abcdefghijkl"
PATH = f"/l/{ID}"
HOST = f"lab-{ID}.{LABS}"
PEER = "configurable-http-proxy@5.3.0"
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Measured:
    """A figure and what one act took of the processors in the proxies of that way, in microseconds."""

    figure: Figure
    cpu_us: dict[str, float]


def lab_run(port: int) -> None:
    """The lab as a process."""

    async def serve_lab() -> None:
        server = await asyncio.get_running_loop().create_server(Lab, "127.0.0.1", port, backlog=1024)
        await server.serve_forever()

    uvloop.run(serve_lab())


def relay_run(port: int, bytes_port: int, lab_port: int) -> None:
    """The relay as the command starts it, with a table that holds one lab."""
    logging.basicConfig(level=logging.INFO, filename=os.devnull)  # a line a request is written, as in production
    snapshot = RelaySnapshot({ID: Route(ID, 1, 1, states.RUNNING, ("127.0.0.1", lab_port))}, {1: Person(True, False, 0.0)})
    house = House(Origins("https", LABS, False), "https://portal", KEY, lambda lab_id, attempt: "token", lambda used: None, proxies=1)
    doors = Doors(("127.0.0.1", port), ("127.0.0.1", bytes_port), "redis://127.0.0.1:1/0")
    uvloop.run(serve(house=house, doors=doors, load=lambda: snapshot))


@contextmanager
def process(target: Callable[..., None], *ports: int) -> Iterator[int]:
    """A Python process for as long as the block lasts; its id."""
    made = multiprocessing.get_context("spawn").Process(target=target, args=ports)
    made.start()
    try:
        wait_for(lambda: _listens(ports[0]), within=90, what="a process listens")
        yield made.pid or 0
    finally:
        made.terminate()
        made.join(10)


@contextmanager
def program(command: Sequence[str | Path], port: int) -> Iterator[int]:
    """A program for as long as the block lasts; its id."""
    made = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: _listens(port), within=90, what=f"{command[0]} listens")
        yield made.pid
    finally:
        made.terminate()
        made.wait(10)


@contextmanager
def nginx(folder: Path, upstream: int) -> Iterator[tuple[Site, int]]:
    """The deployment's own configuration before that upstream; its log goes to a file."""
    folder.mkdir()
    site = site_make(folder, portal=upstream, relay=upstream)
    configuration = folder / "gpulab.conf"
    configuration.write_text(configuration.read_text().replace("/dev/stdout", str(folder / "access.log")))
    with program([binary() or "nginx", "-c", site.configuration], site.https) as pid:
        yield site, pid


@contextmanager
def peer(folder: Path, lab_port: int) -> Iterator[tuple[int, int]]:
    """configurable-http-proxy with one route; its port and id."""
    command = folder / "node_modules/.bin/configurable-http-proxy"
    if not command.exists():
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, PEER], check=True)
    port, api = port_free(), port_free()
    started = [command, "--ip", "127.0.0.1", "--port", str(port), "--api-ip", "127.0.0.1", "--api-port", str(api), "--log-level", "error"]
    with program(started, api) as pid:
        body = json.dumps({"target": f"http://127.0.0.1:{lab_port}"}).encode()
        urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{api}/api/routes/", data=body, method="POST"), timeout=10).close()
        yield port, pid


def measure(door: Door, proxies: dict[str, int], *, connections: int, seconds: float) -> list[Measured]:
    """Both figures of one way."""
    found = []
    for act in (requests, messages):
        before = {name: _cpu_s(pid) for name, pid in proxies.items()}
        figure = uvloop.run(act(door, connections, seconds))
        acts = figure.per_second * seconds
        found.append(Measured(figure, {name: round((_cpu_s(pid) - before[name]) / acts * 1e6, 1) for name, pid in proxies.items()}))
    return found


def doors_measure(*, folder: Path, chp: Path | None, rounds: int, connections: int, seconds: float) -> list[Measured]:
    """All ways to one lab, one after another, so many times over; the median of each."""
    lab_port, relay_port, bytes_port = port_free(), port_free(), port_free()
    cookie = "__Host-gpulab_pass=" + mint(key=KEY, kind="browser", user_id=1, lab_id=ID, role="owner", now=time.time())
    with ExitStack() as stack:
        stack.enter_context(process(lab_run, lab_port))
        relay = stack.enter_context(process(relay_run, relay_port, bytes_port, lab_port))
        site, master = stack.enter_context(nginx(folder / "relay", relay_port))
        ways: list[tuple[Door, dict[str, int]]] = [
            (Door("direct", lab_port, "127.0.0.1", PATH), {}),
            (Door("relay", relay_port, HOST, PATH, cookie), {"relay": relay}),
            (Door("nginx + relay", site.https, HOST, PATH, cookie, _trusting(site)), {"nginx": worker_of(master), "relay": relay}),
        ]
        if chp:
            port, pid = stack.enter_context(peer(chp, lab_port))
            site, master = stack.enter_context(nginx(folder / "peer", port))
            ways.append((Door("nginx + chp", site.https, HOST, PATH, "", _trusting(site)), {"nginx": worker_of(master), "chp": pid}))
        for door, _ in ways:
            uvloop.run(requests(door, connections, 1.0))  # warm: the peer compiles what it runs often
        taken = [measure(door, proxies, connections=connections, seconds=seconds) for _ in range(rounds) for door, proxies in ways]
    return [_median([row[act] for row in taken[way :: len(ways)]]) for way in range(len(ways)) for act in (0, 1)]


def _median(rows: list[Measured]) -> Measured:
    """Of every number."""
    figures = [row.figure for row in rows]
    middle = Figure(figures[0].what, *(statistics.median(getattr(one, name) for one in figures) for name in ("per_second", "p50_ms", "p99_ms")))
    return Measured(middle, {name: statistics.median(row.cpu_us[name] for row in rows) for name in rows[0].cpu_us})


def _trusting(site: Site) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(site.certificate))


def worker_of(master: int) -> int:
    """The process of nginx that does the work."""
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    return int(children[0]) if children else master


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The way into a lab, beside a direct connection and a peer")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--chp", type=Path, default=None, help="a folder for configurable-http-proxy's npm package")
    parser.add_argument("--json", type=Path, default=None)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gpulab-doors-") as folder:
        chp = asked.chp or (Path(folder) if shutil.which("npm") else None)
        found = doors_measure(folder=Path(folder), chp=chp, rounds=asked.rounds, connections=asked.connections, seconds=asked.seconds)
    for one in found:
        spent = ", ".join(f"{name} {us:.0f} µs" for name, us in one.cpu_us.items())
        print(f"{one.figure.what:38} {one.figure.per_second:9.1f} /s   p50 {one.figure.p50_ms:7.2f} ms   p99 {one.figure.p99_ms:7.2f} ms   {spent}")
    if asked.json:
        asked.json.write_text(json.dumps([asdict(one) for one in found], indent=1))


if __name__ == "__main__":
    main()
