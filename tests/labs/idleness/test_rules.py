"""When a lab counts as idle, and what is due."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from labs.idleness.rules import Do, Rules, Signs, Warned, due, limit_now, signs_told, used_at

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
RULES = Rules()
QUIET = Signs(gpus=1, cpus=4, gpu_pct=0, cpu_pct=1, jupyter=True, kernels=1, terminals=1, ssh=0)
HOUR = timedelta(hours=1)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def in_use(signs: Signs) -> list[str]:
    return [sign.code for sign in signs_told(signs, RULES) if sign.in_use]


def test_a_lab_with_an_open_notebook_that_computes_nothing_is_idle() -> None:
    assert in_use(QUIET) == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"gpu_pct": 5}, "gpu"),
        ({"cpu_pct": 8}, "cpu"),
        ({"kernels_busy": 1}, "kernels"),
        ({"ssh": 1}, "ssh"),
        ({"gpu_pct": None}, "gpu"),
        ({"cpu_pct": None}, "cpu"),
        ({"jupyter": False}, "kernels"),
        ({"ssh": None}, "ssh"),
    ],
)
def test_each_sign_alone_keeps_a_lab_and_so_does_one_that_cannot_be_read(change: dict[str, object], code: str) -> None:
    assert in_use(replace(QUIET, **change)) == [code]  # type: ignore[arg-type]


def test_a_lab_without_gpus_is_not_judged_by_them() -> None:
    assert [sign.code for sign in signs_told(replace(QUIET, gpus=0, gpu_pct=None), RULES)] == ["cpu", "kernels", "terminals", "ssh"]


def test_the_processor_counts_by_the_lab_s_own_cores() -> None:
    assert in_use(replace(QUIET, cpus=1, cpu_pct=2)) == ["cpu"]
    assert in_use(replace(QUIET, cpus=16, cpu_pct=31)) == []


def test_last_used_is_now_or_when_a_kernel_or_terminal_last_was() -> None:
    told = signs_told(QUIET, RULES)
    assert used_at(QUIET, told, before=NOW - HOUR, now=NOW) == NOW - HOUR
    recent = replace(QUIET, kernel_at=NOW - minutes(9), terminal_at=NOW - minutes(4))
    assert used_at(recent, told, before=NOW - HOUR, now=NOW) == NOW - minutes(4)
    assert used_at(replace(QUIET, kernel_at=NOW + HOUR), told, before=NOW - HOUR, now=NOW) == NOW - HOUR  # a clock that is wrong is no use
    busy = replace(QUIET, gpu_pct=80)
    assert used_at(busy, signs_told(busy, RULES), before=NOW - HOUR, now=NOW) == NOW


def test_the_limit_is_shorter_while_most_cards_are_taken() -> None:
    assert limit_now(taken_pct=79, rules=RULES) == HOUR
    assert limit_now(taken_pct=80, rules=RULES) == minutes(30)
    assert limit_now(taken_pct=None, rules=RULES) == HOUR


@pytest.mark.parametrize(
    ("idle", "warned", "expected"),
    [
        (29, 0, (Do.NOTHING, 0)),
        (30, 0, (Do.WARN, 50)),
        (31, 50, (Do.NOTHING, 0)),
        (45, 50, (Do.WARN, 75)),
        (55.2, 75, (Do.WARN, 92)),
        (59, 92, (Do.NOTHING, 0)),
        (60, 92, (Do.STOP, 0)),
        (300, 0, (Do.WARN, 92)),
        (300, 75, (Do.WARN, 92)),
    ],
)
def test_warnings_come_first_and_the_end_after_the_last(idle: float, warned: int, expected: tuple[Do, int]) -> None:
    assert due(used=NOW - minutes(idle), now=NOW, limit=HOUR, warned=Warned(warned, NOW - minutes(4.8))) == expected


def test_nothing_is_stopped_whose_warning_did_not_arrive_or_was_not_there_to_read() -> None:
    long_ago = NOW - 10 * HOUR
    assert due(used=long_ago, now=NOW, limit=HOUR, warned=Warned(92, None)) == (Do.NOTHING, 0)
    assert due(used=long_ago, now=NOW, limit=HOUR, warned=Warned(92, NOW - minutes(1.9))) == (Do.NOTHING, 0)
    assert due(used=long_ago, now=NOW, limit=HOUR, warned=Warned(92, NOW - minutes(2))) == (Do.STOP, 0)


def test_a_limit_of_zero_switches_the_rule_off() -> None:
    assert due(used=NOW - 100 * HOUR, now=NOW, limit=timedelta(), warned=Warned(92, NOW - HOUR)) == (Do.NOTHING, 0)
