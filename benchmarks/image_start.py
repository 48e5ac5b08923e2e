"""How fast a lab's Jupyter answers: `docker run` to `/api/status` 200, in the hardened container that labs run in.

    python benchmarks/image_start.py --engine unix:///… --image gpulab/pytorch-cuda:… [--runs 10] [--json FILE]

Three variants of the same image on the same engine, one after another and interleaved, so that the machine's mood
meets all of them: the lab as it is, JupyterLab with its own defaults and every extension (in the same image, so with
its bytecode and without its slow import), and a bare HTTP server as the floor. Prints the median and the range of
each, and the processor time that it took until then, which a busy machine changes least; --at-most S fails when the
lab's median is above it.
"""

import argparse
import http.client
import json
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import docker

#: Holds on a machine that does much else.
DEADLINE_S = 300
TOKEN = secrets.token_hex(32)
STOCK = "exec jupyter lab --ip=0.0.0.0 --port=8888 --no-browser --ServerApp.root_dir=/workspace --ServerApp.allow_remote_access=True"
BARE = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=8888, bind='0.0.0.0')"
VARIANTS: dict[str, tuple[list[str] | None, str]] = {
    "lab": (None, "/l/bench/api/status"),
    "stock": (["/usr/bin/tini", "--", "/bin/sh", "-c", f"JUPYTER_TOKEN_FILE=/run/gpulab/token {STOCK}"], "/api/status"),
    "bare": (["/usr/bin/tini", "--", "python3", "-S", "-c", BARE], "/"),
}


class Spell(NamedTuple):
    """One start: seconds until it answers, and of a processor, user and system, by all in the container until then."""

    wall_s: float
    cpu_s: float


def body(image: str, given: Path, entrypoint: list[str] | None) -> dict[str, object]:
    """A hardened container: what worker/runtimes/docker/create.py makes, less the person's network and volume."""
    host = {
        "Memory": 2 << 30,
        "MemorySwap": 2 << 30,
        "NanoCpus": 2_000_000_000,
        "PidsLimit": 512,
        "ShmSize": 256 << 20,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "ReadonlyRootfs": True,
        "Tmpfs": {
            "/tmp": "rw,nosuid,nodev,exec,mode=1777",
            "/workspace": "rw,uid=1000,gid=1000",
            "/run/lab": "rw,nosuid,nodev,noexec,uid=1000,gid=1000,mode=0700",
        },
        "Mounts": [
            {"Type": "bind", "Source": str(given), "Target": "/run/gpulab", "ReadOnly": True},
            {"Type": "bind", "Source": str(given / "passwd"), "Target": "/etc/passwd", "ReadOnly": True},
        ],
        "PortBindings": {"8888/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
    }
    made: dict[str, object] = {
        "Image": image,
        "User": "1000:1000",
        "Env": ["GPULAB_BASE_URL=/l/bench/", "HOME=/workspace", "JUPYTER_RUNTIME_DIR=/run/lab/jupyter", "IPYTHONDIR=/tmp/ipython"],
        "ExposedPorts": {"8888/tcp": {}},
        "HostConfig": host,
    }
    return made | ({"Entrypoint": entrypoint, "Cmd": []} if entrypoint else {})


def once(api: docker.APIClient, config: dict[str, object], path: str) -> Spell:
    """From create to the first 200."""
    began = time.perf_counter()
    made = api.create_container_from_config(config)["Id"]
    try:
        api.start(made)
        port = int(api.inspect_container(made)["NetworkSettings"]["Ports"]["8888/tcp"][0]["HostPort"])
        until = began + DEADLINE_S
        while not answers(port, path):
            if time.perf_counter() > until:
                raise TimeoutError(api.logs(made, tail=30).decode(errors="replace"))
            time.sleep(0.01)
        wall = time.perf_counter() - began
        return Spell(wall, api.stats(made, stream=False, one_shot=True)["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9)
    finally:
        api.remove_container(made, force=True)


def answers(port: int, path: str) -> bool:
    """Is it 200 with the token?"""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"Authorization": f"token {TOKEN}"})
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def measure(runs: int, run: Callable[[str], Spell]) -> dict[str, list[Spell]]:
    """Every variant `runs` times, interleaved, after one round that only warms the cache."""
    for name in VARIANTS:
        run(name)
    found: dict[str, list[Spell]] = {name: [] for name in VARIANTS}
    for _ in range(runs):
        for name in VARIANTS:
            found[name].append(run(name))
    return found


def told(spells: list[Spell]) -> dict[str, float]:
    """Median and range, for a program."""
    walls = [one.wall_s for one in spells]
    return {"median_s": statistics.median(walls), "least_s": min(walls), "most_s": max(walls), "cpu_s": statistics.median(one.cpu_s for one in spells)}


def main() -> None:
    """Measure, print, and write the figures where --json says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", help="the engine's socket; default: DOCKER_HOST, else the usual one")
    parser.add_argument("--image", required=True)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--at-most", type=float, help="fail when the lab's median is above so many seconds")
    asked = parser.parse_args()
    api = docker.APIClient(base_url=asked.engine, version="auto", timeout=60)
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder)
        given.chmod(0o755)
        (given / "token").write_text(TOKEN)
        (given / "passwd").write_text("lab:x:1000:1000::/workspace:/bin/bash\n")
        (given / "authorized_keys").write_text("# nobody\n")
        found = measure(asked.runs, lambda name: once(api, body(asked.image, given, VARIANTS[name][0]), VARIANTS[name][1]))
    figures = {name: told(spells) for name, spells in found.items()}
    for name, row in figures.items():
        print(f"{name:6} median {row['median_s']:.2f} s   {row['least_s']:.2f} to {row['most_s']:.2f} s, processor {row['cpu_s']:.2f} s   ({asked.runs} runs)")
    if asked.json:
        asked.json.write_text(json.dumps({"image": asked.image, "runs": asked.runs, "variants": figures}, indent=2) + "\n")
    if asked.at_most is not None and figures["lab"]["median_s"] > asked.at_most:
        sys.exit(f"The lab's median is above {asked.at_most} s.")


if __name__ == "__main__":
    main()
