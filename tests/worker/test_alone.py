"""A node that is cut off and whose worker is started anew keeps time: from a file of its own, until the record answers."""

import stat
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from tests.support.hands import AtOnce, NoCards
from worker import node
from worker.hands import Hands
from worker.loops import alone
from worker.runtimes.fake import FakeRuntime

NOW = timezone.now()


class Ends(FakeRuntime):
    """Remembers what was ended."""

    def __init__(self) -> None:
        super().__init__()
        self.ended: list[str] = []

    def stop(self, name: str, grace_s: float) -> None:
        self.ended.append(name)


@pytest.fixture
def runtime(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Ends:
    """This node's, whose worker starts while the record is away for three looks."""
    made, looks = Ends(), iter((False, False, False, True))
    settings.GPULAB_HOME = tmp_path
    monkeypatch.setattr(node, "_record_answers", lambda: next(looks))
    monkeypatch.setattr(node, "process", lambda realm: made)
    monkeypatch.setattr(alone, "pool", AtOnce())
    monkeypatch.setattr(alone, "AWAY_S", 0)
    monkeypatch.setattr("worker.hands.close_old_connections", lambda: None)
    return made


def _keep(home: Path, **limits: datetime) -> None:
    alone.Kept("process", "abcd1234", limits).write(home / "limits.json")


def test_labs_whose_time_is_up_are_ended_and_others_go_on(runtime: Ends, tmp_path: Path) -> None:
    _keep(tmp_path, over=NOW - timedelta(minutes=1), on=NOW + timedelta(hours=1))
    node.record_await(every_s=0)
    assert runtime.ended == ["over"]


def test_a_file_that_is_not_there_or_broken_ends_nothing(runtime: Ends, tmp_path: Path) -> None:
    node.record_await(every_s=0)
    (tmp_path / "limits.json").write_text('{"runtime": "process"')
    assert alone.kept_read(tmp_path / "limits.json") is None
    assert runtime.ended == []


def test_a_record_that_is_there_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it waited"))
    assert node._record_answers() is True
    node.record_await(every_s=60)


@pytest.mark.parametrize("fault", [OperationalError("the connection failed")])
def test_a_record_that_fails_is_away(monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    def fail() -> None:
        raise fault

    monkeypatch.setattr(node, "database_now", fail)
    monkeypatch.setattr(node, "connection", type("Connection", (), {"close": staticmethod(lambda: None)}))
    assert node._record_answers() is False


def test_the_file_is_written_when_something_changed_and_for_root_alone(tmp_path: Path) -> None:
    written: list[dict[str, datetime]] = []

    def keep(limits: dict[str, datetime]) -> None:
        written.append(limits)
        _keep(tmp_path, **limits)

    hands = Hands(node_id="n1", runtime=FakeRuntime(), probe=NoCards(), keep=keep)
    for limits in ({}, {}, {"a": NOW}, {"a": NOW}, {"a": NOW + timedelta(hours=1)}, {}):
        alone.remember(hands=hands, limits=dict(limits))
    assert written == [{}, {"a": NOW}, {"a": NOW + timedelta(hours=1)}, {}]
    path = tmp_path / "limits.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert alone.kept_read(path) == alone.Kept("process", "abcd1234", {})
    assert [file.name for file in tmp_path.iterdir()] == ["limits.json"]
