"""Checkpoints and caches by the API: the rule, what was found with it, and nothing removed that was not looked at."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from labs.fleet.models import Node
from labs.people.models import User
from labs.storage.models import WorkspaceUse
from labs.tidying.models import Chore
from labs.tidying.services import chore_done
from tests.support.callers import Caller

pytestmark = pytest.mark.django_db
KEEP = {"folders": ["checkpoints"], "newest": 2, "metric": "val_loss"}
SEEN = [{"path": "checkpoints/a.ckpt", "size": 7, "changed": 1_700_000_000.0, "stays": ""}]


@pytest.fixture
def held(node: Node, image: Any, alice: User, now: datetime, monkeypatch: pytest.MonkeyPatch) -> WorkspaceUse:
    """Alice's workspace on the node, whose file page opens at once."""
    monkeypatch.setattr("labs.tidying.services.desk_chore", lambda **_: "")
    return WorkspaceUse.objects.create(owner=alice, node=node, size=10, files=1, measured_at=now)


def found(now: datetime) -> None:
    """The node did what was asked."""
    for chore in Chore.objects.filter(state="asked"):
        assert chore_done(chore=chore, found={"seen": SEEN, "caches": {"pip": 4096}}, now=now)


def test_a_rule_is_looked_at_before_it_is_switched_on(calls: Callable[..., Caller], alice: User, held: WorkspaceUse, now: datetime) -> None:
    me = calls(alice)
    assert me.send("PUT", "/files/tidying/switch", {"on": True}).status_code == 409
    said = me.send("PUT", "/files/tidying/keep", KEEP).json()
    assert (said["newest"], said["on"], said["places"][0]["fresh"]) == (2, False, False)
    assert me.post("/files/tidying/checkpoints", {"node": "n1"}).status_code == 409, "nothing goes that nobody saw"
    found(now + timedelta(seconds=5))
    [place] = me.get("/files/tidying").json()["places"]
    assert (place["fresh"], place["caches"], place["checkpoints"][0]["path"], place["checkpoints"][0]["stays"]) == (
        True,
        {"pip": 4096},
        "checkpoints/a.ckpt",
        "",
    )
    assert me.send("PUT", "/files/tidying/switch", {"on": True}).json()["on"] is True
    gone = me.post("/files/tidying/checkpoints", {"node": "n1"})
    assert (gone.status_code, gone.json()["state"], gone.json()["kind"]) == (202, "asked", "checkpoints")


def test_caches_are_emptied_now_and_at_labs_ends(calls: Callable[..., Caller], alice: User, held: WorkspaceUse, now: datetime) -> None:
    me = calls(alice)
    assert me.send("PUT", "/files/tidying/caches", {"caches": ["pip", "torch"]}).json()["caches"] == ["pip", "torch"]
    assert me.post("/files/tidying/clear", {"node": "n1", "caches": ["pip"]}).status_code == 202
    assert me.post("/files/tidying/clear", {"node": "n1", "caches": ["pip"]}).status_code == 409, "once at a time"
    assert [one["kind"] for one in me.get("/files/chores").json()["items"]] == ["caches"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "keep", {**KEEP, "folders": ["../other"]}),
        ("PUT", "keep", {**KEEP, "newest": 0}),
        ("PUT", "caches", {"caches": ["all"]}),
        ("POST", "clear", {"node": "n1", "caches": []}),
    ],
)
def test_what_is_wrong_is_refused_in_words(calls: Callable[..., Caller], alice: User, held: WorkspaceUse, method: str, path: str, body: dict[str, Any]) -> None:
    assert calls(alice).send(method, f"/files/tidying/{path}", body).status_code == 422
    assert not Chore.objects.exists()


def test_nobody_tidies_for_another_and_a_reader_changes_nothing(calls: Callable[..., Caller], alice: User, bob: User, held: WorkspaceUse) -> None:
    assert calls(bob).post("/files/tidying/clear", {"node": "n1", "caches": ["pip"]}).status_code == 409
    assert calls(bob).get("/files/tidying").json()["places"] == []
    assert calls(alice, "read").post("/files/tidying/look").status_code == 403
