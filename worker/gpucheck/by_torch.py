"""Checks with torch, by an interpreter that has a CUDA build of it: what was said beforehand, the trial of images, a card that is full."""

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labs.catalogue import compat
from labs.lifecycle.diagnosis import end_told_by
from worker.gpucheck.busy import Bench, environment
from worker.gpucheck.report import Failed, Found, LeftOut

TABLE = Path(compat.__file__).with_name("cuda_compat.json")
QUALIFY = Path(__file__).resolve().parents[2] / "images" / "qualify.py"
IMPORT_WITHIN_S, TRIAL_WITHIN_S = 300, 900
LOOK = "import json, torch; print(json.dumps({'torch': torch.__version__, 'cuda': torch.version.cuda or '', 'archs': torch.cuda.get_arch_list()}))"
FILL = "import torch; torch.empty(2 ** 50, dtype=torch.uint8, device='cuda')"
SIGNS = {compat.Answer.OK: "as it should", compat.Answer.MINOR: "in minor-version mode", compat.Answer.FORWARD: "by a compatibility package"}


@dataclass(frozen=True, slots=True)
class Torch:
    """An interpreter with torch, a card, and the driver's version."""

    python: Path
    bench: Bench
    driver: str
    short: bool

    def run(self, *arguments: str, within_s: int) -> "subprocess.CompletedProcess[str]":
        """Run it as if in a lab of the card."""
        return subprocess.run(
            [str(self.python), "-I", *arguments], env=environment(self.bench.card.uuid), capture_output=True, text=True, timeout=within_s, check=False
        )


def python_find(wanted: str, envs: Path) -> Path:
    """The interpreter asked for, else that of the newest environment of labs (process runtime) with a CUDA build of torch."""
    if wanted:
        return Path(wanted)
    for ready in sorted(envs.glob("torch-*/ready.json"), key=lambda one: one.stat().st_mtime, reverse=True):
        if json.loads(ready.read_text()).get("cuda"):
            return ready.parent / "bin" / "python"
    raise LeftOut(f"No CUDA build of torch was found in {envs}: name a Python that has one with --python, or launch one lab by `make up` first.")


def expected(torch: Torch) -> Found:
    """What the catalogue says beforehand of this build, driver and card: it must not refuse, since the next check computes."""
    done = torch.run("-c", LOOK, within_s=IMPORT_WITHIN_S)
    if done.returncode:
        raise Failed(f"{torch.python} cannot import torch: {last_line(done.stderr)}")
    facts = json.loads(done.stdout.strip().splitlines()[-1])
    if not facts["cuda"]:
        raise LeftOut(f"{torch.python} has torch {facts['torch']}, which is no CUDA build; name another with --python.")
    host, card = compat.Host(torch.driver), compat.Card(torch.bench.card.compute_capability)
    answer = compat.fit(needs_of(facts), host, card, compat.rows_of(json.loads(TABLE.read_text())))
    named = f"torch {facts['torch']} with CUDA {facts['cuda']}, driver {host.driver}, compute capability {card.capability}"
    if answer.answer not in SIGNS:
        raise Failed(f"{named}: {answer.words} {answer.fix}".strip())
    return Found(f"{named}: it runs {SIGNS[answer.answer]}, the catalogue says. {answer.words}".strip(), facts | {"answer": str(answer.answer)})


def needs_of(facts: dict[str, Any]) -> compat.Needs:
    """What the build says of itself, as the catalogue keeps it of images: `sm_90` is machine code for 9.0, `compute_120` portable code."""
    codes = [str(one).partition("_") for one in facts["archs"]]
    sass = tuple(capability(number) for kind, _, number in codes if kind == "sm")
    ptx = [capability(number) for kind, _, number in codes if kind == "compute"]
    return compat.Needs(cuda=facts["cuda"], sass=sass, ptx=max(ptx, key=compat.version) if ptx else "")


def capability(number: str) -> str:
    """`90` and `90a` are 9.0, `120` is 12.0."""
    digits = number.rstrip("abcdefghijklmnopqrstuvwxyz")
    return f"{digits[:-1]}.{digits[-1:]}"


def trial(torch: Torch) -> Found:
    """The program that tries images (images/qualify.py), whole."""
    done = torch.run(str(QUALIFY), "--expect", "cuda", *(["--short"] if torch.short else []), within_s=TRIAL_WITHIN_S)
    report = report_of(done.stdout)
    if report is None:
        raise Failed(f"The trial came to no end: {last_line(done.stderr or done.stdout)}")
    failed = [f"{name}: {one['words']}" for name, one in report["checks"].items() if not one["passed"]]
    if failed:
        raise Failed("; ".join(failed))
    return Found("; ".join(f"{name}: {one['words']}" for name, one in report["checks"].items()), report)


def report_of(said: str) -> dict[str, Any] | None:
    """The program's line of JSON."""
    lines = [line for line in said.splitlines() if line.startswith("{")]
    return dict(json.loads(lines[-1])) if lines else None


def full(torch: Torch) -> Found:
    """What torch writes when the card is full is what a lab's end is told by."""
    done = torch.run("-c", FILL, within_s=IMPORT_WITHIN_S)
    end = end_told_by(done.stderr)
    if end != "cuda_out_of_memory":
        raise Failed(f"A full card is not recognised in what torch writes: {last_line(done.stderr)}")
    return Found(f"a lab that ends so is told why: {last_line(done.stderr)[:160]}")


def last_line(text: str) -> str:
    """What a program said last."""
    return (text.strip().splitlines() or ["it said nothing"])[-1]


def checks(torch: Torch) -> Sequence[tuple[str, Callable[[], Found]]]:
    """All of them."""
    return (
        ("torch and the driver", lambda: expected(torch)),
        ("the trial of images", lambda: trial(torch)),
        ("a full card in torch", lambda: full(torch)),
    )
