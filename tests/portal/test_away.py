"""What people see while Redis or the database is away."""

from typing import Any

import pytest
from django.core.cache import cache
from django.db import OperationalError, connection
from django.http import HttpResponse
from django.test import Client

from portal.cache import SoftRedisCache
from tests.conftest import PASSWORD
from tests.support.callers import Caller

NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def away() -> SoftRedisCache:
    return SoftRedisCache(NOWHERE, {"OPTIONS": {"socket_connect_timeout": 1}})


def test_tries_are_counted_by_the_process_while_redis_is_away(away: SoftRedisCache):
    away.clear()
    assert away.add("tries", 1) and not away.add("tries", 1)
    assert away.incr("tries") == 2 and away.get("tries") == 2
    away.set("x", 1, timeout=5)
    assert away.get_many(["x", "y"]) == {"x": 1}


def test_an_absent_redis_is_asked_once_and_then_left_alone(away: SoftRedisCache, caplog: pytest.LogCaptureFixture):
    for _ in range(5):
        away.get("tries")
    assert caplog.text.count("each process counts for itself") == 1


@pytest.mark.django_db
def test_people_sign_in_while_redis_is_away_and_wrong_tries_are_still_limited(alice: Any, bob: Any, settings: Any):
    settings.CACHES = {"default": {"BACKEND": "portal.cache.SoftRedisCache", "LOCATION": NOWHERE}}
    cache.clear()

    def sign_in(person: Any, password: str) -> HttpResponse:
        return Client().post("/accounts/login/", {"login": person.email, "password": password})

    tries = [sign_in(alice, "wrong").content.decode() for _ in range(8)]
    assert "Too many" not in tries[0] and "Too many" in tries[-1]
    assert sign_in(bob, PASSWORD).status_code == 302


@pytest.fixture
def database_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(connection, "cursor", refuse)


@pytest.mark.django_db
def test_the_api_answers_503_in_words_while_the_database_is_away(database_away: None):
    answer = Caller("gpa_something").get("/labs")
    assert answer.status_code == 503 and answer["Content-Type"] == "application/problem+json" and answer["Retry-After"]
    assert answer.json()["code"] == "database_away" and "Running labs go on" in answer.json()["detail"]


@pytest.mark.django_db
def test_pages_answer_503_in_words_while_the_database_is_away(client: Client, alice: Any, monkeypatch: pytest.MonkeyPatch):
    client.force_login(alice)
    client.raise_request_exception = False
    monkeypatch.setattr(connection, "cursor", lambda *_, **__: (_ for _ in ()).throw(OperationalError("connection refused")))
    answer = client.get("/")
    assert answer.status_code == 503 and "Running labs go on" in answer.content.decode()


@pytest.mark.django_db
def test_the_health_question_says_that_the_database_is_away(client: Client, database_away: None):
    assert client.get("/healthz").status_code == 503
