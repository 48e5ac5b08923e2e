"""Programs of the house in labs: their owners may stop them, or put others of that name in their place, and no worker waits or fills up for it."""

import json
import queue
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from worker.runtimes.base import RuntimeFault
from worker.runtimes.docker import heard as module
from worker.runtimes.docker.client import Engine
from worker.runtimes.docker.heard import heard, said
from worker.runtimes.docker.jobs import lab_heard, lab_job
from worker.runtimes.docker.probe import reached_from


class _Pieces:
    """What a program says; without an end when it does not end, as the engine's library has it, until it is closed."""

    def __init__(self, told: list[bytes], ends: bool) -> None:
        self.closed = False
        self._left: queue.Queue[bytes | None] = queue.Queue()
        for one in told:
            self._left.put(one)
        if ends:
            self._left.put(None)

    def __iter__(self) -> Iterator[bytes]:
        while (piece := self._left.get()) is not None:
            yield piece

    def close(self) -> None:
        self.closed = True
        self._left.put(None)


class _Api:
    """An engine in whose labs a program says this."""

    def __init__(self, *told: bytes, ends: bool = True) -> None:
        self.pieces = _Pieces(list(told), ends)

    def exec_create(self, *_: Any, **__: Any) -> dict[str, str]:
        return {"Id": "1"}

    def exec_start(self, *_: Any, **__: Any) -> _Pieces:
        return self.pieces

    def exec_inspect(self, _: str) -> dict[str, int | None]:
        return {"ExitCode": None}


def _engine(api: _Api) -> Engine:
    engine = Engine()
    engine._api = api  # type: ignore[assignment]
    return engine


def test_what_a_program_says_is_heard_to_its_end() -> None:
    api = _Api(b"one ", b"two")
    assert (said(api, "1"), api.pieces.closed) == (b"one two", True)


def test_a_program_that_was_stopped_is_not_waited_for() -> None:
    api = _Api(b"half", ends=False)
    with pytest.raises(RuntimeFault, match="in time"):
        said(api, "1", within_s=0.05)
    assert api.pieces.closed


def test_endless_words_are_not_kept() -> None:
    api = _Api(*[b"x" * 1000] * 20, ends=False)
    with pytest.raises(RuntimeFault, match="more than"):
        said(api, "1", most=10_000)
    assert api.pieces.closed


def test_a_program_that_goes_on_talking_may_take_longer_than_one_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 60))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    api = _Api(*[b"x"] * 5)
    assert list(heard(api, "1", 3600, anew=True)) == [b"x"] * 5


def test_whoever_hears_no_more_leaves_nothing_open() -> None:
    api = _Api(b"one", b"two", ends=False)
    with closing(heard(api, "1", 3600)) as pieces:
        assert next(pieces) == b"one"
    assert api.pieces.closed


def test_a_silent_program_ends_the_house_s_work_in_a_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.runtimes.docker.jobs.SPARE_S", 0)
    with pytest.raises(RuntimeFault, match=module.LATE):
        lab_job(_engine(_Api(ends=False)), name="lab", script="", arguments=(), within_s=0)
    monkeypatch.setattr("worker.runtimes.docker.jobs.PATIENCE_S", 0.05)
    with pytest.raises(RuntimeFault, match=module.LATE):
        lab_heard(_engine(_Api(b"x", ends=False)), name="lab", script="", arguments=(), hear=lambda _: None)


TARGETS = [("169.254.169.254", 80), ("10.0.0.1", 9)]


@pytest.mark.parametrize(
    ("told", "found"),
    [([], []), (["10.0.0.1:9", "10.0.0.1:9"], ["10.0.0.1:9"]), (["<b>anything", 7], []), ({"10.0.0.1:9": 1}, []), (5, []), (None, [])],
    ids=["nothing", "one", "strange", "an-object", "a-number", "null"],
)
def test_of_what_a_lab_says_it_reaches_only_what_was_asked_counts(told: object, found: list[str]) -> None:
    assert reached_from(_Api(json.dumps(told).encode()), "lab", TARGETS) == found


@pytest.mark.parametrize("told", [b"no json", b"[" * 200_000], ids=["no-json", "deep"])
def test_a_probe_that_makes_no_sense_is_a_fault(told: bytes) -> None:
    with pytest.raises(RuntimeFault):
        reached_from(_Api(told), "lab", TARGETS)
