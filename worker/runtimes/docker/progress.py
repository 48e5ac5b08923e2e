"""What an engine says while it pulls or builds -> percent and words."""

import re
from typing import Any

from worker.runtimes.makes import Layer

MEGABYTE = 1_000_000
#: Of a pull's progress, what downloading takes; the rest is unpacking.
DOWNLOAD_SHARE = 0.7
_STEP = re.compile(r"Step (\d+)/(\d+) : (.*)")


class BuildProgress:
    """Steps of a build -> percent and words."""

    def __init__(self) -> None:
        self._percent = 0
        self._words = "Beginning"
        self._pull = PullProgress()
        self._lines: list[str] = []

    def hear(self, line: dict[str, Any]) -> tuple[int, str]:
        """Take one line of the engine's stream."""
        text = str(line.get("stream", "")).strip()
        step = _STEP.match(text)
        if step:
            number, of = int(step.group(1)), int(step.group(2))
            self._percent = 100 * (number - 1) // of
            self._words = f"Building, step {number} of {of}: {_short(step.group(3))}"
        elif "progressDetail" in line:  # the base is being pulled
            return self._percent, f"Base image: {self._pull.hear(line)[1]}"
        elif text:
            self._lines = [*self._lines[-30:], text]
        return self._percent, self._words

    def tail(self) -> str:
        """The last lines that the build said."""
        return "\n".join(self._lines)


def _short(instruction: str) -> str:
    words = instruction.split()
    return " ".join(words)[:60]


class PullProgress:
    """Layers of a pull -> percent and words."""

    def __init__(self) -> None:
        self._done: dict[str, tuple[int, int]] = {}
        self._unpacked: set[str] = set()
        self._layers: dict[str, None] = {}
        self._percent = 0

    def hear(self, line: dict[str, Any]) -> tuple[int, str]:
        """Take one line of the engine's stream."""
        layer, status, detail = line.get("id", ""), line.get("status", ""), line.get("progressDetail") or {}
        if layer and status in ("Pulling fs layer", "Already exists", "Downloading", "Waiting"):
            self._layers[layer] = None
        if status == "Downloading" and detail.get("total"):
            self._done[layer] = (detail["current"], detail["total"])
        if status in ("Download complete", "Pull complete", "Already exists") and layer in self._done:
            self._done[layer] = (self._done[layer][1], self._done[layer][1])
        if status in ("Pull complete", "Already exists"):
            self._unpacked.add(layer)
        return self._said()

    def layers(self) -> list[Layer]:
        """Each layer, as it was named first."""
        return [Layer(name, *self._done.get(name, (0, 0)), unpacked=name in self._unpacked) for name in self._layers]

    def _said(self) -> tuple[int, str]:
        current, total = (sum(column) for column in zip(*self._done.values(), strict=True)) if self._done else (0, 0)
        layers = len(self._layers)
        downloaded = current / total if total else 0.0
        unpacked = len(self._unpacked) / layers if layers else 0.0
        percent = round(100 * (DOWNLOAD_SHARE * downloaded + (1 - DOWNLOAD_SHARE) * unpacked))
        # A layer's size is told only when its turn comes: what was said before is not taken back.
        self._percent = max(self._percent, min(percent, 99))
        words = f"{len(self._unpacked)} of {layers} layers, {current // MEGABYTE} of {total // MEGABYTE} MB"
        return self._percent, words if layers else "Asking the registry"

    def tail(self) -> str:
        """Nothing more than the error itself."""
        return ""
