"""Choosing messages: what is ticked is sent, the chat's address is never shown again, and failures are seen."""

from datetime import datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from labs.notices.models import Delivery
from labs.notices.outbox import delivery_failed, delivery_take
from labs.notices.queries import choices_of
from labs.notices.services import notice_queue, webhook_set
from labs.people.models import User

PAGE, CHAT, REMOVE, TEST = (reverse(name) for name in ("account_notifications", "account_chat", "account_chat_remove", "account_notifications_test"))
HOOK = "https://hooks.example.org/services/very-secret"


@pytest.fixture(autouse=True)
def _house_with_mail(settings: Any) -> None:
    settings.HAS_MAIL = True


def chosen(user: User) -> set[tuple[str, str]]:
    return {(one.kind.code, channel) for one in choices_of(user=user) for channel in ("mail", "webhook") if getattr(one, channel)}


@pytest.mark.django_db
def test_a_stranger_chooses_nothing(client: Client):
    assert [client.post(url).status_code for url in (PAGE, CHAT, REMOVE, TEST)] == [302] * 4
    assert client.get(PAGE).status_code == 302


def test_what_is_ticked_is_sent_and_the_rest_is_not(as_bob: Client, bob: User):
    as_bob.post(PAGE, {"ready": ["mail", "webhook", "pigeon"], "ended": "mail", "disk": "mail"})
    assert chosen(bob) == {("ready", "mail"), ("ready", "webhook"), ("ended", "mail")}


def test_only_administrators_choose_what_concerns_them(as_bob: Client, as_root: Client):
    assert "A GPU is sick" not in as_bob.get(PAGE).content.decode()
    assert "A GPU is sick" in as_root.get(PAGE).content.decode()


def test_a_chat_address_is_saved_with_a_test_and_never_shown_again(as_bob: Client, bob: User):
    page = as_bob.post(CHAT, {"shape": "slack", "url": HOOK}, follow=True).content.decode()
    assert "hooks.example.org" in page
    assert "very-secret" not in page
    assert set(Delivery.objects.values_list("channel", flat=True)) == {"mail", "webhook"}


def test_an_address_inside_is_refused_beside_its_field_and_not_echoed_to_the_log(as_bob: Client):
    answer = as_bob.post(CHAT, {"shape": "slack", "url": "https://192.168.0.1/x"})
    assert answer.status_code == 422
    assert "private networks are not called" in answer.content.decode()


def test_a_chat_address_is_removed(as_bob: Client, bob: User, now: datetime):
    webhook_set(user=bob, url=HOOK, shape="slack", now=now)
    as_bob.post(REMOVE)
    assert "hooks.example.org" not in as_bob.get(PAGE).content.decode().replace("by", "")


def test_a_test_is_sent_once_a_minute(as_bob: Client):
    assert "on its way" in as_bob.post(TEST, follow=True).content.decode()
    as_bob.post(TEST)
    assert Delivery.objects.count() <= 2  # the minute may turn between the two


def test_without_a_way_out_the_page_says_what_to_do(as_bob: Client, settings: Any):
    settings.HAS_MAIL = False
    assert "Add a chat address below" in as_bob.get(PAGE).content.decode()


def test_a_failure_is_seen_by_its_reader_and_by_administrators(as_bob: Client, as_root: Client, as_charlie: Client, bob: User, now: datetime):
    notice_queue(user=bob, kind="ready", subject="resnet is ready", words="It runs.", url="/labs/x/", now=now)
    pk = Delivery.objects.get().pk
    delivery_take(delivery_id=pk, now=now)
    delivery_failed(delivery_id=pk, words="The mail server does not answer.", permanent=False, now=now)
    page = as_bob.get(PAGE).content.decode()
    assert "The mail server does not answer. It is tried again." in page
    assert "resnet" not in as_charlie.get(PAGE).content.decode()
    overview = as_root.get(reverse("manage")).content.decode()
    assert "could not be sent" in overview
    assert "The mail server does not answer." in overview
