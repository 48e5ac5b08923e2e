"""Which checkpoints stay: said once as examples, and once as properties that no folder breaks."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labs.tidying.rules import Checkpoint, Keep, caches_due, checkpoints_due, folder_check, judged, value_of

NOW = 1_000_000.0
T = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def one(name: str, age: float, *, linked: bool = False, touched: float | None = None) -> Checkpoint:
    return Checkpoint(name, 100, NOW - age, NOW - (age if touched is None else touched), linked)


def going(found: list[Checkpoint], keep: Keep) -> list[str]:
    return [verdict.one.path for verdict in judged(found, keep, now=NOW) if verdict.goes]


def test_the_newest_and_the_best_stay_and_the_rest_goes() -> None:
    losses = (0.9, 0.31, 0.5, 0.4, 0.42, 0.44)
    found = [one(f"c/epoch={epoch}-val_loss={loss}.ckpt", 9000 - 1000 * epoch) for epoch, loss in enumerate(losses)]
    assert going(found, Keep(3, "val_loss")) == [found[2].path, found[0].path]
    assert going(found, Keep(3, "val_loss", "max")) == [found[2].path, found[1].path]
    assert going(found, Keep(1)) == [each.path for each in reversed(found[:-1])]


def test_folders_count_each_by_itself_and_what_a_program_goes_on_with_stays() -> None:
    found = [
        one("a/1.pt", 5000),
        one("b/1.pt", 5000),
        one("a/2.pt", 4000),
        one("a/last.ckpt", 9000),
        one("a/0.pt", 9000, linked=True),
        one("a/model_best.pth", 9000),
    ]
    assert going(found, Keep(1)) == ["a/1.pt"]


def test_what_was_touched_a_moment_ago_stays_and_the_order_is_that_of_writing() -> None:
    found = [one("c/1.pt", 5000, touched=599), one("c/2.pt", 4000, touched=601), one("c/3.pt", 3000, touched=601)]
    assert going(found, Keep(1)) == ["c/2.pt"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epoch=12-val_loss=0.31.ckpt", 0.31), ("val_loss=1e-3-v1.pt", 0.001), ("val_loss=-2.pt", -2.0), ("val_loss=3.pt", 3.0), ("x_val_loss=1.pt", None),
        ("val_loss=nan.pt", None), ("val_loss=1e999.pt", None), ("loss=1.pt", None), ("val_loss-0.3.pt", None), ("checkpoint-500", None),
    ],
)  # fmt: skip
def test_a_number_is_read_only_where_the_name_says_what_it_is(name: str, value: float | None) -> None:
    assert value_of(name, "val_loss") == value


NAMES = st.sampled_from(["epoch={n}-acc={v}.ckpt", "step={n}.pt", "checkpoint-{n}", "last-{n}.ckpt", "acc={v}-{n}.pt"])
CHECKPOINTS = st.builds(
    lambda folder, name, number, value, age, touched, linked: one(
        f"{folder}/{name.format(n=number, v=value)}", age, touched=min(age, touched), linked=linked
    ),
    st.sampled_from(["c", "c/run"]), NAMES, st.integers(0, 99), st.floats(-5, 5).map(lambda v: round(v, 2)),
    st.floats(0, 10_000), st.floats(0, 10_000), st.booleans(),
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
@given(st.lists(CHECKPOINTS, max_size=25, unique_by=lambda each: each.path), st.integers(1, 6), st.sampled_from(["", "acc"]), st.sampled_from(["min", "max"]))
def test_no_folder_loses_its_newest_its_best_or_what_is_written(found: list[Checkpoint], newest: int, metric: str, direction: str) -> None:
    keep = Keep(newest, metric, direction)
    verdicts = judged(found, keep, now=NOW)
    assert sorted(verdict.one.path for verdict in verdicts) == sorted(each.path for each in found)
    gone = {verdict.one.path for verdict in verdicts if verdict.goes}
    for folder in ("c", "c/run"):
        own = [each for each in found if each.folder == folder]
        left = [each for each in own if each.path not in gone]
        assert len(left) >= min(newest, len(own))
        assert all(each.changed <= min(kept.changed for kept in sorted(left, key=lambda kept: -kept.changed)[:newest]) for each in own if each.path in gone)
        values = [value for each in own if (value := value_of(each.name, metric)) is not None]
        best = (min if direction == "min" else max)(values, default=None)
        assert best is None or best in [value_of(each.name, metric) for each in left]
    assert not any(each.linked or NOW - each.touched < 600 for each in found if each.path in gone)
    again = judged([each for each in found if each.path not in gone], keep, now=NOW)
    assert not any(verdict.goes for verdict in again), "what stays once stays"


@pytest.mark.parametrize("text", ["", "  ", "/workspace", "/workspace/", "../x", "a/../b", ".gpulab/trash", "x" * 201, "a\nb"])
def test_a_folder_is_one_of_the_workspace(text: str) -> None:
    with pytest.raises(ValueError, match=r"workspace|house"):
        folder_check(text)


def test_a_folder_is_kept_without_what_says_nothing() -> None:
    assert [folder_check(text) for text in ("checkpoints/", "/workspace/runs//a", "./x")] == ["checkpoints", "runs/a", "x"]


def test_checkpoints_are_looked_at_every_hour_of_a_lab_and_once_when_it_has_ended() -> None:
    assert checkpoints_due(last=None, live=True, ended_at=None, now=T)
    assert not checkpoints_due(last=T - 0.9 * HOUR, live=True, ended_at=None, now=T)
    assert checkpoints_due(last=T - HOUR, live=True, ended_at=None, now=T)
    assert not checkpoints_due(last=T - 9 * HOUR, live=False, ended_at=T - 10 * HOUR, now=T)
    minute = timedelta(minutes=1)
    assert not checkpoints_due(last=T - HOUR, live=False, ended_at=T - 9 * minute, now=T), "what it wrote has not come to rest"
    assert checkpoints_due(last=T - HOUR, live=False, ended_at=T - 10 * minute, now=T)
    assert not checkpoints_due(last=T - minute, live=False, ended_at=T - 12 * minute, now=T)


def test_caches_are_emptied_once_after_the_last_lab_that_ended_since() -> None:
    assert caches_due(since=T - HOUR, live=False, ended_at=T)
    assert not caches_due(since=T - HOUR, live=True, ended_at=T)
    assert not caches_due(since=T, live=False, ended_at=T - HOUR)
    assert not caches_due(since=T, live=False, ended_at=None)
