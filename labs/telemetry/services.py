"""Recording what cards and labs do now. A sample is kept a while in Redis, said aloud, and rolled up by the minute.

Redis down means that a sample is lost, in one log line; it is never an error for the loop that samples.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import redis
from django.conf import settings

from labs.bus.bus import publish
from labs.fleet.models import Gpu
from labs.telemetry import shelf
from labs.telemetry.models import GpuMinute, LabMinute
from labs.telemetry.rollup import lab_minutes_rolled, minute_of, minutes_rolled

log = logging.getLogger(__name__)
Sample = dict[str, Any]


def readings_record(*, node_id: str, readings: Sequence[Mapping[str, Any]], now: datetime, fault: str = "", simulated: bool = False) -> None:
    """Record one sample of all cards of a node.

    `readings` are cards as JSON: uuid, index, model, the metrics, fault, processes and holder. `fault` is what is
    wrong with the node's driver, in words.
    """
    keep_s = int(settings.DEFAULTS["telemetry"]["keep_raw_h"] * 3600)
    key = shelf.node_key(node_id)
    try:
        before = shelf.newest(key)
        seq = shelf.seq_next(key, keep_s)
        sample: Sample = {"seq": seq, "at": now.timestamp(), "node": node_id, "simulated": simulated, "fault": fault, "cards": list(readings)}
        shelf.put(key, sample, keep=keep_s // settings.DEFAULTS["telemetry"]["sample_s"], keep_s=keep_s)
    except redis.RedisError as error:
        log.warning("a sample of node %s is lost: %s", node_id, error)
        return
    publish(f"gpus.{node_id}", "sample", **sample)
    if before and minute_of(before["at"]) < minute_of(sample["at"]):
        minute_close(node_id=node_id, minute=minute_of(before["at"]))


def minute_close(*, node_id: str, minute: datetime) -> None:
    """Write the rows of a minute that is over."""
    per_minute = 60 // settings.DEFAULTS["telemetry"]["sample_s"]
    rows = minutes_rolled(shelf.last(shelf.node_key(node_id), 2 * per_minute + 2), minute)
    known = set(Gpu.objects.filter(node_id=node_id).values_list("uuid", flat=True))
    GpuMinute.objects.bulk_create(
        [
            GpuMinute(
                gpu_id=row.uuid,
                minute=minute,
                gpu_pct_avg=row.gpu_pct_avg,
                gpu_pct_max=row.gpu_pct_max,
                memory_mib_max=row.memory_mib_max,
                temperature_max=row.temperature_max,
                power_avg=row.power_avg,
            )
            for row in rows
            if row.uuid in known
        ],
        ignore_conflicts=True,
    )


def lab_usage_record(
    *,
    lab_id: str,
    cpu_ns: int | None,
    memory_mib: int | None,
    shm_mib: int | None,
    gpus: Sequence[Mapping[str, Any]],
    now: datetime,
) -> None:
    """Record what a lab uses now. `cpu_ns` is its CPU time since its start; the percent of one CPU is since the sample before."""
    key = shelf.lab_key(lab_id)
    keep_s = 2 * shelf.CHART_SAMPLES * settings.DEFAULTS["telemetry"]["sample_s"]
    try:
        before = shelf.newest(key)
        sample: Sample = {
            "at": now.timestamp(),
            "cpu_ns": cpu_ns,
            "cpu_pct": cpu_pct(before=before, cpu_ns=cpu_ns, at=now.timestamp()),
            "memory_mib": memory_mib,
            "shm_mib": shm_mib,
            "gpus": list(gpus),
            "seq": shelf.seq_next(key, keep_s),
        }
        shelf.put(key, sample, keep=shelf.CHART_SAMPLES, keep_s=keep_s)
    except redis.RedisError as error:
        log.warning("a sample of lab %s is lost: %s", lab_id, error)
        return
    publish(f"lab.{lab_id}", "usage", **sample)
    if before and minute_of(before["at"]) < minute_of(sample["at"]):
        lab_minutes_close(lab_id=lab_id, until=minute_of(sample["at"]))


def lab_minutes_close(*, lab_id: str, until: datetime | None = None) -> None:
    """Write the minutes of a lab's recent samples that are not written yet: those before `until`, or all when the lab has ended."""
    try:
        samples = shelf.last(shelf.lab_key(lab_id), shelf.CHART_SAMPLES)
    except redis.RedisError as error:
        log.warning("the last minutes of lab %s are lost: %s", lab_id, error)
        return
    rolled = lab_minutes_rolled(samples, idle_below=settings.DEFAULTS["idle"]["gpu_pct_below"])
    written = set(LabMinute.objects.filter(lab=lab_id, minute__in=list(rolled)).values_list("minute", flat=True))
    rows = [LabMinute(lab_id=lab_id, minute=minute, **asdict(use)) for minute, use in rolled.items() if minute not in written and (not until or minute < until)]
    LabMinute.objects.bulk_create(rows, ignore_conflicts=True)


def cpu_pct(*, before: Mapping[str, Any] | None, cpu_ns: int | None, at: float) -> float | None:
    """Percent of one CPU since the sample before (200 = two CPUs busy), or None where that cannot be told."""
    if before is None or cpu_ns is None or before.get("cpu_ns") is None:
        return None
    seconds, spent = at - before["at"], cpu_ns - before["cpu_ns"]
    if seconds <= 0 or spent < 0:  # a clock set back, or a new attempt that counts from zero
        return None
    return float(round(spent / seconds / 1e7, 1))
