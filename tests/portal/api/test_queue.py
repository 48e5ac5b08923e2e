"""The queue by API: what everybody may know, levers, offers, and an administrator's moves."""

from typing import Any

import pytest

from labs.lifecycle.models import Lab, QueueMove
from tests.support.queue import tick

CARDS = ["GPU-00000000-test", "GPU-00000001-test"]


@pytest.fixture
def waiting(lab_of: Any, alice: Any, charlie: Any, running: Any) -> Lab:
    """A lab of alice's that waits for a card that charlie holds."""
    running(lab_of(charlie, gpus=2, hours=8), CARDS)
    lab: Lab = lab_of(alice, gpus=1, name="thesis")
    return lab


def test_the_queue_says_everything_of_ones_own_and_nothing_personal_of_others(calls: Any, waiting: Lab, alice: Any, bob: Any) -> None:
    mine = calls(alice).get("/queue").json()
    assert mine["waiting"] == 1 and mine["items"][0]["name"] == "thesis" and mine["items"][0]["reasons"]
    others = calls(bob).get("/queue").json()["items"][0]
    assert (others["place"], others["gpus"], others["moved"]) == (1, 1, False) and others["estimate"]
    assert others["lab"] is others["name"] is others["owner"] is None and others["reasons"] == []


def test_an_administrators_token_sees_the_whole_queue(calls: Any, waiting: Lab, root_admin: Any) -> None:
    assert calls(root_admin, "admin").get("/queue").json()["items"][0]["owner"] == "alice@example.edu"
    assert calls(root_admin, "launch").get("/queue").json()["items"][0]["owner"] is None


def test_only_ones_own_and_only_so_many(calls: Any, waiting: Lab, alice: Any, bob: Any, lab_of: Any) -> None:
    lab_of(bob, gpus=1)
    assert [one["name"] for one in calls(alice).get("/queue", mine=True).json()["items"]] == ["thesis"]
    body = calls(alice).get("/queue", limit=1).json()
    assert body["waiting"] == 2 and len(body["items"]) == 1 and body["card_free_at"]
    assert body["estimates"] == {"right": 0, "of": 0}


def test_a_waiting_lab_has_an_estimate_and_levers_and_a_list_leaves_them_out(calls: Any, waiting: Lab, alice: Any) -> None:
    seen = calls(alice).get(f"/labs/{waiting.pk}").json()["waiting"]
    assert seen["place"] == 1 and seen["reasons"] and seen["estimate"]["soonest"] <= seen["estimate"]["latest"]
    assert {"code": "gpus:0", "words": "No GPU instead of 1", "estimate": None} in seen["levers"]
    assert calls(alice).get("/labs?live=true").json()["items"][0]["waiting"]["levers"] is None


def test_a_lever_is_pulled_by_its_code(calls: Any, waiting: Lab, alice: Any) -> None:
    answer = calls(alice).post(f"/labs/{waiting.pk}/lever", {"code": "gpus:0"})
    assert answer.status_code == 200 and answer.json()["limits"]["gpus"] == 0
    again = calls(alice).post(f"/labs/{waiting.pk}/lever", {"code": "gpus:0"})
    assert again.status_code == 409 and again.json()["code"] == "state"


def test_a_lab_that_asks_first_is_offered_and_claimed(calls: Any, wish: Any, alice: Any, now: Any) -> None:
    caller = calls(alice)
    lab = caller.post("/labs", wish | {"ask_first": True}).json()
    assert lab["ask_first"] is True
    tick(now)
    offered = caller.get(f"/labs/{lab['id']}").json()
    assert offered["state"] == "offered" and offered["claim_until"] and len(offered["gpus"]) == 1
    assert caller.post(f"/labs/{lab['id']}/claim").json()["state"] == "starting"
    assert caller.post(f"/labs/{lab['id']}/claim").status_code == 200


def test_a_claim_without_an_offer_is_a_conflict(calls: Any, waiting: Lab, alice: Any) -> None:
    assert calls(alice).post(f"/labs/{waiting.pk}/claim").status_code == 409
    assert calls(alice).post(f"/labs/{waiting.pk}/ask-first", {"ask_first": True}).json()["ask_first"] is True


def test_nobody_acts_on_the_waiting_lab_of_another(calls: Any, waiting: Lab, bob: Any, root_admin: Any) -> None:
    for caller in (calls(bob), calls(root_admin, "admin")):
        for path, body in (("lever", {"code": "gpus:0"}), ("ask-first", {"ask_first": True}), ("claim", None)):
            assert caller.post(f"/labs/{waiting.pk}/{path}", body).status_code == 404
    assert Lab.objects.get(pk=waiting.pk).gpus == 1


def test_only_an_administrators_token_moves_a_lab_and_says_why(calls: Any, waiting: Lab, alice: Any, root_admin: Any) -> None:
    path, body = f"/labs/{waiting.pk}/move", {"to": "first", "reason": "Paper"}
    assert [calls(alice).post(path, body).status_code, calls(root_admin, "launch").post(path, body).status_code] == [403, 403]
    caller = calls(root_admin, "admin")
    assert caller.post(path, body).json()["waiting"]["moved"] == "Paper"
    assert caller.post(path, {"to": "first"}).status_code == 422
    assert caller.post(path, {"to": "own"}).json()["waiting"]["moved"] is None
    assert not QueueMove.objects.filter(undone_at=None).exists()
