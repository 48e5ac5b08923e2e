"""Large bodies and streams by the whole way of production: nginx as it is deployed, the relay, a lab. Nothing on the way may keep what it carries.

    python -m benchmarks.doors_bulk [--gib 5] [--events 400] [--json FILE]

Bodies are sent and fetched by curl, once straight to the lab and once by the whole way; the lab counts what came. Memory is the peak
(VmHWM) of nginx's worker and of the relay, before and after. Events are a stream of the lab's, each with the moment at which it was sent.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop
from aiohttp import web

from benchmarks.doors import HOST, ID, KEY, PATH, nginx, process, relay_run, worker_of
from labs.lifecycle.passes import mint
from tests.support.ports import port_free

MIB = 2**20
CHUNK = bytes(MIB)
#: Bodies that warm every buffer, before memory is read for the first time.
WARM_MIB = 64
PAUSE_S = 0.01


@dataclass(frozen=True)
class Bulk:
    """What was carried. MiB/s for bodies by each way, milliseconds for events, MiB by which a peak grew."""

    mib: int
    up: dict[str, float]
    down: dict[str, float]
    events_p50_ms: dict[str, float]
    events_p99_ms: dict[str, float]
    grew_mib: dict[str, float]


@dataclass(frozen=True)
class Way:
    """A way to the lab: what curl is told beside the address."""

    name: str
    root: str
    options: tuple[str, ...] = ()


async def _put(request: web.Request) -> web.Response:
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
    return web.json_response({"size": size})


async def _get(request: web.Request) -> web.StreamResponse:
    mib = int(request.query["mib"])
    answer = web.StreamResponse(headers={"Content-Length": str(mib * MIB)})
    await answer.prepare(request)
    for _ in range(mib):
        await answer.write(CHUNK)
    return answer


async def _events(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    for _ in range(int(request.query["count"])):
        await answer.write(f"data: {time.monotonic_ns()}\n\n".encode())
        await asyncio.sleep(PAUSE_S)
    return answer


def lab_run(port: int) -> None:
    """The lab as a process."""

    async def serve() -> None:
        lab = web.Application()
        lab.add_routes([web.put(f"{PATH}/put", _put), web.get(f"{PATH}/get", _get), web.get(f"{PATH}/events", _events)])
        runner = web.AppRunner(lab)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()

    uvloop.run(serve())


def upload(way: Way, body: Path, within_s: float) -> float:
    """MiB/s of that file to the lab, which has to have counted every byte."""
    said, seconds = _curl(way, "put", ("-T", str(body)), within_s)
    if json.loads(said)["size"] != body.stat().st_size:
        raise SystemExit(f"{way.name}: {said!r} of {body.stat().st_size} bytes came")
    return body.stat().st_size / MIB / seconds


def download(way: Way, mib: int, within_s: float) -> float:
    """MiB/s of so much from the lab, every byte counted by curl."""
    said, seconds = _curl(way, f"get?mib={mib}", ("-o", "/dev/null", "-w", "%{size_download}"), within_s)
    if int(said) != mib * MIB:
        raise SystemExit(f"{way.name}: {said} of {mib * MIB} bytes came")
    return mib / seconds


def events(way: Way, count: int, within_s: float) -> list[float]:
    """Milliseconds that each event was on its way, in order."""
    command = ["curl", "-sSN", "--fail", "--max-time", str(within_s), *way.options, f"{way.root}/events?count={count}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as made:
        took = [(time.monotonic_ns() - int(line[6:])) / 1e6 for line in made.stdout or () if line.startswith(b"data: ")]
    if made.returncode or len(took) != count:
        raise SystemExit(f"{way.name}: {len(took)} of {count} events came (curl: {made.returncode})")
    return took


def bulk_measure(*, folder: Path, mib: int, count: int, within_s: float) -> Bulk:
    """All of it, one after another. `within_s` is for each body."""
    lab_port, relay_port, bytes_port = port_free(), port_free(), port_free()
    cookie = "__Host-gpulab_pass=" + mint(key=KEY, kind="browser", user_id=1, lab_id=ID, role="owner", now=time.time())
    with ExitStack() as stack:
        stack.enter_context(process(lab_run, lab_port))
        relay = stack.enter_context(process(relay_run, relay_port, bytes_port, lab_port))
        site, master = stack.enter_context(nginx(folder / "nginx", relay_port))
        jar = folder / "cookies"
        jar.write_text(f"{HOST}\tFALSE\t/\tTRUE\t0\t{cookie.replace('=', chr(9), 1)}\n")
        trusting = ("--cacert", str(site.certificate), "--resolve", f"{HOST}:{site.https}:127.0.0.1", "--cookie", str(jar))
        ways = [Way("direct", f"http://127.0.0.1:{lab_port}{PATH}"), Way("nginx + relay", f"https://{HOST}:{site.https}{PATH}", trusting)]
        proxies = {"nginx": worker_of(master), "relay": relay}
        _bodies(ways[1:], folder, WARM_MIB, within_s)
        before = {name: peak_mib(pid) for name, pid in proxies.items()}
        up, down = _bodies(ways, folder, mib, within_s)
        took = {way.name: sorted(events(way, count, within_s)) for way in ways}
        grew = {name: round(peak_mib(pid) - before[name], 1) for name, pid in proxies.items()}
    middle = {name: round(statistics.median(times), 2) for name, times in took.items()}
    return Bulk(mib, up, down, middle, {name: round(times[int(len(times) * 0.99)], 2) for name, times in took.items()}, grew)


def _bodies(ways: Sequence[Way], folder: Path, mib: int, within_s: float) -> tuple[dict[str, float], dict[str, float]]:
    """Up and down by each way. The file has no blocks on the disk."""
    body = folder / "body"
    with body.open("wb") as out:
        out.truncate(mib * MIB)
    up = {way.name: round(upload(way, body, within_s), 1) for way in ways}
    return up, {way.name: round(download(way, mib, within_s), 1) for way in ways}


def peak_mib(pid: int) -> float:
    """The most memory that a process ever held."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def _curl(way: Way, what: str, more: Sequence[str], within_s: float) -> tuple[str, float]:
    """What it said, and in how many seconds."""
    began = time.monotonic()
    command = ["curl", "-sS", "--fail", "--max-time", str(within_s), *way.options, *more, f"{way.root}/{what}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{way.name}: {done.stderr.strip()}")
    return done.stdout, time.monotonic() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Large bodies and streams by the whole way to a lab")
    parser.add_argument("--gib", type=float, default=5.0)
    parser.add_argument("--events", type=int, default=400)
    parser.add_argument("--json", type=Path, default=None)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gpulab-bulk-") as folder:
        found = bulk_measure(folder=Path(folder), mib=int(asked.gib * 1024), count=asked.events, within_s=1800)
    for name in found.up:
        print(f"{name:14} up {found.up[name]:8.1f} MiB/s   down {found.down[name]:8.1f} MiB/s", end="")
        print(f"   an event p50 {found.events_p50_ms[name]:7.2f} ms   p99 {found.events_p99_ms[name]:7.2f} ms")
    print("peak memory after", f"{found.mib} MiB each way:", ", ".join(f"{name} + {grew:.1f} MiB" for name, grew in found.grew_mib.items()))
    if asked.json:
        asked.json.write_text(json.dumps(asdict(found), indent=1))


if __name__ == "__main__":
    main()
