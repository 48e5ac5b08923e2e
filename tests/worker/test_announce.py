"""Announcements reach the terminals of a node's labs, once."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from labs.announcements.models import Told
from labs.announcements.services import announcement_make
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_assign, lab_ready
from labs.people.models import User
from worker.loops import announce, idle

pytestmark = pytest.mark.django_db


def test_every_terminal_of_a_running_lab_gets_the_words_once(
    alice: User, root_admin: User, lab_of: Callable[..., Lab], now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr(idle, "terminals_write", lambda *, pids, words: written.append(words) or len(list(pids)))
    lab = lab_of(alice)
    assert lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=[], now=now)
    assert lab_ready(lab_id=lab.pk, attempt=1, verified={}, not_held=[], now=now)
    announcement_make(words="Save your work.", until=now + timedelta(hours=1), to_terminals=True, actor=root_admin, now=now)
    assert announce.tick(hands=_hands("n1"), now=now) == 1
    assert announce.tick(hands=_hands("n1"), now=now) == 0
    assert written == ["Save your work."]
    assert Told.objects.get().terminals == 3


def _hands(node_id: str) -> Any:
    runtime = type("Engine", (), {"processes": lambda self, name: [1, 2, 3]})()
    return type("Hands", (), {"node_id": node_id, "runtime": runtime})()
