"""What each check found, for people and as JSON."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from worker.probes.base import ProbeFault


class State(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    LEFT_OUT = "left out"


class Failed(Exception):
    """What is not as it should be, in words."""


class LeftOut(Exception):
    """Why something could not be tried here, in words with the way to try it."""


@dataclass(frozen=True, slots=True)
class Found:
    """A check's finding: words, and figures beside them."""

    words: str
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one check ended. `seconds` is what it took."""

    name: str
    state: State
    words: str
    seconds: float
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """As a person reads it."""
        return f"{self.state.value:>8}  {self.name}: {self.words}"


def tried(name: str, check: Callable[[], Found]) -> Outcome:
    """Run one check. What it raises is a failure in words, so that the others are tried all the same."""
    began = time.monotonic()
    state, found = _ended(check)
    return Outcome(name, state, found.words, round(time.monotonic() - began, 2), found.figures)


def _ended(check: Callable[[], Found]) -> tuple[State, Found]:
    try:
        return State.PASSED, check()
    except LeftOut as why:
        return State.LEFT_OUT, Found(str(why))
    except (Failed, ProbeFault) as why:
        return State.FAILED, Found(str(why))
    except Exception as error:
        return State.FAILED, Found(f"{type(error).__name__}: {error}")


def as_json(outcomes: Sequence[Outcome], about: Mapping[str, Any]) -> dict[str, Any]:
    """The whole report; `about` says when, and which driver and cards."""
    return {**about, "passed": all(one.state != State.FAILED for one in outcomes), "checks": [asdict(one) for one in outcomes]}


def summary(outcomes: Sequence[Outcome]) -> str:
    """The last line."""
    count = {state: sum(one.state == state for one in outcomes) for state in State}
    said = f"{count[State.PASSED]} passed, {count[State.FAILED]} failed, {count[State.LEFT_OUT]} left out."
    if count[State.FAILED]:
        return f"{said} Mend what failed before labs get these cards."
    return f"{said} {'Nothing that was tried speaks against these cards' if count[State.LEFT_OUT] else 'GPU Lab can hand these cards out'}."
