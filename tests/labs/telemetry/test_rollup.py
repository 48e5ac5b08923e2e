"""The minute roll-up, pure."""

from datetime import UTC, datetime
from typing import Any

from labs.telemetry.rollup import Minute, minute_of, minutes_rolled

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def _sample(second: float, *cards: dict[str, Any]) -> dict[str, Any]:
    return {"at": NOON.timestamp() + second, "cards": list(cards)}


def _card(uuid: str, **values: Any) -> dict[str, Any]:
    return {"uuid": uuid, "gpu_pct": None, "memory_used_mib": None, "temperature_c": None, "power_w": None} | values


def test_a_minute_is_the_average_of_use_and_power_and_the_highest_of_the_rest():
    samples = [
        _sample(0, _card("a", gpu_pct=10, memory_used_mib=100, temperature_c=40, power_w=100.0)),
        _sample(2, _card("a", gpu_pct=91, memory_used_mib=50, temperature_c=60, power_w=301.0)),
    ]
    assert minutes_rolled(samples, NOON) == [Minute("a", gpu_pct_avg=50.5, gpu_pct_max=91, memory_mib_max=100, temperature_max=60, power_avg=200.5)]


def test_samples_of_other_minutes_are_passed_over():
    samples = [_sample(-1, _card("a", gpu_pct=100)), _sample(59.9, _card("a", gpu_pct=20)), _sample(60, _card("a", gpu_pct=100))]
    assert [row.gpu_pct_avg for row in minutes_rolled(samples, NOON)] == [20]


def test_a_missing_metric_does_not_count_as_zero():
    samples = [_sample(0, _card("a", gpu_pct=80)), _sample(2, _card("a"))]
    (row,) = minutes_rolled(samples, NOON)
    assert (row.gpu_pct_avg, row.power_avg) == (80, None)


def test_each_card_has_a_row_of_its_own():
    rows = minutes_rolled([_sample(0, _card("a", gpu_pct=1), _card("b", gpu_pct=2))], NOON)
    assert [(row.uuid, row.gpu_pct_max) for row in rows] == [("a", 1), ("b", 2)]


def test_a_minute_begins_at_its_second_zero():
    assert minute_of(NOON.timestamp() + 59.99) == NOON
