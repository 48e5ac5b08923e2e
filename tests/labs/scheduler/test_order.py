"""Who goes first."""

from dataclasses import replace
from datetime import timedelta

from labs.policy.rules import Caps, Held, Share
from labs.scheduler.policy import Policy
from labs.scheduler.snapshot import Group, Person
from tests.labs.scheduler.tables import LIMITS, lab, node, placed, planned, runs

ONE = [node(cards=1)]


def test_inside_quota_goes_before_over_quota() -> None:
    made = planned([node(cards=3, busy=2)], lab("over", waited=99), lab("inside", owner=2), running=(runs("r", 0, 1, owner=1),))
    assert placed(made) == ["inside"] and "kept" not in made.waits["over"].reasons[0]


def test_a_lab_above_the_guarantee_says_so() -> None:
    made = planned([node()], lab("a", gpus=2), lab("b", waited=-1))
    assert [(one.lab_id, one.over_quota) for one in made.placements] == [("a", False), ("b", True)]


def test_who_does_not_wish_to_run_over_quota_waits_with_that_reason() -> None:
    made = planned([node()], lab("a", may_borrow=False), running=(runs("r", 0, 1, owner=1),))
    assert made.waits["a"].reasons == ("You hold 2 GPUs; 2 are guaranteed to you, and this lab is not to run over quota.",)


def test_a_shorter_limit_goes_first() -> None:
    assert placed(planned(ONE, lab("long", hours=12, waited=9), lab("short", owner=2, hours=1))) == ["short"]


def test_limits_of_one_band_are_alike() -> None:
    assert placed(planned(ONE, lab("earlier", hours=4, waited=9), lab("later", owner=2, hours=2))) == ["earlier"]


def test_who_holds_less_of_the_quota_goes_first() -> None:
    made = planned([node(cards=2, busy=1)], lab("has", waited=9), lab("has none", owner=2), running=(runs("r", 0, owner=1),))
    assert placed(made) == ["has none"]


def test_the_second_lab_of_a_person_comes_after_the_first_one_of_another() -> None:
    made = planned([node(cards=2)], lab("a1", waited=9), lab("a2", waited=8), lab("b1", owner=2))
    assert placed(made) == ["a1", "b1"]


def test_who_used_less_by_weight_goes_first() -> None:
    people = {1: Person(1, weight=1, usage=10), 2: Person(2, weight=4, usage=30)}
    assert placed(planned(ONE, lab("a", waited=9), lab("b", owner=2), people=people)) == ["b"]


def test_a_team_that_used_less_goes_first_whatever_its_person_used() -> None:
    people = {1: Person(1, usage=1, path=(1, 10)), 2: Person(2, usage=50, path=(1, 11))}
    groups = {1: Group(1, "house"), 10: Group(10, "busy", usage=500), 11: Group(11, "calm", usage=60)}
    assert placed(planned(ONE, lab("a", waited=9), lab("b", owner=2), people=people, groups=groups)) == ["b"]


def test_one_lab_that_waited_half_a_day_goes_first_and_only_one() -> None:
    old = 13 * 3600
    made = planned([node(cards=2)], lab("old", hours=72, waited=old + 1), lab("old too", owner=2, hours=72, waited=old), lab("short", owner=3, hours=1))
    assert placed(made) == ["old", "short"]


def test_after_a_day_and_a_half_who_asked_first_goes_first_among_labs_of_a_band() -> None:
    long, used = 36 * 3600, {1: Person(1, usage=9)}
    busy = (runs("r", 0, waited_s=13 * 3600), runs("mine", 1, owner=1))
    labs = (lab("old", waited=long + 2), lab("old too", owner=2, waited=long + 1), lab("shorter", owner=3, hours=1), lab("used less", owner=4, waited=9))
    assert placed(planned([node(cards=4, busy=2)], *labs, running=busy, people=used)) == ["shorter", "old"]
    labs = (lab("not yet", waited=long - 1), lab("used less", owner=4, waited=9))
    assert placed(planned([node(cards=3, busy=2)], *labs, running=busy, people=used)) == ["used less"]


def test_a_lab_that_waited_a_day_and_a_half_leaves_no_card_to_shorter_ones() -> None:
    ten, long = [node(cards=10, busy=9)], 36 * 3600
    running = (runs("r", *range(9), hours=9, waited_s=13 * 3600),)
    assert placed(planned(ten, lab("long", hours=72, waited=long - 1), running=running)) == []
    assert placed(planned(ten, lab("long", hours=72, waited=long), running=running)) == ["long"]


def test_an_aged_lab_that_waits_for_its_own_quota_does_not_use_the_turn_up() -> None:
    old = 13 * 3600
    full = (runs("r", 0, 1, 2, 3, 4, 5, 6, 7, owner=1),)
    made = planned(
        [node(cards=9, busy=8)], lab("capped", waited=old + 1), lab("old", owner=2, hours=72, waited=old), lab("short", owner=3, hours=1), running=full
    )
    assert placed(made) == ["old"]


def test_an_administrators_order_comes_before_everything_and_a_lab_sent_back_comes_last() -> None:
    labs = (lab("aged", waited=50_000), lab("moved", owner=2, hours=72, priority=1), lab("sent back", owner=3, hours=1, priority=-1))
    assert placed(planned([node(cards=2)], *labs)) == ["moved", "aged"]


def test_a_teams_cap_counts_what_the_plan_places() -> None:
    people = {one: Person(one, groups=(10,)) for one in (1, 2)}
    shares = {10: Share(10, "team Vision", Caps(gpus=3), Held(gpus=2))}
    made = planned([node()], lab("a", waited=9), lab("b", owner=2), people=people, shares=shares)
    assert placed(made) == ["a"] and "team Vision holds 3 of its 3 GPUs" in made.waits["b"].reasons[0]


def test_a_spent_budget_is_a_reason_and_holds_nobody_up() -> None:
    limits = {1: replace(LIMITS, gpu_hours_week=10), 2: LIMITS}
    made = planned(ONE, lab("a", waited=9), lab("b", owner=2), limits=limits, held={1: Held(gpu_hours_week=11)})
    assert placed(made) == ["b"] and "GPU-hours" in made.waits["a"].reasons[0] and made.waits["a"].estimate is None


def test_what_is_decided_elsewhere_is_told_and_waited_for() -> None:
    made = planned(ONE, lab("a", blocked=("Your course has no hours left.",), waited=9), lab("b", owner=2))
    assert placed(made) == ["b"] and made.waits["a"].reasons == ("Your course has no hours left.",)


def test_a_short_lab_slips_in_before_a_reservation_and_a_long_one_does_not() -> None:
    busy = [node(cards=4, busy=3)]
    running = (runs("r", 0, 1, 2, hours=2),)
    gang = lab("gang", gpus=2, hours=1)
    assert placed(planned(busy, gang, lab("short", owner=2, hours=2), running=running)) == ["short"]
    made = planned(busy, gang, lab("long", gpus=1, owner=2, hours=72), running=(runs("r", 0, 1, 2, hours=2),))
    assert placed(made) == ["long"], "three come free, the gang needs two"
    made = planned([node(cards=2, busy=1)], gang, lab("long", owner=2, hours=4), running=(runs("r", 0, hours=2),))
    assert placed(made) == [] and made.reservations[0].start == made.reservations[0].start.replace(hour=11)


def test_only_two_labs_have_reservations() -> None:
    busy = [node(name, cards=2, busy=1) for name in ("n1", "n2", "n3")]
    running = tuple(runs(f"r{name.id}", 0, on=name.id, hours=2) for name in busy)
    gangs = [lab(f"gang{n}", gpus=2, owner=n, hours=1, waited=9 - n) for n in range(1, 4)]
    made = planned(busy, *gangs, lab("long", owner=9, hours=12), running=running)
    assert [one.lab_id for one in made.reservations] == ["gang1", "gang2"] and placed(made) == ["long"]


def test_a_lab_of_a_person_without_any_record_is_placed() -> None:
    assert placed(planned(ONE, replace(lab("a"), since=lab("a").since - timedelta(1)), limits={}, held={})) == ["a"]


def test_long_labs_leave_some_cards_to_shorter_ones_the_longer_the_more() -> None:
    policy = Policy()
    assert [policy.left_free(hours, 32) for hours in (1, 4, 5, 12, 24, 48, 72, 100)] == [0, 0, 2, 2, 4, 5, 5, 5]
    ten = [node(cards=10, busy=8)]
    running = (runs("r", *range(8), hours=9),)
    made = planned(ten, lab("long", hours=24, waited=9), lab("long too", owner=2, hours=24), running=running)
    assert placed(made) == ["long"] and made.waits["long too"].reasons == ("Labs of more than 12 hours leave 1 GPU free for shorter ones; 1 is free now.",)
    assert placed(planned(ten, lab("long", gpus=2, hours=24), lab("shorter", owner=2, hours=12), running=running)) == ["shorter"]


def test_a_house_of_one_node_keeps_no_card_for_short_labs() -> None:
    eight = [node(cards=8, busy=7)]
    assert placed(planned(eight, lab("long", hours=72), running=(runs("r", *range(7), hours=9),))) == ["long"]


def test_a_lab_as_large_as_the_house_may_have_it_all() -> None:
    assert placed(planned([node(cards=10)], lab("large", gpus=8, hours=72, waited=9), limits={1: replace(LIMITS, gpus_max=10)})) == ["large"]
    assert placed(planned([node(cards=10)], lab("all", gpus=10, hours=72, waited=9), limits={1: replace(LIMITS, gpus_max=10)})) == ["all"]


def test_aged_labs_at_work_keep_the_next_aged_one_from_going_first() -> None:
    old = 13 * 3600
    labs = (lab("old", hours=72, waited=old), lab("short", owner=2, hours=1))
    made = planned([node(cards=3, busy=2)], *labs, running=(runs("r", 0, waited_s=old), runs("s", 1, owner=8, waited_s=old)))
    assert placed(made) == ["short"]
