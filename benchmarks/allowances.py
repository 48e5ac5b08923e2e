"""What it costs to know what many people may have and hold: their limits, their groups' caps, a month of leases.

    python benchmarks/allowances.py [--people 1000] [--leases 20000] [--runs 10] [--json FILE]

Each scheduler's tick asks it for everybody who waits or runs. Beside it the same asked person by person (for a sample, scaled
up), which is what the answer for all at once replaces, and the floor: reading the same leases alone. Prints medians and the
number of queries. The records are on SQLite, or on GPULAB_DATABASE_URL's server.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.records import django_up

SAMPLE = 10


def furnish(count: int, leases: int, now: datetime) -> list[Any]:
    """Students in twenty capped courses below one organisation, and a month of leases on 64 cards."""
    from labs.catalogue.models import Image
    from labs.fleet.models import Gpu, Node
    from labs.lifecycle.models import Lab, Lease
    from labs.people.models import Group, Membership, User
    from labs.policy.models import GroupLimits, LimitWindow

    house = Group.objects.create(kind="organisation", name="University", slug="u")
    courses = [Group.objects.create(kind="course", name=f"Course {n}", slug=f"c{n}", parent=house) for n in range(20)]
    GroupLimits.objects.bulk_create(GroupLimits(group=group, gpus=32, gpu_hours_week=5000) for group in (house, *courses))
    LimitWindow.objects.create(name="nights", limit="gpus_max", times=2, days="0123456", below=80, created_at=now)
    people = User.objects.bulk_create(
        User(username=f"p{n}", email=f"p{n}@example.edu", display_name=f"P{n}", uid=30000 + n, passes_not_before=now) for n in range(count)
    )
    Membership.objects.bulk_create(Membership(user=user, group=courses[n % 20]) for n, user in enumerate(people))
    node = Node.objects.create(pk="n1", name="n1")
    cards = Gpu.objects.bulk_create(Gpu(uuid=f"GPU-{n}", node=node, index=n, model="NVIDIA H200") for n in range(64))
    image = Image.objects.create(slug="i", title="I", repository="i/i", tag="1", created_at=now)
    sizes = {"image": image, "gpus": 1, "cpus": 1, "memory_mib": 1024, "shm_mib": 512, "pids": 64, "hours": 1, "requested_at": now, "state_since": now}
    labs = Lab.objects.bulk_create(Lab(owner=user, name="lab", state="running", node=node, **sizes) for user in people)
    Lease.objects.bulk_create(_lease(n, labs[n % count], cards[n % 64], leases, now) for n in range(leases))
    return people


def _lease(n: int, lab: Any, card: Any, leases: int, now: datetime) -> Any:
    from labs.lifecycle.models import Lease

    opened = now - timedelta(days=30) * ((n + 1) / leases)
    return Lease(lab=lab, gpu=card, attempt=1, opened_at=opened, closed_at=opened + timedelta(hours=2))


def median_ms(act: Callable[[], object], runs: int) -> float:
    """Of so many runs."""
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        act()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def measure(count: int, leases: int, runs: int) -> dict[str, Any]:
    """All at once, person by person, and the leases alone."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext
    from django.utils import timezone

    from labs.lifecycle.allowances import allowance_of, allowances_of
    from labs.lifecycle.models import Lease

    now = timezone.now()
    people = furnish(count, leases, now)
    with CaptureQueriesContext(connection) as queries:
        allowances_of(users=people, now=now)
    together = median_ms(lambda: allowances_of(users=people, now=now), runs)
    apart = median_ms(lambda: [allowance_of(user=user, now=now) for user in people[:SAMPLE]], 1) * count / SAMPLE
    floor = median_ms(lambda: list(Lease.objects.values_list("lab__owner_id", "opened_at", "closed_at", "gpu__share")), runs)
    return {
        "people": count,
        "leases": leases,
        "queries": len(queries),
        "all_at_once_ms": round(together, 1),
        "person_by_person_ms": round(apart, 1),
        "leases_alone_ms": round(floor, 1),
        "times_person_by_person": round(apart / together, 1),
        "times_leases_alone": round(together / floor, 2),
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--leases", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gpulab-allowances-") as home:
        django_up(Path(home))
        figures = measure(asked.people, asked.leases, asked.runs)
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):>24}  {value}")
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
