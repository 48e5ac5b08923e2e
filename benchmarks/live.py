"""The live stream under load: 2,000 sockets, 8 GPUs, one sample a second, beside a bare fan-out server in the same run.

    python benchmarks/live.py [--json FILE] [--sockets 2000] [--cards 8] [--seconds 30] [--ws auto]

Each side is a uvicorn process of its own with a Redis of its own run. A sample carries the moment it was made; what is
measured is the time until the bytes arrive at each socket, and the CPU that the web process spends, in percent of a core.
The floor does only what cannot be left out: it takes the same text from Redis and sends it to every socket.
Goals: delivery p95 at most 500 ms, at 20 % of a core or less.
"""

import argparse
import asyncio
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.live_client import Crowd, percentile  # noqa: E402  (needs the path)
from tests.support.ports import port_free  # noqa: E402

GOAL_P95_MS, GOAL_CPU_PCT = 500.0, 20.0
WARM_UP_S = 5
SIDES = {"portal": "portal.asgi:application", "floor": "benchmarks.live_floor:application"}


def main() -> int:
    """Measure both sides, print them, write them; the exit status tells whether the goals were met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--sockets", type=int, default=2000)
    parser.add_argument("--people", type=int, default=200, help="sessions that the sockets are spread over")
    parser.add_argument("--cards", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--ws", default="auto", help="uvicorn's websocket implementation")
    options = parser.parse_args()
    with house(options.people) as (environ, cookies):
        figures = {side: measure(side, options, environ, cookies) for side in SIDES}
    met = figures["portal"]["p95_ms"] <= GOAL_P95_MS and figures["portal"]["cpu_pct"] <= GOAL_CPU_PCT
    load = round(os.getloadavg()[0], 2)
    asked = {"sockets": options.sockets, "cards": options.cards, "seconds": options.seconds, "ws": options.ws}
    report = asked | {"cpus": os.cpu_count(), "load": load, "met": met} | figures
    for side, found in figures.items():
        print(f"{side:>7}: " + "  ".join(f"{name} {value:g}" for name, value in found.items()))
    print(f"  with {options.sockets} sockets and {options.cards} cards on {os.cpu_count()} CPUs; load of the machine {load}")
    print(f"goals (p95 at most {GOAL_P95_MS:g} ms, at most {GOAL_CPU_PCT:g} % of a core): {'met' if met else 'NOT met'}")
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0 if met else 1


@contextmanager
def house(people: int) -> Iterator[tuple[dict[str, str], list[str]]]:
    """A Redis, a database with people who have signed in, and the environment of both; all gone at the end."""
    broker = shutil.which("valkey-server") or shutil.which("redis-server")
    if broker is None:
        raise SystemExit("Neither valkey-server nor redis-server is on PATH.")
    with ExitStack() as stack:
        home, port = stack.enter_context(tempfile.TemporaryDirectory(prefix="gpulab-bench-")), port_free()
        stack.enter_context(running([broker, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", home], os.environ))
        environ = dict(os.environ) | {
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "GPULAB_SECRET_KEY": secrets.token_urlsafe(48),
            "GPULAB_HOME": home,
            "GPULAB_DATABASE_URL": f"sqlite:///{home}/db.sqlite3",
            "GPULAB_REDIS_URL": f"redis://127.0.0.1:{port}/0",
            "GPULAB_PORTAL_URL": "http://localhost:8000",
        }
        until_listens(port)
        furnish = [sys.executable, "-m", "benchmarks.live_feed", "furnish", str(people)]
        made = subprocess.run(furnish, cwd=ROOT, env=environ, check=True, stdout=subprocess.PIPE, text=True)
        yield environ, json.loads(made.stdout.splitlines()[-1])


def measure(side: str, options: argparse.Namespace, environ: Mapping[str, str], cookies: list[str]) -> dict[str, float]:
    """Serve one side, connect the crowd, feed it, and watch."""
    port = port_free()
    command = [sys.executable, "-m", "uvicorn", SIDES[side], "--host", "127.0.0.1", "--port", str(port), "--ws", options.ws]
    command += ["--ws-per-message-deflate", "false", "--log-level", "warning", "--no-access-log", "--timeout-graceful-shutdown", "1"]
    feed = [sys.executable, "-m", "benchmarks.live_feed", "feed", str(options.cards), str(WARM_UP_S + options.seconds + 2)]
    with running(command, environ) as web:
        until_listens(port)
        return asyncio.run(watch(port, web.pid, feed, options, environ, cookies))


async def watch(port: int, pid: int, feed: list[str], options: argparse.Namespace, environ: Mapping[str, str], cookies: list[str]) -> dict[str, float]:
    """Connect, let it warm up, measure for the given seconds."""
    crowd = Crowd(port, cookies)
    connected_s = await crowd.connect(options.sockets)
    with running(feed, environ):
        await crowd.first_sample()
        await asyncio.sleep(WARM_UP_S)
        crowd.delays.clear()
        cpu, began = cpu_s(pid), time.monotonic()
        await asyncio.sleep(options.seconds)
        spent, lasted = cpu_s(pid) - cpu, time.monotonic() - began
    crowd.close()
    delays = sorted(crowd.delays)
    return {
        "p50_ms": round(1000 * percentile(delays, 50), 1),
        "p95_ms": round(1000 * percentile(delays, 95), 1),
        "max_ms": round(1000 * delays[-1], 1),
        "cpu_pct": round(100 * spent / lasted, 1),
        "delivered_pct": round(100 * len(delays) / (options.sockets * options.seconds), 1),
        "memory_mib": memory_mib(pid),
        "connect_s": round(connected_s, 1),
        "bytes_a_sample": crowd.size,
    }


def cpu_s(pid: int) -> float:
    """CPU time of a process since its start, in user and kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(pid: int) -> int:
    """Resident memory of a process."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1024


@contextmanager
def running(command: list[str], environ: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A process for as long as the block lasts."""
    process = subprocess.Popen(command, cwd=ROOT, env=dict(environ), stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until_listens(port: int, within_s: float = 90) -> None:
    """Wait until somebody listens."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"Nothing listens on port {port} after {within_s:g} s.")


if __name__ == "__main__":
    sys.exit(main())
