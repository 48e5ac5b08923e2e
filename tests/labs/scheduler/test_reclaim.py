"""Whose cards are taken back, for whom, and whose are not."""

from dataclasses import replace
from datetime import timedelta

from labs.policy.rules import Held
from labs.scheduler.snapshot import Group, Person, Reclaim
from tests.labs.scheduler.tables import NOW, lab, node, placed, planned, runs

FULL = [node(cards=2, busy=2)]
WAITS = 121


def test_a_lab_inside_its_quota_takes_cards_back_after_two_minutes() -> None:
    over = runs("over", 0, over_quota=True)
    inside = runs("inside", 1, owner=8)
    assert planned(FULL, lab("a", waited=119), running=(over, inside)).reclaims == ()
    made = planned(FULL, lab("a", waited=WAITS), running=(over, inside))
    assert made.reclaims == (Reclaim("over", "a", "n1", NOW + timedelta(minutes=5)),)
    assert made.waits["a"].reasons[0].startswith("GPUs are being taken back for it")
    assert made.waits["a"].estimate and made.waits["a"].estimate.latest >= NOW + timedelta(minutes=5)


def test_a_lab_over_its_own_quota_takes_nothing() -> None:
    assert planned(FULL, lab("a", gpus=3, waited=WAITS), running=(runs("over", 0, over_quota=True),)).reclaims == ()
    mine = (runs("over", 0, over_quota=True), runs("mine", 1, owner=1))
    assert planned([node(cards=3, busy=2), *FULL], lab("a", gpus=2, waited=WAITS), running=mine).reclaims == ()


def test_the_youngest_gives_back_and_nobody_before_half_an_hour() -> None:
    running = (runs("old", 0, ran=5, over_quota=True), runs("young", 1, owner=8, ran=0.6, over_quota=True))
    assert [one.lab_id for one in planned(FULL, lab("a", waited=WAITS), running=running).reclaims] == ["young"]
    running = (runs("old", 0, ran=5, over_quota=True), runs("fresh", 1, owner=8, ran=0.4, over_quota=True))
    assert [one.lab_id for one in planned(FULL, lab("a", waited=WAITS), running=running).reclaims] == ["old"]


def test_the_node_that_loses_least_gives() -> None:
    nodes = [node(name, cards=1, busy=1) for name in ("n1", "n2")]
    running = (runs("long", 0, ran=9, over_quota=True), runs("short", 0, on="n2", owner=8, ran=1, over_quota=True))
    assert [one.lab_id for one in planned(nodes, lab("a", waited=WAITS), running=running).reclaims] == ["short"]


def test_as_many_give_as_are_needed_and_no_more() -> None:
    big = runs("two cards", 0, 1, ran=2, over_quota=True)
    small = runs("one card", 2, owner=8, ran=1, over_quota=True)
    made = planned([node(cards=3, busy=3)], lab("a", gpus=2, waited=WAITS), running=(big, small))
    assert [one.lab_id for one in made.reclaims] == ["two cards"]


def test_a_lab_under_notice_is_not_taken_again_nor_for_two() -> None:
    until = NOW + timedelta(minutes=3)
    running = (runs("over", 0, over_quota=True, notice_until=until, taken_for="a"), runs("other", 1, owner=8))
    made = planned(FULL, lab("a", waited=WAITS), lab("b", owner=2, waited=WAITS), running=running)
    assert made.reclaims == () and (made.reservations[0].lab_id, made.reservations[0].start) == ("a", until)
    assert "taken back" in made.waits["a"].reasons[0] and "taken back" not in made.waits["b"].reasons[0]


def test_nobody_slips_in_on_cards_that_were_taken_back_for_another() -> None:
    until = NOW + timedelta(minutes=3)
    running = (runs("over", 0, over_quota=True, notice_until=until, taken_for="gang"),)
    made = planned([node(cards=2, busy=1)], lab("gang", gpus=2, waited=WAITS), lab("late", owner=2, hours=1), running=running)
    assert placed(made) == []


def test_cards_kept_for_one_lab_are_its_alone() -> None:
    kept = node(cards=1)
    kept = replace(kept, cards=(replace(kept.cards[0], kept_for="a"),))
    assert placed(planned([kept], lab("b", owner=2, hours=1))) == []
    assert placed(planned([kept], lab("b", owner=2, hours=1), lab("a", hours=72))) == ["a"]


def test_a_lab_with_a_card_that_is_kept_for_it_takes_only_what_it_lacks() -> None:
    half = node(cards=2, busy=1)
    half = replace(half, cards=(half.cards[0], replace(half.cards[1], kept_for="a")))
    made = planned([half], lab("a", gpus=2, waited=WAITS), running=(runs("over", 0, over_quota=True),))
    assert [one.lab_id for one in made.reclaims] == ["over"]


def test_cards_that_come_free_by_themselves_as_soon_are_waited_for() -> None:
    running = (runs("over", 0, over_quota=True), runs("ends", 1, owner=8, hours=0.05))
    assert planned(FULL, lab("a", waited=WAITS), running=running).reclaims == ()


def test_another_organisations_guarantee_stays_whole() -> None:
    people = {1: Person(1, path=(1,)), 9: Person(9, path=(2,)), 8: Person(8, path=(2,))}
    running = (runs("over", 0, over_quota=True), runs("more", 1, owner=8, over_quota=True, ran=2))
    groups = {1: Group(1, "us"), 2: Group(2, "them", held=2, guarantee=1)}
    made = planned(FULL, lab("a", waited=WAITS), lab("b", owner=7, waited=WAITS), running=running, people=people, groups=groups)
    assert [one.lab_id for one in made.reclaims] == ["over"], "one of two; below its guarantee nobody goes"


def test_a_spent_budget_gives_back_but_not_the_last_lab_inside_quota() -> None:
    running = (runs("first", 0, ran=3, over_budget=True), runs("second", 1, over_budget=True))
    made = planned(FULL, lab("a", waited=WAITS), lab("b", owner=2, waited=WAITS), running=running)
    assert [one.lab_id for one in made.reclaims] == ["second"]


def test_a_persons_own_labs_are_not_taken_back_for_the_same_person() -> None:
    running = (runs("mine", 0, owner=1, over_quota=True), runs("inside", 1, owner=8))
    assert planned(FULL, lab("a", waited=WAITS), running=running, held={1: Held(gpus=1)}).reclaims == ()
