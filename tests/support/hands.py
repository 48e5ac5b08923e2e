"""A node's hands over a runtime in memory, and a clock that the test moves."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from labs.lifecycle.models import Lab
from tests.support.waiting import wait_for
from worker.hands import Hands
from worker.loops import reconcile, schedule
from worker.loops.quotas import Limits
from worker.probes.base import NodeReading
from worker.quotas.base import Lack
from worker.quotas.fake import FakeQuotas
from worker.runtimes.base import Difference, LabSpec, Verification
from worker.runtimes.fake import FakeRuntime, RefusingRuntime
from worker.runtimes.process.places import FolderPlaces


class DifferingRuntime(FakeRuntime):
    """An engine that gives something else than was asked."""

    def __init__(self, difference: Difference) -> None:
        super().__init__()
        self.difference = difference

    def verify(self, spec: LabSpec) -> Verification:
        return Verification(found={}, differences=[self.difference])


class NoCards:
    """A probe of a node without cards."""

    kind = "none"

    def read(self) -> NodeReading:
        return NodeReading("none", "", "", ())

    def close(self) -> None:
        pass


class AtOnce(Executor):
    """Runs work where it is submitted, so that a tick is over when it returns."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


@dataclass
class Round:
    """Schedule and reconcile by the clock alone."""

    hands: Hands
    now: datetime
    quotas: FakeQuotas = field(default_factory=lambda: FakeQuotas(why=Lack("Nothing here keeps limits.")))
    places: FolderPlaces = field(default_factory=lambda: FolderPlaces(Path("/nowhere")))

    @cached_property
    def limits(self) -> Limits:
        """What the node keeps limits of workspaces with: nothing, unless a test lets `quotas` lack nothing."""
        return Limits(hands=self.hands, places=self.places, quotas=self.quotas)

    @property
    def runtime(self) -> Any:
        return self.hands.runtime

    def tick(self) -> None:
        schedule.tick(now=self.now)
        reconcile.tick(hands=self.hands, now=self.now)

    def until(self, lab: Lab, state: str, *, attempt: int | None = None) -> None:
        """Tick, a few seconds apart, until the lab is in that state."""

        def there() -> bool:
            self.now += timedelta(seconds=5)
            self.tick()
            row = Lab.objects.get(pk=lab.pk)
            return row.state == state and attempt in (None, row.attempt)

        wait_for(there, within=60, what=f"lab {lab} {state}")


@pytest.fixture
def round_of(node: Any, now: datetime, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Round]:
    """`round_of()`, `round_of(refuse="words")`, `round_of(differ=(what, asked, found))`."""
    monkeypatch.setattr(reconcile, "pool", AtOnce())

    def build(*, refuse: str = "", differ: tuple[str, str, str] | None = None) -> Round:
        runtime = FakeRuntime()
        if refuse:
            runtime = RefusingRuntime(words=refuse, transient=True)
        elif differ:
            runtime = DifferingRuntime(Difference(differ[0], "engine", differ[1], differ[2]))
        house = Round(Hands(node_id=node.pk, runtime=runtime, probe=NoCards()), now)
        runtime.node_id = node.realm
        house.hands.clock = lambda: house.now
        return house

    return build
