"""The page of webhooks: what it says, and what its buttons do."""

from datetime import datetime

from django.test import Client
from django.urls import reverse

from labs.people.models import User
from labs.webhooks.models import Call, Hook
from labs.webhooks.services import hook_create


def test_a_second_click_pauses_no_less_and_events_are_told_in_words(as_alice: Client, alice: User, now: datetime) -> None:
    made, _ = hook_create(owner=alice, name="lab book", url="http://127.0.0.1:9/", events=["lab.running", "lab.failed"], everyone=False, now=now)
    Call.objects.create(hook=made, kind="lab.running", body={}, queued_at=now, next_try_at=now)
    for _ in range(2):
        as_alice.post(reverse("account_webhook_pause", args=[made.pk]), {"paused": "yes"})
        assert Hook.objects.get().paused
    page = as_alice.get(reverse("account_webhooks")).content.decode()
    assert "It could not be started, or was lost" in page and ">lab.failed<" not in page and '"Event">It runs<' in page
    as_alice.post(reverse("account_webhook_pause", args=[made.pk]), {"paused": "no"})
    assert not Hook.objects.get().paused
