"""A week behind the furnished house: labs that have ended, and what cards and labs did by the hour."""

import math
from datetime import datetime, timedelta

from labs.catalogue.models import Image
from labs.fleet.models import Gpu
from labs.lifecycle.models import Lab, Lease
from labs.people.models import User
from labs.telemetry.hours import lab_summary_write
from labs.telemetry.models import GpuHour, LabHour, LabMinute

HOUR = timedelta(hours=1)
#: Hours ago, hours held, percent busy.
PAST = ((160, 9, 82), (139, 4, 3), (116, 11, 64), (90, 6, 71), (67, 12, 12), (43, 8, 90), (21, 5, 55))


def past_furnish(*, owners: list[User], image: Image, now: datetime) -> Lab:
    """Each owner has held a card of their own nearly every day; the first has run the job that is returned."""
    cards = list(Gpu.objects.order_by("index"))
    for place, owner in enumerate(owners):
        for number, (ago, held, busy) in enumerate(PAST):
            start = (now - (ago + 2 * place) * HOUR).replace(minute=10 * place, second=0, microsecond=0)
            _lab(owner, image, cards[place], f"week-{number}", start, held, busy)
    job = _lab(owners[0], image, cards[0], "train", (now - 2 * HOUR).replace(second=0, microsecond=0), 1, 38)
    ended = {"state": "failed", "reason_code": "job_failed", "reason": "Its program ended with an error.", "exit_code": 1, "folder": "project"}
    Lab.objects.filter(pk=job.pk).update(**ended, command=["python", "train.py", "--epochs", "10"], log_tail="RuntimeError: the loss is not a number\n")
    begin = now.replace(minute=0, second=0, microsecond=0)
    for place, card in enumerate(cards):
        for ago in range(1, 24 * 7):
            wave = 50 + 45 * math.sin((begin - ago * HOUR).hour / 24 * 2 * math.pi + place)
            GpuHour.objects.create(gpu=card, hour=begin - ago * HOUR, minutes=60, gpu_pct_avg=round(max(wave - 10 * place, 0), 1))
    return job


def _lab(owner: User, image: Image, card: Gpu, name: str, start: datetime, held: int, busy: int) -> Lab:
    end = start + held * HOUR
    lab = Lab.objects.create(
        owner=owner, image=image, name=name, gpus=1, cpus=4, memory_mib=16384, shm_mib=8192, pids=4096, hours=12, state="stopped", target="stopped",
        reason_code="time_up", reason="Its time was up.", node=card.node, requested_at=start - timedelta(minutes=busy % 7 * 4), state_since=end,
        started_at=start, ends_at=end, ended_at=end,
    )  # fmt: skip
    Lease.objects.create(lab=lab, gpu=card, attempt=1, opened_at=start, closed_at=end)
    idle = 40 if busy < 20 else 4
    use = {"gpu_pct_max": 99, "gpu_memory_mib_max": 1500 * (1 + busy // 3), "cpu_pct_avg": 120.0, "memory_mib_max": 6200, "shm_mib_max": 640}
    for hour in range(held):
        at = start.replace(minute=0) + hour * HOUR
        LabHour.objects.create(lab=lab, hour=at, minutes=60, cards=60, cards_idle=idle, gpu_pct_sum=60.0 * busy, **use)
    for minute in range(6):
        LabMinute.objects.create(lab=lab, minute=start.replace(minute=0) + minute * timedelta(minutes=1), cards=1, gpu_pct_sum=busy, **use)
    lab_summary_write(lab=lab)
    return lab
