"""What the relay costs: requests and websocket messages a second through it and straight to the same lab, in one run.

    python benchmarks/relay.py [--seconds 5] [--connections 20] [--json]

Lab, relay and client are processes of their own, as in production. "direct" is the floor: the same client to the same lab with nothing between.
"""

import argparse
import asyncio
import json
import logging
import multiprocessing
import socket
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp
import uvloop
from aiohttp import WSMsgType, web

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from labs.lifecycle import states
from labs.lifecycle.passes import mint
from labs.lifecycle.routes import Person, RelaySnapshot, Route
from worker.relay.app import House
from worker.relay.origins import Origins
from worker.relay.run import Doors, serve

KEY = b"b" * 32
LAB = "abcdefghijkl"
Once = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Figure:
    """One measurement. Times in milliseconds."""

    what: str
    per_second: float
    p50_ms: float
    p99_ms: float


def lab_run(port: int) -> None:
    """A lab that answers 1 KiB and says messages back."""

    async def status(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * 1024)

    async def echo(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        async for message in ws:
            if message.type is WSMsgType.BINARY:
                await ws.send_bytes(message.data)
        return ws

    application = web.Application()
    application.router.add_get(f"/l/{LAB}/api/status", status)
    application.router.add_get(f"/l/{LAB}/echo", echo)
    uvloop.install()
    web.run_app(application, host="127.0.0.1", port=port, access_log=None, print=lambda *_: None)


def relay_run(port: int, bytes_port: int, lab_port: int) -> None:
    """The relay as the command starts it, with a table that holds one lab."""
    logging.getLogger("labs.bus").setLevel(logging.ERROR)  # there is no bus here, and none is needed
    snapshot = RelaySnapshot({LAB: Route(LAB, 1, 1, states.RUNNING, ("127.0.0.1", lab_port))}, {1: Person(True, False, 0.0)})
    house = House(Origins("http", "localhost", False), "http://localhost", KEY, lambda lab_id, attempt: "token", lambda used: None)
    doors = Doors(("127.0.0.1", port), ("127.0.0.1", bytes_port), "redis://127.0.0.1:1/0")
    uvloop.run(serve(house=house, doors=doors, load=lambda: snapshot))


async def measured(what: str, makers: list[Once], seconds: float) -> Figure:
    """Every connection repeats its act for `seconds`, one after another."""
    times: list[float] = []

    async def repeat(act: Once) -> None:
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            await act()
            times.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(repeat(act) for act in makers))
    spent = time.perf_counter() - began
    cuts = statistics.quantiles(times, n=100)
    return Figure(what, round(len(times) / spent, 1), round(cuts[49] * 1000, 2), round(cuts[98] * 1000, 2))


async def figures_of(name: str, port: int, connections: int, seconds: float) -> list[Figure]:
    """Requests and messages a second to that port."""
    cookie = mint(key=KEY, kind="browser", user_id=1, lab_id=LAB, role="owner", now=time.time())
    headers = {"Host": f"lab-{LAB}.localhost", "Cookie": f"gpulab_pass={cookie}"}
    base = f"http://127.0.0.1:{port}/l/{LAB}"
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(headers=headers, cookie_jar=jar, connector=aiohttp.TCPConnector(limit=connections)) as session:

        async def request() -> None:
            async with session.get(f"{base}/api/status") as answer:
                await answer.read()
                answer.raise_for_status()

        await request()
        found = [await measured(f"{name}: requests", [request] * connections, seconds)]
        sockets = [await session.ws_connect(f"{base}/echo", compress=0) for _ in range(connections)]

        def message(ws: aiohttp.ClientWebSocketResponse) -> Once:
            async def once() -> None:
                await ws.send_bytes(b"m" * 512)
                await ws.receive_bytes()

            return once

        found.append(await measured(f"{name}: websocket round trips", [message(ws) for ws in sockets], seconds))
        for ws in sockets:
            await ws.close()
        return found


def free_ports(count: int) -> list[int]:
    """Ports that nobody has now."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def answered(port: int) -> None:
    """Wait until somebody listens there."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The relay beside a direct connection")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    lab_port, port, bytes_port = free_ports(3)
    processes = [
        multiprocessing.Process(target=lab_run, args=(lab_port,)),
        multiprocessing.Process(target=relay_run, args=(port, bytes_port, lab_port)),
    ]
    for process in processes:
        process.start()
    try:
        answered(lab_port)
        answered(port)
        found: list[Figure] = []
        for name, where in (("direct", lab_port), ("relay", port)):
            found += uvloop.run(figures_of(name, where, asked.connections, asked.seconds))
    finally:
        for process in processes:
            process.terminate()
            process.join(10)
    report(found, as_json=asked.json)


def report(found: list[Figure], *, as_json: bool) -> None:
    """A table for people, or JSON."""
    if as_json:
        print(json.dumps([asdict(figure) for figure in found]))
        return
    for figure in found:
        print(f"{figure.what:28} {figure.per_second:9.1f} /s   p50 {figure.p50_ms:7.2f} ms   p99 {figure.p99_ms:7.2f} ms")


if __name__ == "__main__":
    main()
