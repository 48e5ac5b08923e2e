"""Figures, pure: days and weeks in a zone with summer time, waits, peaks, hours of the day."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.usage.figures import Busy, Held, Wait, edges_of, figures_of, held_by_hour, hours_held, peaks_held, percentile, total_of

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)  # a Monday
HOUR = timedelta(hours=1)
BERLIN = ZoneInfo("Europe/Berlin")


def held(start: float, end: float | None, card: str = "a", share: float = 1.0) -> Held:
    """From and until so many hours after noon."""
    return Held(1, card, NOON + start * HOUR, None if end is None else NOON + end * HOUR, share)


def test_a_spell_over_midnight_counts_for_both_days():
    edges = edges_of(date(2026, 3, 2), NOON + timedelta(days=1), UTC, weeks=False)
    assert hours_held([held(10, 15)], edges, NOON + timedelta(days=2)) == [2.0, 3.0]


def test_what_goes_on_counts_until_now_and_a_slice_for_its_share():
    edges = edges_of(date(2026, 3, 2), NOON, UTC, weeks=False)
    assert hours_held([held(-2, None), held(-4, None, share=0.25)], edges, NOON) == [3.0]


def test_a_day_on_which_the_clocks_change_has_its_own_length():
    edges = edges_of(date(2026, 3, 28), datetime(2026, 3, 30, tzinfo=BERLIN), BERLIN, weeks=False)
    always = Held(1, "a", edges[0], None)
    assert hours_held([always], edges, edges[-1]) == [24.0, 23.0, 24.0]


def test_weeks_begin_on_monday():
    edges = edges_of(date(2026, 3, 5), datetime(2026, 3, 16, tzinfo=UTC), UTC, weeks=True)
    assert [edge.date() for edge in edges] == [date(2026, 3, 2), date(2026, 3, 9), date(2026, 3, 16), date(2026, 3, 23)]


@given(st.lists(st.tuples(st.integers(-200, 200), st.integers(0, 90)), max_size=20))
def test_the_days_add_up_to_the_whole(spells: list[tuple[int, int]]):
    rows = [held(start, start + length) for start, length in spells]
    edges = edges_of(date(2026, 2, 20), NOON + timedelta(days=20), UTC, weeks=False)
    assert sum(hours_held(rows, edges, edges[-1])) == pytest.approx(sum(length for _, length in spells))


def test_the_peak_is_what_was_held_at_once():
    edges = edges_of(date(2026, 3, 2), NOON + timedelta(days=2), UTC, weeks=False)
    rows = [held(0, 2), held(1, 3, "b"), held(2, 30, "c"), held(26, 28, "d", 0.5)]
    assert peaks_held(rows, edges, edges[-1]) == [2.0, 1.5, 0.0]


def test_one_that_ends_when_the_next_begins_is_not_held_twice():
    edges = edges_of(date(2026, 3, 2), NOON, UTC, weeks=False)
    assert peaks_held([held(0, 1), held(1, 2)], edges, edges[-1]) == [1.0]


@pytest.mark.parametrize(("values", "share", "expected"), [([], 0.5, None), ([3.0], 0.95, 3.0), ([1, 2, 3, 4], 0.5, 2), (list(range(1, 101)), 0.95, 95)])
def test_a_percentile_is_a_value_that_was_there(values: list[float], share: float, expected: float | None):
    assert percentile(values, share) == expected


def test_waits_and_use_fall_on_their_day_and_the_total_ranks_the_waits_anew():
    waits = [Wait(1, NOON, NOON + timedelta(minutes=minutes)) for minutes in (1, 2, 30)] + [Wait(1, NOON, NOON + timedelta(hours=14))]
    busy = {date(2026, 3, 2): Busy(60, 30, 1200.0, 99, 2000), date(2026, 3, 3): Busy(20, 0, 1800.0, 100, 500)}
    edges = edges_of(date(2026, 3, 2), NOON + timedelta(days=1), UTC, weeks=False)
    first, second = rows = figures_of(held=[held(0, 24)], waits=waits, busy=busy, edges=edges, zone=UTC, now=edges[-1])
    assert (first.labs, first.wait_median_s, second.labs) == (3, 120.0, 1)
    assert (first.busy.idle_share, first.busy_hours, second.busy.gpu_pct) == (0.5, 6.0, 90.0)
    total = total_of(rows=rows, waits=waits)
    assert (total.gpu_hours, total.labs, total.wait_p95_s, total.gpus_peak) == (24.0, 4, 14 * 3600.0, 1.0)
    assert (total.busy.idle_share, total.busy.gpu_pct_max, total.busy.gpu_memory_mib_max) == (0.375, 100, 2000)


def test_where_nothing_was_measured_nothing_is_called_idle():
    [row] = figures_of(held=[held(0, 1)], waits=[], busy={}, edges=[NOON, NOON + timedelta(days=1)], zone=UTC, now=NOON + HOUR)
    assert (row.busy.idle_share, row.busy_hours, row.wait_median_s) == (None, None, None)


def test_hours_of_the_day_are_local_and_a_part_of_the_days():
    until = NOON + timedelta(days=2)
    cells = held_by_hour([held(0, 2), held(24.5, 25)], NOON, until, BERLIN)["a"]
    assert [(hour, share) for hour, share in enumerate(cells) if share] == [(13, 0.75), (14, 0.5)]
