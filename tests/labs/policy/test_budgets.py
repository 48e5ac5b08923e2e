"""GPU-hours of a rolling window, and when they return."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from labs.policy.budgets import WEEK, Spell, back_at, hours_since

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def _spell(began: float, ended: float | None, share: float = 1.0) -> Spell:
    """Hours before now."""
    return Spell(NOW - began * HOUR, None if ended is None else NOW - ended * HOUR, share)


def test_hours_count_only_inside_the_window_and_a_slice_for_its_share() -> None:
    assert hours_since([_spell(10, 8), _spell(200, 160), _spell(4, None, 0.25)], NOW - WEEK, NOW) == 2 + 8 + 1


def test_a_budget_returns_when_its_oldest_hours_leave_the_window() -> None:
    assert back_at([_spell(100, 90), _spell(20, 10)], window=WEEK, budget=15, now=NOW) == NOW - 95 * HOUR + WEEK


def test_a_budget_of_nothing_never_returns() -> None:
    assert back_at([_spell(3, 1)], window=WEEK, budget=0, now=NOW) is None


@given(
    st.lists(st.tuples(st.integers(1, 300), st.integers(0, 300), st.sampled_from([0.25, 0.5, 1.0])), min_size=1, max_size=8),
    st.integers(1, 60),
)
def test_at_that_moment_the_budget_is_no_longer_passed_and_just_before_it_is(rows: list[tuple[int, int, float]], budget: int) -> None:
    spells = [_spell(max(a, b + 1), b, share) for a, b, share in rows]
    if hours_since(spells, NOW - WEEK, NOW) < budget:
        return
    moment = back_at(spells, window=WEEK, budget=budget, now=NOW)
    assert moment and moment >= NOW
    assert hours_since(spells, moment - WEEK, moment) <= budget + 1e-6
    assert hours_since(spells, moment - WEEK - timedelta(seconds=1), moment) >= budget - 1e-6
