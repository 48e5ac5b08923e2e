"""Announcements above the pages, and the administrators' page of them."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from labs.announcements.models import Announcement

pytestmark = pytest.mark.django_db
WORDS = "The house moves on Friday."


def announce(browser: Client, **changes: object) -> int:
    until = f"{timezone.now() + timedelta(hours=1):%Y-%m-%dT%H:%M}"
    return browser.post(reverse("manage_announcements"), {"words": WORDS, "tone": "warning", "until": until, **changes}).status_code


def test_what_an_administrator_announces_stands_on_everybodys_pages_at_once(as_root: Client, as_alice: Client) -> None:
    assert WORDS not in as_alice.get(reverse("account")).content.decode()
    assert announce(as_root) == 302
    for name in ("account", "announcements", "images"):
        assert WORDS in as_alice.get(reverse(name)).content.decode(), name


def test_put_away_it_is_gone_for_that_reader_alone(as_root: Client, as_alice: Client, as_bob: Client) -> None:
    announce(as_root)
    made = Announcement.objects.get()
    answer = as_alice.post(reverse("announcement_hide", args=[made.pk]), headers={"Referer": "http://testserver/images/"})
    assert answer["Location"] == "http://testserver/images/"
    assert as_alice.post(reverse("announcement_hide", args=[made.pk]), headers={"Referer": "http://evil.example/"})["Location"] == "/"
    assert WORDS not in as_alice.get(reverse("account")).content.decode()
    assert WORDS in as_bob.get(reverse("account")).content.decode()


def test_withdrawn_it_is_gone_for_all(as_root: Client, as_alice: Client) -> None:
    announce(as_root)
    as_alice.get(reverse("account"))
    assert as_root.post(reverse("manage_announcement_withdraw", args=[Announcement.objects.get().pk])).status_code == 302
    assert WORDS not in as_alice.get(reverse("account")).content.decode()
    assert as_root.post(reverse("manage_announcement_withdraw", args=[4711])).status_code == 404


def test_others_can_neither_announce_nor_withdraw(as_root: Client, as_alice: Client) -> None:
    announce(as_root)
    assert announce(as_alice) == 403
    assert as_alice.post(reverse("manage_announcement_withdraw", args=[Announcement.objects.get().pk])).status_code == 403
    assert Announcement.objects.filter(withdrawn_at=None).count() == 1


def test_what_is_wrong_is_said_beside_the_field(as_root: Client) -> None:
    assert announce(as_root, until="2020-01-01T00:00") == 422
    answer = as_root.post(reverse("manage_announcements"), {"words": "x", "tone": "note", "until": "2020-01-01T00:00"}).content.decode()
    assert "from now to a year ahead" in answer
    assert not Announcement.objects.exists()


def test_markup_in_an_announcement_is_shown_as_it_was_written(as_root: Client) -> None:
    announce(as_root, words="<script>alert(1)</script>")
    assert "&lt;script&gt;alert(1)" in as_root.get(reverse("account")).content.decode()
