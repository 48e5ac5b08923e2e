"""Which checkpoints stay, which caches there are, and when a workspace is tidied. Pure.

A checkpoint's quality is in its name, as Lightning writes it: `epoch=12-val_loss=0.31.ckpt`. That needs no library of ours in anybody's program.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

#: What is done in a workspace, and how that is said.
LOOK, CHECKPOINTS, CACHES = "look", "checkpoints", "caches"
KINDS = {LOOK: "Looked at", CHECKPOINTS: "Checkpoints", CACHES: "Caches"}
ASKED, DONE, FAILED = "asked", "done", "failed"
STATES = {ASKED: "Under way", DONE: "Done", FAILED: "Not done"}
BY_HAND, BY_RULE = "asked", "rule"
WHY = {BY_HAND: "you asked for it", BY_RULE: "by your rule"}
#: The same as the audit log has it.
WHOSE = {BY_HAND: "their owner asked for it", BY_RULE: "by their owner's rule"}
SMALLEST, GREATEST = "min", "max"
#: Caches that programs fill again by themselves: key, and what a person knows it as.
CACHE_WORDS = {
    "pip": "Packages that pip and uv fetched",
    "huggingface": "Models and data of Hugging Face",
    "torch": "Models of torch.hub",
    "conda": "Packages that conda fetched",
}
#: Changed so lately, it may be half written still.
QUIET = timedelta(minutes=10)
#: How often checkpoints are looked at while their owner has a lab.
EVERY = timedelta(hours=1)
#: What could not be done within this has failed.
PATIENCE = timedelta(minutes=15)
NEWEST_MOST, FOLDERS_MOST = 100, 10
METRIC = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_NUMBER = r"([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
#: Stems of those that a program writes anew each time and goes on with.
PINNED = re.compile(r"(?:last|latest|best|final|model_best|checkpoint)(?:-v\d+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Keep:
    """What stays in each folder: the `newest`, and the best by the number behind `metric=` in the name (empty: no best)."""

    newest: int = 3
    metric: str = ""
    direction: str = SMALLEST


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One file or folder of the workspace: bytes, when it was written last and when it was touched at all (moved, restored), in seconds of the
    epoch. `linked`: a link beside it leads to it."""

    path: str
    size: int
    changed: float
    touched: float
    linked: bool = False

    @property
    def folder(self) -> str:
        """Where it lies."""
        return self.path.rpartition("/")[0]

    @property
    def name(self) -> str:
        """Without its folder."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one, and why it stays; empty where it goes."""

    one: Checkpoint
    stays: str

    @property
    def goes(self) -> bool:
        """Is it too much?"""
        return not self.stays


def value_of(name: str, metric: str) -> float | None:
    """The number that stands behind `metric=` in a name; None where there is none, or it is no number to compare."""
    if not metric:
        return None
    found = re.search(rf"(?<![A-Za-z0-9_]){re.escape(metric)}={_NUMBER}", name)
    value = float(found[1]) if found else math.nan
    return value if math.isfinite(value) else None


def judged(found: Iterable[Checkpoint], keep: Keep, *, now: float) -> list[Verdict]:
    """Every one with what becomes of it, folder by folder, the newest first."""
    folders: dict[str, list[Checkpoint]] = {}
    for one in found:
        folders.setdefault(one.folder, []).append(one)
    return [verdict for folder in sorted(folders) for verdict in _folder(folders[folder], keep, now)]


def _folder(own: Sequence[Checkpoint], keep: Keep, now: float) -> list[Verdict]:
    ordered = sorted(own, key=lambda one: (-one.changed, one.path))
    counted = [one for one in ordered if not _pinned(one)]
    newest, best = {one.path for one in counted[: keep.newest]}, best_of(ordered, keep)
    return [Verdict(one, _stays(one, one.path in newest, one == best, keep, now)) for one in ordered]


def _stays(one: Checkpoint, new: bool, best: bool, keep: Keep, now: float) -> str:
    """Why it stays; the first reason that a person would name."""
    if best:
        return f"the best by {keep.metric}"
    if new:
        return f"one of the newest {keep.newest}" if keep.newest > 1 else "the newest"
    if _pinned(one):
        return "its program goes on with it"
    return "changed a moment ago" if one.touched > now - QUIET.total_seconds() else ""


def best_of(own: Sequence[Checkpoint], keep: Keep) -> Checkpoint | None:
    """The best of one folder, the first of several that are alike; None where no name has a number."""
    rated = [(value, one) for one in own if (value := value_of(one.name, keep.metric)) is not None]
    if not rated:
        return None
    return (min if keep.direction == SMALLEST else max)(rated, key=lambda pair: pair[0])[1]


def _pinned(one: Checkpoint) -> bool:
    return one.linked or PINNED.fullmatch(one.name.partition(".")[0]) is not None


def folder_check(text: str) -> str:
    """A folder as it is kept: below the workspace, without empty steps. Raises ValueError with words."""
    parts = [part for part in text.strip().removeprefix("/workspace/").split("/") if part not in ("", ".")]
    if not parts or text.strip() == "/workspace":
        raise ValueError("Name a folder of your workspace, as checkpoints.")
    if ".." in parts or not text.isprintable() or len(text) > 200:
        raise ValueError(f"“{text[:60]}” is no folder of your workspace.")
    if parts[0] == ".gpulab":
        raise ValueError("The folder .gpulab is kept by the house.")
    return "/".join(parts)


def checkpoints_due(*, last: datetime | None, live: bool, ended_at: datetime | None, now: datetime) -> bool:
    """Every hour while their owner has a lab on the node, and once more when what the last one wrote has come to rest."""
    rested = ended_at + QUIET if ended_at else None
    if rested and rested <= now and (last is None or rested > last):
        return True
    return live and (last is None or now - last >= EVERY)


def caches_due(*, since: datetime, live: bool, ended_at: datetime | None) -> bool:
    """When the last lab on the node has ended after `since`: when that was wished, or done last."""
    return not live and ended_at is not None and ended_at > since
