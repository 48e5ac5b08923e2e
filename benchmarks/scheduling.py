"""The fair queue beside its peers: a trace replayed through `labs.scheduler.plan` and four other schedulers in one run.

    python -m benchmarks.scheduling [--trace CSV] [--nodes 4x8] [--load 0.5,0.7] [--windows 0,1,2,3,4] [--seed N] [--json FILE] [--docs FOLDER]

The trace has submit times, run times, GPUs and teams. People within a team, time limits and idle tails are synthetic and come from the
seed. docs/scheduling.md says what each figure means. --docs writes the table and the plots (PNG and SVG) there.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.replay.cluster import Entry
from benchmarks.replay.engine import Policy, Replay
from benchmarks.replay.estimates import Scores
from benchmarks.replay.figures import figures, worst_wait_floor_h
from benchmarks.replay.house import GpuLab
from benchmarks.replay.idle import idle_figures
from benchmarks.replay.peers import Easy, FifoSkip, FifoStrict, SlurmLike
from benchmarks.replay.report import report_print, report_write
from benchmarks.replay.trace import NoTrace, Window, trace_read, window_of

TRACE = Path(__file__).resolve().parents[2] / "shared/data/philly.csv"
POLICIES = ("fifo_strict", "fifo_skip", "easy", "slurm_like", "gpulab")
#: The windows that the policy's numbers were chosen on.
TUNED = (0, 1, 2)
SYNTHETIC = "People within a team (Pareto), time limits (next band over run x U(1, 3)) and idle tails are synthetic, drawn from the seed."


def policy_of(name: str, scores: Scores | None) -> Policy:
    """A fresh one: policies remember what they saw."""
    peers = {"fifo_strict": FifoStrict, "fifo_skip": FifoSkip, "easy": Easy, "slurm_like": SlurmLike}
    return peers[name]() if name in peers else GpuLab(scores=scores)


def sizes_of(text: str) -> tuple[int, ...]:
    """`4x8` is four nodes of eight; `2x8,1x4` is two of eight and one of four."""
    return tuple(int(size) for part in text.split(",") for count, size in [part.split("x")] for _ in range(int(count)))


class Played(NamedTuple):
    """One policy over one window."""

    window: Window
    entries: list[Entry]
    violations: int


def played(name: str, window: Window, sizes: tuple[int, ...], scores: Scores | None) -> Played:
    """From an empty house to the end of the last lab; labs that no node could ever hold are left out."""
    fitting = [job for job in window.jobs if job.gpus <= max(sizes)]
    replay = Replay(policy_of(name, scores), fitting, sizes)
    entries = replay.run()
    return Played(window, entries, replay.cluster.violations + len(replay.cluster.queue))


def row(name: str, load: float, plays: dict[int, Played], sizes: tuple[int, ...]) -> dict[str, Any]:
    """The figures over these windows."""
    entries = [entry for one in plays.values() for entry in one.entries]
    begins = {entry.job.id: one.window.begin for one in plays.values() for entry in one.entries}
    found = {key: round(value, 3) for key, value in figures(entries, sum(sizes), begins).items()}
    violations = sum(one.violations for one in plays.values())
    least = round(min(one.window.offered for one in plays.values()), 3)
    found["max_wait_floor_h"] = round(max(worst_wait_floor_h([entry.job for entry in one.entries], sum(sizes)) for one in plays.values()), 3)
    return {"load": load, "policy": name, **found, "violations": violations, "jobs": len(entries), "windows": list(plays), "offered_least": least}


def replayed(options: argparse.Namespace) -> dict[str, Any]:
    """All rows; those of the windows that the numbers were tuned on, of the others, and of each apart; estimates and the idle rule."""
    sizes, jobs = sizes_of(options.nodes), trace_read(options.trace, options.seed)
    numbers = [int(number) for number in options.windows.split(",")]
    found: dict[str, Any] = {"synthetic": SYNTHETIC, "nodes": options.nodes, "seed": options.seed, "windows": numbers}
    found |= {"rows": [], "rows_tuned": [], "rows_apart": [], "rows_each": []}
    scores = Scores() if options.estimates else None
    for load in (float(load) for load in options.load.split(",")):
        windows = {number: window_of(jobs, number, load, sum(sizes)) for number in numbers}
        for name in POLICIES:
            plays = {number: played(name, window, sizes, scores) for number, window in windows.items()}
            for key, chosen in (("rows", numbers), ("rows_tuned", [n for n in numbers if n in TUNED]), ("rows_apart", [n for n in numbers if n not in TUNED])):
                if chosen:
                    found[key].append(row(name, load, {number: plays[number] for number in chosen}, sizes))
            found["rows_each"] += [row(name, load, {number: one}, sizes) for number, one in plays.items()]
            report_print(found["rows"][-1])
    return found | {"idle": idle_figures(jobs, options.seed)} | ({"estimates": scores.figures()} if scores else {})


def main() -> int:
    """From the command line; 2 with words when there is no trace."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trace", type=Path, default=TRACE)
    parser.add_argument("--nodes", default="4x8", help="COUNTxGPUS, more kinds after commas")
    parser.add_argument("--load", default="0.5,0.7", help="offered loads")
    parser.add_argument("--windows", default="0,1,2,3,4")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--estimates", action="store_true", help="score the estimates too (slower)")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--docs", type=Path, help="write table and plots into this folder")
    options = parser.parse_args()
    print(SYNTHETIC)
    try:
        found = replayed(options)
    except NoTrace as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    if options.docs:
        report_write(found, options.docs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
