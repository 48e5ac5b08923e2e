"""Classes and maintenance: cards that are set aside for a while, and who may use them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from labs.scheduler.snapshot import Hold
from tests.labs.scheduler.tables import HOUR, NOW, lab, node, placed, planned, runs

WORDS = "Vision 101 until 14:00"


def hold(starts: float = 2, lasts: float = 3, gpus: int = 2, name: str = "class", **fields: Any) -> Hold:
    return Hold(name, fields.pop("words", WORDS), NOW + starts * HOUR, NOW + (starts + lasts) * HOUR, gpus=gpus, **fields)


def test_a_lab_that_would_cross_a_class_waits_and_is_told_for_whom() -> None:
    made = planned([node(cards=2)], lab("long", hours=4), lab("short", owner=2, hours=2), holds=(hold(),))
    assert placed(made) == ["short"]
    assert made.waits["long"].reasons == (f"The free GPUs are held for {WORDS}; a lab that ends before that begins may use them.",)


def test_a_class_holds_no_more_cards_than_it_asked_for() -> None:
    made = planned([node(cards=4)], *(lab(name, owner=n, hours=4) for n, name in enumerate("abc")), holds=(hold(),))
    assert placed(made) == ["a", "b"]


def test_a_class_that_is_over_holds_nothing() -> None:
    assert placed(planned([node(cards=2)], lab("a", hours=72), holds=(hold(-4),))) == ["a"]


def test_a_class_on_one_node_leaves_the_others_alone() -> None:
    made = planned([node("n1", cards=2), node("n2", cards=2)], lab("a", gpus=2), lab("b", owner=2, gpus=2), holds=(hold(node_id="n1"),))
    assert [(one.lab_id, one.node_id) for one in made.placements] == [("a", "n2")]


def test_cards_of_labs_that_end_before_the_class_count_for_it() -> None:
    made = planned([node(cards=4, busy=2)], lab("a", gpus=2), running=(runs("ends", 0, 1, hours=1),), holds=(hold(),))
    assert placed(made) == ["a"]


def test_a_class_that_cannot_be_met_yet_takes_every_card_that_comes_free() -> None:
    made = planned([node(cards=4, busy=3)], lab("a"), running=(runs("stays", 0, 1, 2, hours=9),), holds=(hold(gpus=4),))
    assert placed(made) == []


def test_only_a_labs_own_class_opens_its_cards_and_the_persons_limits_do_not_count() -> None:
    crowded = (runs("r", 2, 3, 4, 5, 6, 7, 8, 9, owner=1),)
    nodes = [replace(node(cards=10), cards=tuple(replace(card, free=n < 2) for n, card in enumerate(node(cards=10).cards)))]
    made = planned(nodes, lab("stranger", owner=2, hours=1), lab("class", hold_id="class", hours=3), running=crowded, holds=(hold(-1),))
    assert placed(made) == ["class"]


def test_a_classs_lab_goes_first_and_is_not_in_the_way_of_the_next_class() -> None:
    later = hold(2, 2, 2, "next", words="Speech until 16:00")
    made = planned([node(cards=2)], lab("class", hold_id="class", hours=4), holds=(hold(-1, 3), later))
    assert placed(made) == ["class"], "it ends with its class, not at its limit"


def test_a_classs_lab_waits_when_the_classs_cards_are_used_up() -> None:
    used = (runs("r", 0, 1, hold_id="class"),)
    made = planned([node(cards=4, busy=2)], lab("late", hold_id="class"), running=used, holds=(hold(-1),))
    assert made.waits["late"].reasons == (f"All 2 GPUs set aside for {WORDS} are in use.",)


def test_a_classs_lab_waits_for_its_class_and_is_told_so_when_there_is_none() -> None:
    made = planned([node()], lab("early", hold_id="class"), lab("lost", hold_id="gone"), holds=(hold(),))
    assert made.waits["early"].reasons == (f"Its GPUs are set aside for {WORDS}, and that has not begun.",)
    assert made.waits["lost"].reasons == ("The class that it is for is not on.",) and made.waits["lost"].estimate is None


def test_a_classs_lab_runs_on_the_classs_model() -> None:
    nodes = [node("n1", cards=1, model="A100"), node("n2", cards=2)]
    made = planned(nodes, lab("class", hold_id="class"), holds=(hold(-1, model="H200"),))
    assert made.placements[0].node_id == "n2"


def test_people_of_a_hold_may_use_its_cards_with_their_own_labs() -> None:
    made = planned([node(cards=2)], lab("theirs", owner=5), lab("strangers", owner=6, waited=9), holds=(hold(-1, people=frozenset({5})),))
    assert placed(made) == ["theirs"]


def test_two_classes_that_overlap_for_ten_minutes_break_nothing() -> None:
    holds = (hold(-1, 2, 2, "first"), hold(5 / 6, 2, 2, "second"))
    labs = (lab("a", hold_id="first"), lab("b", hold_id="first"), lab("c", owner=2, hours=1))
    assert placed(planned([node(cards=2)], *labs, holds=holds)) == ["a", "b"]
    running = tuple(runs(name, n, hours=0.1, hold_id="first") for n, name in enumerate("ab"))
    made = planned([node(cards=2, busy=2)], lab("d", hold_id="second"), running=running, holds=(hold(-1, 1.1, 2, "first"), hold(-0.1, 2, 2, "second")))
    assert placed(made) == [] and "0 free now" in made.waits["d"].reasons[0]


def test_maintenance_lets_only_labs_start_that_end_before_it() -> None:
    closed = hold(2, 1, 0, node_id="n1", closes=True, words="maintenance from 11:00")
    made = planned([node("n1")], lab("long", hours=4), lab("short", owner=2, hours=1), holds=(closed,))
    assert placed(made) == ["short"]
    assert made.waits["long"].reasons == ("Node n1 is held for maintenance from 11:00, and this lab's limit would run into that.",)
    assert placed(planned([node("n1"), node("n2")], lab("long", hours=4), holds=(closed,))) == ["long"]


def test_the_estimate_of_a_lab_that_waits_for_a_class_is_after_it() -> None:
    made = planned([node(cards=2)], lab("long", hours=12), holds=(hold(-1, 3),))
    estimate = made.waits["long"].estimate
    assert estimate and estimate.latest >= NOW + 2 * HOUR and estimate.soonest > NOW + timedelta(hours=1)
