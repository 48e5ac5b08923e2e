"""Minutes become hours, ended labs get a summary, and what is too old is forgotten. Over a real Redis."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from labs.bus.redis import client
from labs.fleet.models import Gpu, Node
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_assign, lab_end, lab_gone, lab_ready
from labs.people.models import User
from labs.telemetry.hours import MOST_HOURS, hours_roll, summaries_write, telemetry_prune
from labs.telemetry.models import GpuHour, GpuMinute, LabHour, LabMinute, LabSummary
from labs.telemetry.rollup import lab_minutes_rolled
from labs.telemetry.services import lab_minutes_close, lab_usage_record

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def lab(alice: User, lab_of: Callable[..., Lab]) -> Lab:
    """A running lab with two cards."""
    made = lab_of(alice, gpus=2)
    assert lab_assign(lab_id=made.pk, node_id="n1", gpu_uuids=list(Gpu.objects.values_list("pk", flat=True)), now=NOON)
    assert lab_ready(lab_id=made.pk, attempt=1, verified={}, not_held=[], now=NOON)
    return Lab.objects.get(pk=made.pk)


@pytest.fixture
def shelf(redis_url: str) -> Iterator[None]:
    client().flushdb()
    yield
    client().flushdb()


def card(uuid: str, gpu_pct: int | None, memory: int = 1000) -> dict[str, Any]:
    return {"uuid": uuid, "gpu_pct": gpu_pct, "memory_used_mib": memory}


def sample(second: float, *cards: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"at": NOON.timestamp() + second, "cpu_pct": 50.0, "memory_mib": 500, "shm_mib": None, "gpus": list(cards)} | more


def minute(lab: Lab, at: datetime, **use: Any) -> None:
    LabMinute.objects.create(lab=lab, minute=at, **({"cards": 2, "cards_idle": 1, "gpu_pct_sum": 60.0, "gpu_pct_max": 99, "memory_mib_max": 500} | use))


def test_a_labs_minute_counts_its_cards_the_idle_ones_and_the_peaks():
    rolled = lab_minutes_rolled(
        [sample(0, card("a", 80, 2000), card("b", 0)), sample(30, card("a", 100, 1000), card("b", 6)), sample(61, card("a", 0), card("b", 0))], idle_below=5
    )
    assert list(rolled) == [NOON, NOON + MINUTE]
    first = rolled[NOON]
    assert (first.cards, first.cards_idle, first.gpu_pct_sum, first.gpu_pct_max) == (2, 1, 93.0, 100)
    assert (first.gpu_memory_mib_max, first.cpu_pct_avg, first.memory_mib_max, first.shm_mib_max) == (2000, 50.0, 500, None)


def test_a_slice_that_does_not_say_how_busy_it_is_is_never_called_idle():
    use = lab_minutes_rolled([sample(0, card("mig", None))], idle_below=5)[NOON]
    assert (use.cards, use.cards_idle) == (0, 0)
    assert use.gpu_memory_mib_max == 1000


def record(lab: Lab, at: datetime, gpu_pct: int) -> None:
    lab_usage_record(lab_id=lab.pk, cpu_ns=0, memory_mib=800, shm_mib=10, gpus=[card("a", gpu_pct), card("b", gpu_pct)], now=at)


def test_a_minute_is_written_when_the_next_one_begins_and_the_last_one_at_the_end(shelf: None, lab: Lab):
    for second in range(0, 130, 10):
        record(lab, NOON + timedelta(seconds=second), 40)
    assert list(LabMinute.objects.values_list("minute", "cards")) == [(NOON, 2), (NOON + MINUTE, 2)]
    lab_minutes_close(lab_id=lab.pk)
    lab_minutes_close(lab_id=lab.pk)
    assert LabMinute.objects.count() == 3


def test_an_hour_is_the_sum_of_its_minutes_however_often_it_is_rolled(lab: Lab, node: Node):
    for at in (0, 1, 59):
        minute(lab, NOON + at * MINUTE, gpu_pct_max=90 + at % 3)
        GpuMinute.objects.create(gpu=node.gpus.first(), minute=NOON + at * MINUTE, gpu_pct_avg=10.0 * at)
    for _ in range(2):
        hours_roll(now=NOON + HOUR + timedelta(minutes=5))
    hour = LabHour.objects.get()
    assert (hour.hour, hour.minutes, hour.cards, hour.cards_idle, hour.gpu_pct_sum, hour.gpu_pct_max) == (NOON, 3, 6, 3, 180.0, 92)
    assert GpuHour.objects.get().gpu_pct_avg == 200.0


def test_an_hour_that_is_not_over_is_not_rolled(lab: Lab):
    minute(lab, NOON)
    hours_roll(now=NOON + HOUR + MINUTE)
    assert not LabHour.objects.exists()


def test_a_minute_that_comes_late_is_in_its_hour_all_the_same(lab: Lab):
    minute(lab, NOON)
    hours_roll(now=NOON + HOUR + 5 * MINUTE)
    minute(lab, NOON + 59 * MINUTE)
    hours_roll(now=NOON + HOUR + 6 * MINUTE)
    assert LabHour.objects.get().minutes == 2


def test_a_week_without_labs_and_a_long_pause_of_the_loop_lose_nothing(lab: Lab):
    for days in (0, 9, 15):
        minute(lab, NOON + timedelta(days=days))
    for _ in range(4):
        hours_roll(now=NOON + timedelta(days=16))
    assert LabHour.objects.count() == 3
    assert timedelta(days=9) > timedelta(hours=MOST_HOURS)


def test_an_ended_lab_gets_one_summary_with_its_last_minute(shelf: None, lab: Lab):
    minute(lab, NOON)
    record(lab, NOON + MINUTE, 40)
    lab_end(lab_id=lab.pk, code="asked", now=NOON + 2 * MINUTE)
    assert summaries_write(now=NOON + HOUR) == 0
    lab_gone(lab_id=lab.pk, now=NOON + 2 * MINUTE)
    assert [summaries_write(now=NOON + HOUR) for _ in range(2)] == [1, 0]
    row = LabSummary.objects.get(lab=lab)
    assert (row.minutes, row.cards, row.cards_idle, row.gpu_pct_sum, row.memory_mib_max, row.gpu_memory_mib) == (2, 4, 1, 140.0, 800, 143771)


def test_a_lab_that_was_never_measured_has_an_empty_summary(lab: Lab):
    lab_end(lab_id=lab.pk, code="asked", now=NOON)
    lab_gone(lab_id=lab.pk, now=NOON)
    assert summaries_write(now=NOON) == 1
    assert LabSummary.objects.get().minutes == 0


def test_minutes_are_kept_for_a_month_and_hours_for_more_than_a_year(lab: Lab, node: Node):
    gpu = node.gpus.first()
    for days in (29, 31, 399, 401):
        at = NOON - timedelta(days=days)
        minute(lab, at)
        GpuMinute.objects.create(gpu=gpu, minute=at)
        LabHour.objects.create(lab=lab, hour=at, minutes=1)
        GpuHour.objects.create(gpu=gpu, hour=at, minutes=1)
    telemetry_prune(now=NOON)
    assert [rows.objects.count() for rows in (LabMinute, GpuMinute, LabHour, GpuHour)] == [1, 1, 3, 3]
