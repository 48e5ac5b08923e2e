"""When a waiting lab may start, what would start it sooner, and which cards it gets."""

from dataclasses import replace
from datetime import timedelta

from labs.policy.rules import Held
from labs.scheduler.estimate import run_share
from labs.scheduler.levers import levers, starts_without_gpus
from labs.scheduler.plan import plan
from labs.scheduler.snapshot import Card, Snapshot
from tests.labs.scheduler.tables import HOUR, LIMITS, NOW, house, lab, node, placed, planned, runs

FULL = [node(cards=2, busy=2)]
BUSY = (runs("a", 0, hours=2), runs("b", 1, owner=8, hours=6))


def _codes(snapshot: Snapshot, lab_id: str = "w") -> dict[str, bool]:
    return {lever.code: lever.estimate is None for lever in levers(snapshot, lab_id, NOW)}


# ------------------------------------------------------------------ when


def test_a_lab_is_expected_when_the_first_card_comes_free() -> None:
    estimate = planned(FULL, lab("w"), running=BUSY).waits["w"].estimate
    assert estimate and NOW < estimate.soonest <= NOW + 2 * HOUR and estimate.latest <= NOW + 4 * HOUR


def test_labs_further_down_the_line_are_expected_later() -> None:
    made = planned(FULL, *(lab(f"w{n}", owner=n, waited=90 - n) for n in range(5)), running=BUSY)
    latest = [wait.estimate.latest for wait in made.waits.values() if wait.estimate]
    assert len(latest) == 5 and latest == sorted(latest) and latest[0] < latest[-1]


def test_far_down_the_line_the_pace_of_the_first_ones_goes_on() -> None:
    made = planned(FULL, *(lab(f"w{n:03}", owner=n + 20, waited=500 - n) for n in range(200)), running=BUSY)
    estimates = [wait.estimate for wait in made.waits.values()]
    assert all(estimates) and estimates[-1].latest > estimates[60].latest > estimates[10].latest  # type: ignore[union-attr]


def test_what_past_labs_used_of_their_limit_makes_the_estimate_sooner() -> None:
    limit_based = planned(FULL, lab("w"), running=BUSY).waits["w"].estimate
    learned = planned(FULL, lab("w"), running=BUSY, runs=(0.34, 0.36, 0.38)).waits["w"].estimate
    assert limit_based and learned and learned.latest < limit_based.latest


def test_the_rest_of_a_run_is_guessed_from_the_runs_that_were_longer() -> None:
    past = (0.1, 0.2, 0.5, 0.8)
    assert run_share(past, 0.0, 0.0) == 0.1 and run_share(past, 0.3, 0.0) == 0.5 and run_share(past, 0.3, 1.0) == 0.8
    assert run_share(past, 0.9, 0.5) == 0.95 and run_share((), 1.0, 0.5) == 1.0


def test_nothing_is_promised_to_a_lab_that_nothing_known_would_start() -> None:
    made = planned(FULL, lab("w", gpus=3), lab("blocked", owner=2, blocked=("Waits for an answer.",)), running=BUSY)
    assert made.waits["w"].estimate is None and made.waits["blocked"].estimate is None


def test_a_lab_at_its_own_cap_is_expected_when_a_lab_of_its_owner_ends() -> None:
    mine = tuple(runs(f"m{n}", n, owner=1, hours=5) for n in range(8))
    made = planned([node(cards=9, busy=8)], lab("w"), running=mine, held={1: Held(gpus=8)})
    estimate = made.waits["w"].estimate
    assert "You hold 8 of your 8 GPUs" in made.waits["w"].reasons[0] and estimate and estimate.latest > NOW + 3 * HOUR


# ------------------------------------------------------------------ levers


def test_fewer_gpus_or_none_start_a_lab_now() -> None:
    snapshot = house([node(cards=2, busy=1)], lab("w", gpus=2), running=(runs("a", 0, hours=6),))
    assert _codes(snapshot) == {"gpus:1": True, "gpus:0": True}
    assert starts_without_gpus(snapshot, "w", NOW) and not starts_without_gpus(snapshot, "nobody", NOW)
    lever = levers(snapshot, "w", NOW)[0]
    assert lever.words == "1 GPU instead of 2" and lever.waiting.asked.gpus == 1


def test_another_model_and_any_model_are_offered_where_one_is_free() -> None:
    nodes = [*FULL, node("n2", cards=1, model="A100"), node("n3", cards=1, busy=1, model="L4")]
    codes = _codes(house(nodes, lab("w", model="H200"), running=(*BUSY, runs("c", 0, on="n3", owner=7, hours=30))))
    assert codes["model:"] and codes["model:A100"] and "model:L4" not in codes


def test_a_slice_is_offered_for_one_whole_card() -> None:
    sliced = replace(node("n2", cards=0), cards=(Card("n2/s", "H200", True, 1 / 7, "1g.10gb"),))
    codes = _codes(house([*FULL, sliced], lab("w"), running=BUSY))
    assert codes["slice:1g.10gb"]


def test_a_shorter_limit_is_offered_where_it_fits_before_a_reservation() -> None:
    snapshot = house([node(cards=2, busy=1)], lab("gang", gpus=2, hours=1), lab("w", owner=2, hours=12), running=(runs("a", 0, hours=2),))
    codes = _codes(snapshot)
    assert codes["hours:1"] and "over_quota" not in codes


def test_over_quota_is_offered_to_who_did_not_wish_it() -> None:
    snapshot = house([node(cards=4, busy=2)], lab("w", may_borrow=False), running=(runs("a", 0, 1, owner=1, hours=6),))
    assert _codes(snapshot)["over_quota"]
    strict = replace(snapshot, limits={1: replace(LIMITS, gpus_max=2)})
    assert "over_quota" not in _codes(strict), "where the role allows it"


def test_another_node_is_offered_to_a_lab_that_asked_for_one() -> None:
    snapshot = house([*FULL, node("n2")], lab("w", on_node="n1"), running=BUSY)
    assert _codes(snapshot)["node:"]


def test_a_lab_that_starts_or_does_not_exist_has_no_levers() -> None:
    snapshot = house([node()], lab("w"))
    assert levers(snapshot, "w", NOW) == () and levers(snapshot, "x", NOW) == ()


# ------------------------------------------------------------------ which cards


def test_a_labs_cards_are_the_nearest_and_larger_islands_stay_whole() -> None:
    cards = tuple(Card(f"c{n}", "H200", True, place=("0" if n < 6 else "1",)) for n in range(8))
    islands = [replace(node(cards=0), cards=cards)]
    assert planned(islands, lab("two", gpus=2)).placements[0].gpu_uuids == ("c6", "c7")
    assert set(planned(islands, lab("four", gpus=4, waited=1)).placements[0].gpu_uuids) == {"c0", "c1", "c2", "c3"}
    assert {"c0", "c1", "c2", "c3", "c4", "c5"} < set(planned(islands, lab("seven", gpus=7)).placements[0].gpu_uuids)


def test_a_slice_counts_as_its_fraction_and_whole_cards_are_not_slices() -> None:
    slices = [replace(node(cards=0), cards=tuple(Card(f"s{n}", "H200", True, 0.5, "3g") for n in range(3)))]
    half = lab("half", wants_slice="any")
    labs = [replace(half, lab_id=f"h{n}", asked=replace(half.asked, gpu_share=0.5)) for n in range(3)]
    limits = {1: replace(LIMITS, gpus=1, gpus_max=1)}
    made = planned(slices, *labs, lab("whole", owner=2), limits=limits)
    assert placed(made) == ["h0", "h1"] and "You hold 1 of your 1 GPU" in made.waits["h2"].reasons[0]
    assert made.waits["whole"].reasons[0].startswith("No node has 1 GPU")
    assert "No node has such a slice" in planned([node()], labs[0]).waits["h0"].reasons[0]


def test_the_clock_is_the_only_other_thing_that_a_plan_depends_on() -> None:
    snapshot = house(FULL, lab("w"), running=BUSY)
    assert plan(snapshot, NOW) == plan(snapshot, NOW) and placed(plan(snapshot, NOW + timedelta(hours=9))) == []


def test_behind_a_lab_with_a_reservation_the_next_one_is_expected_when_that_has_run() -> None:
    made = planned([node(cards=2, busy=1)], lab("gang", gpus=2, hours=4), lab("next", owner=2, hours=12), running=(runs("a", 0, hours=2),))
    first, then = made.waits["gang"].estimate, made.waits["next"].estimate
    assert first and then and then.soonest > first.soonest
