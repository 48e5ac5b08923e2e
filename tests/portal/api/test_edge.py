"""Unchanged answers are not sent again, and what is made under a key is made once."""

from typing import Any

import pytest
from django.test import Client

from labs.people.models import ApiRequest, ApiToken, Group
from tests.support.callers import BASE

pytestmark = pytest.mark.django_db
GROUP = {"kind": "organisation", "name": "Institute", "slug": "institute"}


def test_an_unchanged_answer_is_not_sent_again(calls: Any, alice: Any, lab_of: Any) -> None:
    caller = calls(alice)
    tag = caller.get("/labs")["ETag"]
    browser = Client(headers={"Authorization": f"Bearer {caller.secret}", "If-None-Match": tag})
    again = browser.get(f"{BASE}/labs")
    assert (again.status_code, again.content) == (304, b"")
    lab_of(alice)
    assert browser.get(f"{BASE}/labs").status_code == 200


def test_what_is_sent_twice_under_one_key_is_made_once(calls: Any, root_admin: Any) -> None:
    caller = calls(root_admin)
    first, second = (caller.post("/groups", GROUP, key="one") for _ in range(2))
    assert (first.status_code, second.status_code, first.json()) == (201, 201, second.json())
    assert Group.objects.filter(slug="institute").count() == 1


def test_a_secret_comes_back_under_its_key_and_is_not_readable_in_the_record(calls: Any, alice: Any) -> None:
    caller = calls(alice)
    first, second = (caller.post("/me/tokens", {"name": "ci"}, key="one") for _ in range(2))
    assert first.json()["secret"] == second.json()["secret"]
    assert ApiToken.objects.filter(user=alice, name="ci").count() == 1
    assert first.json()["secret"] not in ApiRequest.objects.get().answer_sealed


def test_a_key_of_another_request_or_of_another_caller_is_not_this_one(calls: Any, root_admin: Any, alice: Any) -> None:
    caller = calls(root_admin)
    caller.post("/groups", GROUP, key="one")
    other = caller.post("/groups", GROUP | {"slug": "another"}, key="one")
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")
    assert calls(alice).post("/me/tokens", {"name": "ci"}, key="one").status_code == 201


def test_a_refusal_is_not_kept(calls: Any, root_admin: Any) -> None:
    caller = calls(root_admin)
    assert caller.post("/groups", GROUP | {"kind": "team"}, key="one").status_code == 422
    assert caller.post("/groups", GROUP, key="one").status_code == 201


def test_a_revoked_token_gets_no_kept_answer(calls: Any, alice: Any) -> None:
    caller = calls(alice)
    caller.post("/me/tokens", {"name": "ci"}, key="one")
    ApiToken.objects.filter(user=alice, name="test").update(revoked_at=alice.date_joined)
    again = caller.post("/me/tokens", {"name": "ci"}, key="one")
    assert again.status_code == 401 and "secret" not in again.json()
