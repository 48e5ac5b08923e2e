"""From the click to a notebook: how long a launch takes, part by part, beside the floor that no platform can pass.

    python -m benchmarks.launch --engine unix:///… --image gpulab/pytorch-cuda:… [--runs 10] [--json FILE] [--peer] [--check]

Starts a house of its own (the command behind `make up`) on that engine and measures, interleaved in one run:

  floor    the same image with the same limits by the engine alone, to Jupyter's own answer
  launch   POST /api/v1/labs to the first 200 of Jupyter's /api/status through the relay, with a token of the lab
  peer     (--peer) JupyterHub with DockerSpawner on the same engine and image: POST of the server to the same answer

one after another and ten at once. --check fails when a goal is missed: overhead over the floor at most 0.7 s (p95),
at most 0.45 of the peer's median, ten at once at most the floor's ten plus 1.5 s.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.floor import Floor, Sizes, at_once
from benchmarks.house import Launched, MeasuredHouse
from benchmarks.peer import Peer

OVERHEAD_P95_S, PEER_SHARE, TEN_MORE_S = 0.7, 0.45, 1.5
TOGETHER = 10


def p95(values: list[float]) -> float:
    """The 95th percentile, the largest value where there are fewer than twenty."""
    return sorted(values)[max(0, -(-len(values) * 95 // 100) - 1)]


def row(values: list[float]) -> dict[str, float]:
    """Median, p95, least and most, in seconds."""
    figures = {"median_s": statistics.median(values), "p95_s": p95(values), "least_s": min(values), "most_s": max(values)}
    return {name: round(value, 3) for name, value in figures.items()}


def parts(launches: list[Launched]) -> dict[str, dict[str, float]]:
    """Each part of the launches."""
    return {name: row([one.parts[name] for one in launches]) for name in launches[0].parts}


def one_after_another(runs: int, floor: Floor, house: MeasuredHouse, peer: Peer | None) -> dict[str, Any]:
    """Each of them once a round, so that the machine's mood meets all; a first round only warms the caches."""
    floors: list[float] = []
    launches: list[Launched] = []
    peers: list[float] = []
    for n in range(runs + 1):
        floors.append(floor.once())
        launches.append(house.once(n))
        if peer:
            peers.append(peer.once(n))
        print(f"  round {n}{' (warms up)' if n == 0 else ''}: floor {floors[-1]:.2f} s, launch {launches[-1].seconds:.2f} s", flush=True)
    floors, launches, peers = floors[1:], launches[1:], peers[1:]
    under = statistics.median(floors)
    found: dict[str, Any] = {
        "floor": row(floors),
        "launch": row([one.seconds for one in launches]),
        "overhead": row([one.seconds - under for one in launches]),
        "stop": row([one.stop for one in launches]),
        "parts": parts(launches),
    }
    return found | ({"peer": row(peers), "share_of_peer": round(found["launch"]["median_s"] / statistics.median(peers), 3)} if peer else {})


def ten_at_once(floor: Floor, house: MeasuredHouse, peer: Peer | None) -> dict[str, Any]:
    """Ten people click at the same moment; the last one's wait is what counts."""
    floors = at_once(lambda _, hold: floor.once(hold), TOGETHER)
    launches = at_once(house.once, TOGETHER)
    found: dict[str, Any] = {"floor": row(floors), "launch": row([one.seconds for one in launches]), "parts": parts(launches)}
    found |= {"more_than_floor": {"last_s": round(found["launch"]["most_s"] - found["floor"]["most_s"], 3)}}
    return found | ({"peer": row(at_once(peer.once, TOGETHER))} if peer else {})


def goals_missed(figures: dict[str, Any]) -> list[str]:
    """Each missed goal in words."""
    alone, ten = figures["one_after_another"], figures["ten_at_once"]
    missed = []
    if alone["overhead"]["p95_s"] > OVERHEAD_P95_S:
        missed.append(f"overhead p95 {alone['overhead']['p95_s']} s is above {OVERHEAD_P95_S} s")
    if alone.get("share_of_peer", 0) > PEER_SHARE:
        missed.append(f"{alone['share_of_peer']} of the peer's median is above {PEER_SHARE}")
    if ten["more_than_floor"]["last_s"] > TEN_MORE_S:
        missed.append(f"ten at once take {ten['more_than_floor']['last_s']} s more than the floor, above {TEN_MORE_S} s")
    return missed


def told(part: str, figures: dict[str, Any]) -> dict[str, Any]:
    """Print every row of a part as soon as it is measured."""
    print(part)
    for name, values in figures.items():
        for label, value in values.items() if name == "parts" else [(name, values)]:
            shown = ", ".join(f"{kind} {number:.2f}" for kind, number in value.items()) if isinstance(value, dict) else f"{value}"
            print(f"  {'  … ' if name == 'parts' else ''}{label:24} {shown}", flush=True)
    return figures


def main() -> None:
    """Measure, print, and write the figures where --json says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--engine", required=True, help="the engine's socket, such as unix:///var/run/docker.sock")
    parser.add_argument("--image", required=True, help="the lab image, present on that engine")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--peer", action="store_true", help="also install and measure JupyterHub with DockerSpawner (needs uv and npm)")
    parser.add_argument("--check", action="store_true", help="fail when a goal is missed")
    asked = parser.parse_args()
    sizes = Sizes()
    with tempfile.TemporaryDirectory(prefix="gpulab-bench-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        peer = Peer(home / "peer", asked.engine, asked.image, sizes) if asked.peer else None
        try:
            with Floor(asked.engine, asked.image, sizes) as floor, MeasuredHouse(home / "house", asked.engine, asked.image, sizes, TOGETHER) as house:
                figures: dict[str, Any] = {"image": asked.image, "runs": asked.runs, "sizes": {"cpus": sizes.cpus, "memory_gib": sizes.memory_gib}}
                figures["one_after_another"] = told("one after another", one_after_another(asked.runs, floor, house, peer))
                figures["ten_at_once"] = told("ten at once", ten_at_once(floor, house, peer))
        finally:
            if peer:
                peer.close()
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=2) + "\n")
    missed = goals_missed(figures)
    if asked.check and missed:
        sys.exit("Missed: " + "; ".join(missed) + ".")


if __name__ == "__main__":
    main()
