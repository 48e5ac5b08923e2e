"""When somebody was last seen: written once a minute, and at once from elsewhere."""

from datetime import timedelta

import pytest
from allauth.usersessions.models import UserSession
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

pytestmark = pytest.mark.django_db
OF_SESSIONS = "usersessions_usersession"


def asked(browser: Client, **headers: str) -> list[str]:
    with CaptureQueriesContext(connection) as taken:
        assert browser.get(reverse("account_keys"), headers=headers).status_code == 200
    return [query["sql"] for query in taken if OF_SESSIONS in query["sql"]]


def test_the_first_page_notes_the_session_and_the_next_within_a_minute_ask_nothing(as_alice: Client) -> None:
    assert asked(as_alice)
    assert UserSession.objects.count() == 1
    assert asked(as_alice) == []


def test_another_browser_with_the_same_session_is_noted_at_once(as_alice: Client) -> None:
    asked(as_alice)
    assert asked(as_alice, user_agent="curl/8")
    assert UserSession.objects.get().user_agent == "curl/8"


def test_a_minute_later_it_is_noted_when_somebody_was_last_seen(as_alice: Client) -> None:
    asked(as_alice)
    UserSession.objects.update(last_seen_at=timezone.now() - timedelta(hours=1))
    cache.clear()
    asked(as_alice)
    assert timezone.now() - UserSession.objects.get().last_seen_at < timedelta(minutes=1)
