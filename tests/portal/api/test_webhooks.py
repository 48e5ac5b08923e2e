"""Webhooks by the API and on their page."""

from typing import Any

import pytest
from django.test import Client

from labs.webhooks.models import Call, Hook
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db
WISH = {"name": "book", "url": "https://hooks.example.org/x", "events": ["lab.running", "lab.stopped"]}


def test_a_webhook_is_made_shown_changed_tested_and_removed(calls: Any, alice: Any) -> None:
    caller = calls(alice)
    made = caller.post("/webhooks", WISH)
    assert made.status_code == 201 and made.json()["secret"].startswith("whsec_")
    address = f"/webhooks/{made.json()['id']}"
    assert "secret" not in caller.get(address).json() and caller.get("/webhooks").json()["items"][0]["host"] == "hooks.example.org"
    assert caller.send("PATCH", address, {"paused": True}).json()["paused"] is True
    assert caller.post(f"{address}/test").status_code == 202
    assert [call["kind"] for call in caller.get(f"{address}/calls").json()["items"]] == ["test"]
    assert caller.send("DELETE", address).status_code == 204 and not Hook.objects.exists() and not Call.objects.exists()


def test_a_strangers_webhook_is_not_there(calls: Any, alice: Any, charlie: Any) -> None:
    number = calls(alice).post("/webhooks", WISH).json()["id"]
    stranger = calls(charlie)
    answers = [
        stranger.get(f"/webhooks/{number}"),
        stranger.send("PATCH", f"/webhooks/{number}", {"paused": True}),
        stranger.send("DELETE", f"/webhooks/{number}"),
    ]
    assert [answer.status_code for answer in answers] == [404] * 3 and not Hook.objects.get().paused


def test_everybodys_labs_ask_for_scope_admin(calls: Any, alice: Any, root_admin: Any) -> None:
    wish = WISH | {"everyone": True}
    assert [calls(alice).post("/webhooks", wish).status_code, calls(root_admin, "launch").post("/webhooks", wish).status_code] == [422, 422]
    assert calls(root_admin).post("/webhooks", wish).status_code == 201


def test_the_page_shows_the_secret_once_and_says_what_is_wrong_beside_the_field(alice: Any) -> None:
    browser = Client()
    browser.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
    assert "No webhook yet" in browser.get("/account/webhooks/").content.decode()
    wrong = browser.post("/account/webhooks/", WISH | {"url": "https://10.0.0.1/"})
    assert wrong.status_code == 422 and "private networks are not called" in wrong.content.decode()
    first, second = browser.post("/account/webhooks/", WISH, follow=True).content.decode(), browser.get("/account/webhooks/").content.decode()
    assert "whsec_" in first and "whsec_" not in second and "hooks.example.org" in second
    row = Hook.objects.get()
    assert "on its way" in browser.post(f"/account/webhooks/{row.pk}/test/", follow=True).content.decode()
    assert "On its way" in browser.post(f"/account/webhooks/{row.pk}/pause/", follow=True).content.decode()
    browser.post(f"/account/webhooks/{row.pk}/remove/")
    assert not Hook.objects.exists()
