"""What it costs to load everything that a plan depends on, against the length of the queue, beside the plan itself.

    python -m benchmarks.snapshot_load [--waiting 100,1000] [--cards 64] [--leases 20000] [--runs 7] [--json FILE]

Makes a test database of its own (PostgreSQL where GPULAB_TEST_DATABASE_URL names one, else SQLite), fills it with people, each with a waiting
lab, with cards, half of them held, and with leases of the last month, and removes it again. Figures: queries, and milliseconds
(median and most of the runs; `cpu` is this process's own part) with the cache of the past warm, as it is for all but one look in five minutes.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import django

if __name__ == "__main__":  # models can be imported only once the apps are loaded
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()

from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext, get_runner, setup_test_environment
from django.utils import timezone

from labs.catalogue.models import Image
from labs.fleet.models import Gpu, Node, NodeImage
from labs.lifecycle.models import Lab, Lease
from labs.lifecycle.waiting import snapshot_load
from labs.people.models import Group, Membership, Role, User
from labs.policy.models import RoleLimits
from labs.scheduler.plan import plan

TEAMS = 20
SIZES = {"cpus": 2, "memory_mib": 4096, "shm_mib": 2048, "pids": 512, "hours": 4}


def furnish(waiting: int, cards: int, leases: int, now: datetime) -> None:
    """People in teams, a node of eight cards each, half of the cards held, a month of leases."""
    for role, values in settings.DEFAULTS["roles"].items():
        RoleLimits.objects.get_or_create(role=role, defaults=values)
    image = Image.objects.create(slug="i", title="I", repository="i", tag="1", created_at=now)
    house = Group.objects.create(kind="organisation", name="House", slug="house")
    teams = [Group.objects.create(kind="team", name=f"T{n}", slug=f"t{n}", parent=house) for n in range(TEAMS)]
    people = User.objects.bulk_create(
        User(username=f"p{n}", email=f"p{n}@example.edu", display_name=f"P{n}", role=Role.RESEARCHER, uid=40_000 + n, passes_not_before=now)
        for n in range(waiting)
    )
    Membership.objects.bulk_create(Membership(user=user, group=teams[n % TEAMS]) for n, user in enumerate(people))
    size = {"runtime": "docker", "cpus": 512, "memory_mib": 2**22, "gpu_ready": True, "heartbeat_at": now}
    nodes = [Node.objects.create(pk=f"n{n}", name=f"n{n}", realm=f"{n:08x}", **size) for n in range(max(cards // 8, 1))]
    NodeImage.objects.bulk_create(NodeImage(node=node, image=image, state="present", percent=100, updated_at=now) for node in nodes)
    gpus = Gpu.objects.bulk_create(Gpu(uuid=f"GPU-{n}", node=nodes[n // 8 % len(nodes)], index=n % 8, model="H200") for n in range(cards))
    rows = Lab.objects.bulk_create(_lab(user, image, gpu, now) for user, gpu in zip(people, [*gpus[::2], *[None] * waiting], strict=False))
    held = [row for row in rows if row.state == "running"]
    Lease.objects.bulk_create(Lease(lab=row, gpu=gpu, attempt=1, opened_at=now - timedelta(hours=1)) for row, gpu in zip(held, gpus[::2], strict=True))
    past = ((held[n % len(held)], gpus[n % cards], now - timedelta(hours=2 + n % 700)) for n in range(leases))
    Lease.objects.bulk_create(Lease(lab=row, gpu=gpu, attempt=1, opened_at=at, closed_at=at + timedelta(hours=1)) for row, gpu, at in past)
    Lab.objects.bulk_create(_lab(row.owner, image, None, now) for row in held)


def _lab(owner: User, image: Image, gpu: Gpu | None, now: datetime) -> Lab:
    more: dict[str, Any] = {"name": "waiting"}
    if gpu is not None:
        more = {"name": "held", "state": "running", "node_id": gpu.node_id, "started_at": now - timedelta(hours=1), "ends_at": now + timedelta(hours=3)}
    return Lab(owner=owner, image=image, gpus=1, requested_at=now - timedelta(minutes=1), state_since=now, **SIZES, **more)


def measure(runs: int, now: datetime) -> dict[str, Any]:
    """One load to warm the cache, then the figures."""
    snapshot = snapshot_load(now=now)
    with CaptureQueriesContext(connection) as seen:
        snapshot_load(now=now)
    load = [_ms(lambda: snapshot_load(now=now)) for _ in range(runs)]
    cpu = [_ms(lambda: snapshot_load(now=now), time.process_time) for _ in range(runs)]
    made = [_ms(lambda: plan(snapshot, now, estimates=False), time.process_time) for _ in range(runs)]
    return {
        "waiting": len(snapshot.waiting),
        "queries": len(seen),
        "load_ms": round(statistics.median(load), 1),
        "load_most_ms": round(max(load), 1),
        "load_cpu_ms": round(statistics.median(cpu), 1),
        "plan_cpu_ms": round(statistics.median(made), 1),
    }


def _ms(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    began = clock()
    work()
    return 1000 * (clock() - began)


def main() -> None:
    """Print a row for each length of the queue."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--waiting", default="100,1000")
    parser.add_argument("--cards", type=int, default=64)
    parser.add_argument("--leases", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()
    setup_test_environment()
    rows = []
    for waiting in (int(one) for one in wanted.waiting.split(",")):
        runner = get_runner(settings)(verbosity=0, interactive=False)
        made = runner.setup_databases()
        try:
            now = timezone.now()
            furnish(waiting, wanted.cards, wanted.leases, now)
            rows.append({"database": connection.vendor} | measure(wanted.runs, now))
        finally:
            runner.teardown_databases(made)
        print(rows[-1])
    if wanted.json:
        wanted.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
