"""What viewers are told: encodings, the past in columns, and what a returning viewer lacks. Pure."""

import asyncio
import json
from typing import Any

import pytest

from labs.telemetry.audience import Audience
from portal.live.messages import Encodings, history, parse_seen, since
from portal.live.topics import lab_of, subscription
from portal.live.viewer import Viewer

ALICE, BOB, ROOT = Audience(1, is_admin=False), Audience(2, is_admin=False), Audience(3, is_admin=True)


def sample(seq: int, **card: Any) -> dict[str, Any]:
    """A sample of one card that Alice holds."""
    holder = {"lab": "aaaaaaaaaaaa", "name": "resnet", "owner": 1, "owner_name": "Alice"}
    whole = {"uuid": "GPU-a", "gpu_pct": seq, "memory_used_mib": 1, "holder": holder, "processes": [], "fault": ""} | card
    return {"node": "n1", "seq": seq, "at": 1000.0 + 2 * seq, "simulated": False, "fault": "", "cards": [whole]}


def test_viewers_without_a_card_share_one_encoding_and_the_others_have_their_own():
    made = Encodings(sample(1))
    assert made.of(BOB) is made.of(Audience(9, is_admin=False))
    assert made.of(ALICE) != made.of(BOB)
    assert "Alice" in made.of(ROOT)
    assert "Alice" not in made.of(ALICE) + made.of(BOB)


def test_the_past_is_in_columns_with_nothing_personal():
    text = history("n1", [sample(1), sample(2, gpu_pct=None)], 0)
    past = json.loads(text)
    assert past["cards"]["GPU-a"]["gpu_pct"] == [1, None]
    assert (past["at"], past["seq"], past["after"]) == ([1002.0, 1004.0], 2, 0)
    assert "Alice" not in text
    assert "resnet" not in text


def test_a_card_that_came_later_has_nothing_before():
    other = sample(2)
    other["cards"].append({"uuid": "GPU-b", "gpu_pct": 7})
    assert json.loads(history("n1", [sample(1), other], 0))["cards"]["GPU-b"]["gpu_pct"] == [None, 7]


@pytest.mark.parametrize(
    ("seen", "lacking", "after"),
    [
        (12, [13, 14], 12),
        (14, [], 14),
        (9, [10, 11, 12, 13, 14], 9),
        (3, [10, 11, 12, 13, 14], 0),
        (500, [10, 11, 12, 13, 14], 0),
        (0, [10, 11, 12, 13, 14], 0),
    ],
    ids=["some", "nothing", "all-but-joined", "away-too-long", "numbers-began-again", "new"],
)
def test_a_returning_viewer_is_sent_what_it_lacks(seen: int, lacking: list[int], after: int):
    found, follows = since([sample(seq) for seq in range(10, 15)], seen)
    assert ([one["seq"] for one in found], follows) == (lacking, after)


@pytest.mark.parametrize(("text", "seen"), [("local:12,n2:7", {"local": 12, "n2": 7}), ("", {}), ("x", {}), ("a:-1,b:²,c:9", {"c": 9}), ("a:" + "9" * 99, {})])
def test_what_a_viewer_has_seen_is_read_and_nonsense_is_passed_over(text: str, seen: dict[str, int]):
    assert parse_seen(text) == seen


@pytest.mark.parametrize(
    ("page", "lab"), [("lab:abcdefgh2345", "abcdefgh2345"), ("lab:abc", ""), ("lab:ABCDEFGH2345", ""), ("lab:abcdefgh2345\n", ""), ("gpus", "")]
)
def test_a_page_names_a_lab_only_by_a_whole_id(page: str, lab: str):
    assert lab_of(page) == lab


def test_a_page_hears_its_own_topics_and_no_other():
    lab = subscription("lab:abcdefgh2345", 1, {"abcdefgh2345"})
    assert lab.hears("lab.abcdefgh2345")
    assert lab.hears("person.1")
    assert not any(lab.hears(topic) for topic in ("lab.bbbbbbbbbbbb", "person.2", "person.12", "gpus.n1", "queue", "relay"))
    assert subscription("gpus", 1, set()).hears("gpus.n1")
    assert not subscription("nonsense", 1, set()).hears("gpus.n1")


def test_home_hears_a_lab_that_came_after_it_was_opened():
    home = subscription("home", 1, set())
    home.follow("person.1", {"kind": "lab", "lab": "bbbbbbbbbbbb"})
    home.follow("person.2", {"kind": "lab", "lab": "cccccccccccc"})
    assert home.hears("lab.bbbbbbbbbbbb")
    assert not home.hears("lab.cccccccccccc")


def _viewer() -> Viewer:
    return Viewer(audience=BOB, subscription=subscription("gpus", 2, set()), session_key="", session_hash="")


async def test_a_slow_reader_gets_the_newest_two_samples_of_each_node_and_every_kind_of_change_once():
    viewer = _viewer()
    for number in range(5):
        viewer.sample("gpus.n1", f"n1 {number}")
        viewer.sample("gpus.n2", f"n2 {number}")
        viewer.change("queue lab", f"queue {number}")
        viewer.change("lab.a state", f"lab {number}")
    viewer.begin(["hello"])
    assert await viewer.take() == ["hello", "queue 4", "lab 4", "n1 3", "n1 4", "n2 3", "n2 4"]


async def test_taking_waits_until_there_is_something():
    viewer = _viewer()
    waiting = asyncio.ensure_future(viewer.take())
    await asyncio.sleep(0)
    assert not waiting.done()
    viewer.sample("gpus.n1", "now")
    assert await waiting == ["now"]
