"""When a class meets, and whether the house has the cards for it."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.timetable.rules import Clash, Closure, Demand, Hours, Pool, clash_words, clashes, due, lab_hours, lacking, occurrences, spell_words, until_words

BERLIN = ZoneInfo("Europe/Berlin")
TEN, TWELVE = time(10), time(12)
A, B = Pool("a", "H200"), Pool("b", "L4")
START = datetime(2026, 11, 24, 10, tzinfo=UTC)


def hours(**more: object) -> Hours:
    full = {"weekdays": (1,), "from_time": TEN, "to_time": TWELVE, "first_day": date(2026, 11, 1), "last_day": date(2026, 11, 30)} | more
    return Hours(**full)  # type: ignore[arg-type]


def demand(cards: int, *, start: datetime = START, length: int = 2, **more: object) -> Demand:
    return Demand(str(more.pop("words", "other holds")), start, start + timedelta(hours=length), cards, **more)  # type: ignore[arg-type]


def test_every_tuesday_is_every_tuesday() -> None:
    assert [one.day.day for one in occurrences(hours(), UTC)] == [3, 10, 17, 24]


def test_a_lecture_free_week_is_left_out() -> None:
    spell = (date(2026, 11, 9), date(2026, 11, 15))
    assert [one.day.day for one in occurrences(hours(without=(spell,)), UTC)] == [3, 17, 24]


def test_ten_stays_at_ten_when_the_clocks_change() -> None:
    found = occurrences(hours(first_day=date(2026, 10, 20), last_day=date(2026, 10, 27)), BERLIN)
    assert [one.starts_at.hour for one in found] == [8, 9]
    assert [one.starts_at.astimezone(BERLIN).hour for one in found] == [10, 10]


def test_hours_past_midnight_end_on_the_next_day() -> None:
    (one,) = occurrences(hours(from_time=time(22), to_time=time(2), first_day=date(2026, 11, 24), last_day=date(2026, 11, 24)), UTC)
    assert one.ends_at - one.starts_at == timedelta(hours=4)


def test_what_fits_beside_the_others_does_not_clash() -> None:
    assert clashes([demand(4)], [demand(4)], [], {A: 8}) == []


def test_two_classes_cannot_have_more_cards_than_there_are() -> None:
    (clash,) = clashes([demand(5)], [demand(4, words="Vision 101 holds 4")], [], {A: 8})
    assert clash.missing == 1
    assert clash_words(clash, UTC) == "Tue 24 Nov, 10:00–12:00: 5 are asked for and 4 are left. Vision 101 holds 4."


def test_classes_that_follow_each_other_do_not_clash() -> None:
    assert clashes([demand(8)], [demand(8, start=START + timedelta(hours=2)), demand(8, start=START - timedelta(hours=2))], [], {A: 8}) == []


def test_the_worst_moment_counts_and_not_the_sum_of_all() -> None:
    before, after = demand(6, length=1), demand(6, start=START + timedelta(hours=1), length=1)
    assert clashes([demand(2)], [before, after], [], {A: 8}) == []


def test_a_node_in_maintenance_has_no_cards() -> None:
    shut = Closure("a", "a is under maintenance", START + timedelta(hours=1), START + timedelta(hours=5))
    (clash,) = clashes([demand(1)], [], [shut], {A: 8})
    assert clash.others == ("a is under maintenance",)


def test_a_demand_for_any_model_makes_room_for_one_that_needs_a_certain_one() -> None:
    assert clashes([demand(2, model="H200")], [demand(2)], [], {A: 2, B: 2}) == []


def test_slices_and_cards_do_not_stand_in_for_each_other() -> None:
    (clash,) = clashes([demand(1, is_slice=True)], [], [], {A: 8})
    assert clash == Clash(START, START + timedelta(hours=2), 1, 1, ())
    assert clash_words(clash, UTC).endswith("1 is asked for and none is left. The house has no more.")


@given(
    st.dictionaries(st.tuples(st.sampled_from("abc"), st.sampled_from("xy")), st.integers(0, 4), max_size=5),
    st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["", "a", "b"]), st.sampled_from(["", "x", "y"])), max_size=4),
)
def test_what_is_lacking_is_what_no_choice_of_cards_could_give(pools: dict[tuple[str, str], int], wishes: list[tuple[int, str, str]]) -> None:
    """Against Hall's condition: the worst set of demands against all the pools that suit any of it."""
    held = {Pool(node, model): count for (node, model), count in pools.items()}
    demands = [demand(cards, node_id=node, model=model) for cards, node, model in wishes]
    worst = 0
    for mask in range(1 << len(demands)):
        chosen = [one for at, one in enumerate(demands) if mask >> at & 1]
        reach = sum(count for pool, count in held.items() if any(one.takes(pool) for one in chosen))
        worst = max(worst, sum(one.cards for one in chosen) - reach)
    assert lacking(held, demands) == worst


@pytest.mark.parametrize(("minutes", "expected"), [(-11, 0), (-10, 1), (-6, 15), (-2, 30), (0, 30), (60, 30)])
def test_prepared_labs_are_spread_over_the_minutes_before_the_class(minutes: int, expected: int) -> None:
    assert due(30, START, START + timedelta(minutes=minutes)) == expected


def test_nobody_makes_no_lab_due() -> None:
    assert due(0, START, START) == 0


def test_a_lab_has_the_hours_until_its_class_ends() -> None:
    assert lab_hours(START, START + timedelta(minutes=90)) == 2
    assert lab_hours(START, START + timedelta(minutes=5)) == 1


def test_times_are_told_in_the_houses_zone() -> None:
    assert spell_words(START, START + timedelta(hours=2), BERLIN) == "Tue 24 Nov, 11:00–13:00"
    assert spell_words(START, START + timedelta(hours=20), BERLIN) == "Tue 24 Nov, 11:00–Wed 25 Nov, 07:00"
    assert until_words(START, START, BERLIN) == "11:00"
    assert until_words(START + timedelta(days=1), START, BERLIN) == "Wed 25 Nov 11:00"


def test_an_hour_that_the_clocks_leap_over_does_not_take_place() -> None:
    """It would end before it begins, and the house keeps no such time."""
    sunday = date(2026, 3, 29)
    night = hours(weekdays=(6,), from_time=time(2, 30), to_time=time(3), first_day=sunday, last_day=sunday + timedelta(days=7))
    assert [one.day for one in occurrences(night, BERLIN)] == [sunday + timedelta(days=7)]
