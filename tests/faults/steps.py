"""Every durable step of the work, found as it is taken: each commit, each write of its own, each change on the engine, each file handed over.

Nobody lists the steps by hand. What the code does is recorded, and then a worker is killed before and after each of
them: a step that is new is tried in the next run.
"""

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import docker
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

from tests.faults.hands import House
from worker.hands import Hands
from worker.runtimes.docker.handover import Handover

BEFORE, AFTER = "before", "after"
_HOUSE = ("labs.", "worker.")
_ID = re.compile(r"gpulab-[\w-]+|[0-9a-f]{64}")
#: Not the functions that take the step, but what they take it with.
_BY_THE_WAY = ("event_record", "lab_advance")

Point = Callable[[str, str], None]


@contextmanager
def steps_seen(point: Point) -> Iterator[None]:
    """Call `point("before" | "after", name)` around every durable step of this process."""
    with ExitStack() as held:
        held.enter_context(patch.object(BaseDatabaseWrapper, "_commit", _around(BaseDatabaseWrapper._commit, point, lambda *_: f"{_place()}: commit")))
        held.enter_context(connection.execute_wrapper(_alone(point)))
        for verb in ("_post", "_delete", "_put"):
            original = getattr(docker.APIClient, verb)
            held.enter_context(patch.object(docker.APIClient, verb, _around(original, point, _call(verb.strip("_").upper()))))
        for name in ("write", "remove"):
            held.enter_context(patch.object(Handover, name, _around(getattr(Handover, name), point, lambda *_, name=name: f"Handover.{name}: files")))
        yield


def _around(original: Callable[..., Any], point: Point, name_of: Callable[..., str]) -> Callable[..., Any]:
    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        name = name_of(*args)
        point(BEFORE, name)
        answer = original(self, *args, **kwargs)
        point(AFTER, name)
        return answer

    return step


def _alone(point: Point) -> Callable[..., Any]:
    """A write outside of a transaction commits by itself."""

    def execute(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        place = _place()
        name = f"{place}: write"
        alone = place and not connection.in_atomic_block and sql.lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE"))
        if alone:
            point(BEFORE, name)
        answer = run(sql, params, many, context)
        if alone:
            point(AFTER, name)
        return answer

    return execute


def _call(verb: str) -> Callable[..., str]:
    return lambda url, *_: f"{_place()}: {verb} {_ID.sub('…', str(url).partition('/v1')[2].partition('/')[2])}"


def _place() -> str:
    """The function of the house that takes the step."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        module, name = frame.f_globals.get("__name__", ""), frame.f_code.co_name
        if module.startswith(_HOUSE) and name not in _BY_THE_WAY and not name.startswith("<"):
            return f"{module}.{name}"
        frame = frame.f_back
    return ""


def recorder(into: int) -> Point:
    """Write each step's name into a pipe."""

    def point(when: str, name: str) -> None:
        if when == BEFORE:
            os.write(into, f"{name}\n".encode())

    return point


def recorded(house: House, work: Callable[[Hands], object]) -> tuple[list[str], int]:
    """The durable steps that an undisturbed worker takes in `work`, and what that answered."""
    out, into = os.pipe()

    def watched(hands: Hands) -> None:
        with steps_seen(recorder(into)):
            answer = work(hands)
        os.write(into, f"={answer}\n".encode())

    assert house.wait(house.fork(watched)) == 0
    os.close(into)
    with os.fdopen(out) as lines:
        *steps, answer = lines.read().splitlines()
    return steps, int(answer.removeprefix("="))


def crashes(steps: list[str], *, both: bool) -> list[tuple[int, str]]:
    """Where to kill a worker so that every state that these steps leave behind is tried.

    Before a step is after the one before it: nothing that lasts lies between. `both` tries the one and the other all the same.
    """
    after = [(at, AFTER) for at in range(len(steps))]
    return [(at, when) for at, _ in after for when in (BEFORE, AFTER)] if both else [(0, BEFORE), *after]


def crash(at: int, when: str) -> Point:
    """Kill this process, as nothing can catch, before or after its step number `at` (from 0)."""
    seen = -1

    def point(now: str, name: str) -> None:
        nonlocal seen
        seen += now == BEFORE
        if seen == at and now == when:
            os.kill(os.getpid(), signal.SIGKILL)

    return point
