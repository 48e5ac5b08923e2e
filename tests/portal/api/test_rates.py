"""A token makes so many requests a minute and is told how many are left."""

from typing import Any

import pytest
import redis
from django.core.cache import cache

from labs.lifecycle.models import Lab
from portal.api import rates

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """One window for the whole test, and small shares."""
    monkeypatch.setattr(rates, "READS", 4)
    monkeypatch.setattr(rates, "WRITES", 2)
    monkeypatch.setattr(rates.time, "time", lambda: 1_800_000_010.0)


def test_what_is_left_is_told_and_then_429_says_when(calls: Any, alice: Any) -> None:
    caller = calls(alice)
    answers = [caller.get("/me") for _ in range(5)]
    assert [answer["RateLimit-Remaining"] for answer in answers] == ["3", "2", "1", "0", "0"]
    assert [answer.status_code for answer in answers] == [200] * 4 + [429]
    last = answers[-1]
    assert last["RateLimit-Limit"] == "4" and last["Retry-After"] == last["RateLimit-Reset"] == "50"
    assert last["Content-Type"] == "application/problem+json" and last.json()["code"] == "too_many_requests"


def test_writing_has_a_smaller_share_and_a_refused_write_makes_nothing(calls: Any, alice: Any, wish: Any) -> None:
    caller = calls(alice)
    statuses = [caller.post("/labs", wish | {"name": f"l{n}"}).status_code for n in range(3)]
    assert statuses == [201, 201, 429] and Lab.objects.count() == 2
    assert caller.get("/me").status_code == 200


def test_one_token_does_not_use_up_anothers_share(calls: Any, alice: Any, bob: Any) -> None:
    for _ in range(5):
        calls(alice).get("/me")
        caller = calls(bob)
    assert caller.get("/me").status_code == 200


def test_without_a_cache_nobody_is_held_up(calls: Any, alice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: Any, **__: Any) -> None:
        raise redis.ConnectionError

    monkeypatch.setattr(cache, "add", down)
    assert [calls(alice).get("/me").status_code for _ in range(5)] == [200] * 5
