"""Try all that GPU Lab builds on, on this host's real NVIDIA cards.

    make gpu-check                            every card is read; on each that nobody uses a program computes
    python -m worker.gpucheck --json FILE     the same, and the whole report as JSON
    python -m worker.gpucheck --house URL     labs with cards in a running house of this host, by its API (GPULAB_TOKEN)

Needs the driver and this project's environment (`make env`); no engine, no running house, no network. Run it as root, as the node's
worker runs. A card that anybody uses is read and left alone; nothing is set on any card.
"""

import argparse
import datetime
import json
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from worker.gpucheck import busy, by_torch, house, reading
from worker.gpucheck.report import Failed, Found, LeftOut, Outcome, State, as_json, summary, tried
from worker.probes.base import NodeReading, ProbeFault
from worker.probes.choose import probe_choose
from worker.probes.kernel_log import KernelLog

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for, say what was found; 0 where nothing failed."""
    asked = _parser().parse_args(arguments)
    kernel = KernelLog()
    chosen, words = probe_choose("auto", simulated=0, node_id="gpucheck")
    probe = reading.Watched(chosen)
    outcomes = []
    for outcome in _outcomes(asked, probe, words, kernel):
        print(outcome.line, flush=True)
        outcomes.append(outcome)
    print(summary(outcomes))
    if asked.json:
        asked.json.write_text(json.dumps(as_json(outcomes, _about(probe)), indent=1) + "\n")
    kernel.close()
    probe.close()
    return int(any(one.state == State.FAILED for one in outcomes))


def _outcomes(asked: argparse.Namespace, probe: reading.Watched, words: str, kernel: KernelLog) -> Iterator[Outcome]:
    """Each check as it ends. Without a driver there is nothing more to try."""
    first = tried("the driver", lambda: reading.driver(probe, words))
    yield first
    if first.state == State.FAILED:
        return
    now = probe.read()
    if asked.house:
        yield from _in_the_house(asked, now)
        return
    yield tried("nvidia-smi agrees", lambda: reading.agrees(probe.read()))
    yield tried("the time of a reading", lambda: reading.times(probe, asked.readings))
    yield tried("the cards are well", lambda: reading.health(now))
    yield from _on_the_cards(asked, probe, now)
    yield tried("no errors meanwhile", lambda: reading.errors(probe, kernel))


def _in_the_house(asked: argparse.Namespace, now: NodeReading) -> Iterator[Outcome]:
    """What needs a house."""
    try:
        with house.House(asked.house, os.environ.get("GPULAB_TOKEN", ""), asked.image) as entered:
            yield from _each(house.checks(entered, now, asked.mib), last={State.FAILED, State.LEFT_OUT})
    except (Failed, LeftOut) as why:
        yield tried("the house", _left_out(why))


def _on_the_cards(asked: argparse.Namespace, probe: reading.Watched, now: NodeReading) -> Iterator[Outcome]:
    """What needs cards that nobody uses, and beyond that, on the first of them, an interpreter with torch."""
    try:
        cards = busy.cards_to_try(now, asked.card)
        benches = []
        for card in cards:
            name = f", GPU {card.index}" if len(cards) > 1 else ""
            if why := busy.why_not(card):
                yield tried(f"computing{name}", _left_out(LeftOut(why)))
                continue
            benches.append(busy.Bench(probe, card, asked.mib, asked.clean_within))
            yield from _each(busy.checks(benches[-1], asked.readings, name), last=())
        if benches:
            torch = by_torch.Torch(by_torch.python_find(asked.python, asked.envs), benches[0], now.driver, asked.short)
            yield from _each(by_torch.checks(torch), last={State.LEFT_OUT})
    except LeftOut as why_none:
        yield tried("computing", _left_out(why_none))


def _each(checks: Iterable[tuple[str, Callable[[], Found]]], *, last: Collection[State]) -> Iterator[Outcome]:
    """Each check as it ends; after one that ends in a state of `last` the others would only say the same."""
    for name, check in checks:
        yield (outcome := tried(name, check))
        if outcome.state in last:
            return


def _left_out(why: Failed | LeftOut) -> Callable[[], Found]:
    def check() -> Found:
        raise why

    return check


def _about(probe: reading.Watched) -> dict[str, Any]:
    """When, and on what."""
    found: dict[str, Any] = {"at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), "probe": probe.kind}
    try:
        now = probe.read()
    except ProbeFault as fault:
        return found | {"fault": fault.words}
    cards = [{"index": one.index, "model": one.model, "memory_mib": one.memory_total_mib, "uuid": one.uuid} for one in now.gpus]
    return found | {"driver": now.driver, "cuda": now.cuda, "cards": cards}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gpucheck", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    home = Path(os.environ.get("GPULAB_HOME") or ROOT / ".gpulab")
    parser.add_argument("--card", default="", help="index or UUID of the card to compute on; default: each that nobody uses, the first one with torch")
    parser.add_argument("--python", default="", help="a Python with a CUDA build of torch; default: the newest environment of labs")
    parser.add_argument("--envs", type=Path, default=Path(os.environ.get("GPULAB_ENVS") or home / "envs"), help="where environments of labs are")
    parser.add_argument("--mib", type=int, default=1024, help="memory to hold on the card; default 1024")
    parser.add_argument(
        "--clean-within", type=float, default=busy.CLEAN_WITHIN_S, metavar="SECONDS", help="after its program the card must be clean; default 30"
    )
    parser.add_argument("--readings", type=int, default=500, help="how many readings are timed, twice; default 500")
    parser.add_argument("--house", default="", metavar="URL", help="try a running house of this host instead, as the person of GPULAB_TOKEN")
    parser.add_argument("--image", type=int, help="with --house: the id of the image; default: the first that is ready")
    parser.add_argument("--short", action="store_true", help="the short form of the trial of images")
    parser.add_argument("--json", type=Path, help="write the whole report here")
    return parser


if __name__ == "__main__":
    sys.exit(main())
