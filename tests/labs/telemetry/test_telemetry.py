"""Recording and reading samples, over a real Redis."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from labs.bus.redis import client
from labs.fleet.models import Gpu, Node
from labs.telemetry import queries, shelf
from labs.telemetry.hours import telemetry_prune
from labs.telemetry.models import GpuMinute
from labs.telemetry.services import cpu_pct, lab_usage_record, readings_record

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _empty_shelf(redis_url: str) -> Iterator[None]:
    client().flushdb()
    yield
    client().flushdb()


def _card(gpu: Gpu, gpu_pct: int | None = 50) -> dict[str, Any]:
    return {
        "uuid": gpu.uuid, "index": gpu.index, "model": gpu.model, "gpu_pct": gpu_pct, "memory_used_mib": 1000, "temperature_c": 40, "power_w": 200.0,
        "holder": None, "processes": [], "fault": "",
    }  # fmt: skip


def _record(node: Node, at: datetime, gpu_pct: int = 50) -> None:
    readings_record(node_id=node.pk, readings=[_card(gpu, gpu_pct) for gpu in node.gpus.all()], now=at)


def test_the_newest_sample_is_what_is_now(node: Node, now: datetime):
    _record(node, now - timedelta(seconds=2), 10)
    _record(node, now, 20)
    cards = queries.latest_cards(now=now)
    assert {card["gpu_pct"] for card in cards.values()} == {20}
    assert len(cards) == 2


def test_a_sample_that_is_too_old_is_not_now(node: Node, now: datetime):
    _record(node, now - timedelta(seconds=30))
    assert queries.latest(now=now) == {}


def test_samples_are_numbered_without_a_gap_and_read_oldest_first(node: Node, now: datetime):
    for step in range(5):
        _record(node, now + timedelta(seconds=2 * step), step)
    samples = queries.recent(node_id=node.pk)
    assert [sample["seq"] for sample in samples] == [1, 2, 3, 4, 5]
    assert [sample["cards"][0]["gpu_pct"] for sample in samples] == [0, 1, 2, 3, 4]


def test_no_more_than_an_hour_of_samples_is_kept(node: Node, now: datetime):
    shelf_key = shelf.node_key(node.pk)
    for step in range(1810):
        shelf.put(shelf_key, {"at": step}, keep=1800, keep_s=3600)
    assert client().llen(shelf_key) == 1800
    assert 0 < client().ttl(shelf_key) <= 3600


def test_a_minute_is_written_once_it_is_over(node: Node):
    for second in range(0, 60, 2):
        _record(node, NOON + timedelta(seconds=second), second)
    assert not GpuMinute.objects.exists()
    _record(node, NOON + timedelta(seconds=60), 99)
    _record(node, NOON + timedelta(seconds=62), 99)
    rows = GpuMinute.objects.all()
    assert {(row.minute, row.gpu_pct_avg, row.gpu_pct_max) for row in rows} == {(NOON, 29.0, 58)}
    assert rows.count() == 2
    assert [row.gpu_pct_max for row in queries.history(uuid=rows[0].gpu_id, since=NOON)] == [58]


def test_a_reading_of_a_card_that_the_fleet_does_not_know_is_not_written(node: Node):
    stranger = Gpu(uuid="GPU-stranger", index=7, model="X")
    readings_record(node_id=node.pk, readings=[_card(stranger)], now=NOON)
    _record(node, NOON + timedelta(minutes=1))
    assert not GpuMinute.objects.exists()


def test_old_minutes_are_forgotten(node: Node, now: datetime):
    gpu = node.gpus.first()
    for days in (29, 31):
        GpuMinute.objects.create(gpu=gpu, minute=now - timedelta(days=days))
    assert telemetry_prune(now=now) == 1
    assert GpuMinute.objects.get().minute == now - timedelta(days=29)


@pytest.mark.django_db(transaction=True)
def test_a_sample_is_said_aloud_on_the_nodes_topic(node: Node, now: datetime):
    ear = client().pubsub(ignore_subscribe_messages=True)
    ear.subscribe(f"gpulab:gpus.{node.pk}")
    assert ear.get_message(timeout=5) is None
    _record(node, now)
    heard = json.loads(ear.get_message(timeout=30)["data"])
    assert (heard["topic"], heard["kind"], heard["seq"], len(heard["cards"])) == (f"gpus.{node.pk}", "sample", 1, 2)
    ear.close()


def test_without_redis_a_sample_is_lost_and_nothing_fails(node: Node, now: datetime, monkeypatch: pytest.MonkeyPatch):
    gone = redis.Redis(port=1, socket_connect_timeout=0.2)
    monkeypatch.setattr(shelf, "client", lambda: gone)
    _record(node, now)
    assert queries.latest(now=now) == {}
    assert queries.recent(node_id=node.pk) == []


def _use(at: datetime, cpu_ns: int | None) -> None:
    lab_usage_record(lab_id="aaaaaaaaaaaa", cpu_ns=cpu_ns, memory_mib=100, shm_mib=1, gpus=[], now=at)


def test_a_labs_cpu_is_told_in_percent_of_one_cpu(node: Node, now: datetime):
    now = now.replace(second=10)  # within one minute: a minute that is over is written down for its lab, and there is none here
    _use(now, 0)
    _use(now + timedelta(seconds=2), 3_000_000_000)
    sample = queries.lab_usage_latest(lab_id="aaaaaaaaaaaa", now=now + timedelta(seconds=2))
    assert sample
    assert (sample["cpu_pct"], sample["memory_mib"]) == (150.0, 100)
    assert [one["cpu_pct"] for one in queries.lab_usage_recent(lab_id="aaaaaaaaaaaa")] == [None, 150.0]


@pytest.mark.parametrize(
    ("before", "cpu_ns", "at"),
    [
        (None, 1, 2.0),
        ({"at": 0.0, "cpu_ns": 5}, 1, 2.0),
        ({"at": 2.0, "cpu_ns": 0}, 1, 2.0),
        ({"at": 0.0, "cpu_ns": None}, 1, 2.0),
        ({"at": 0.0, "cpu_ns": 1}, None, 2.0),
    ],
)
def test_a_cpu_percent_that_cannot_be_told_is_none(before: Any, cpu_ns: int | None, at: float):
    assert cpu_pct(before=before, cpu_ns=cpu_ns, at=at) is None
