"""Complaints that could be made every second."""

import logging

import pytest

from labs.bus import seldom
from labs.bus.seldom import EVERY_S, Seldom


def test_what_lasts_is_said_at_once_and_then_once_a_minute(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(seldom.time, "monotonic", lambda: clock[0])
    complaint = Seldom(logging.getLogger("worker.relay"))
    for second in range(600):
        clock[0] = 1000.0 + second
        complaint.warning("away for %d s", second)
    assert [record.getMessage() for record in caplog.records] == [f"away for {int(EVERY_S) * minute} s" for minute in range(10)]
