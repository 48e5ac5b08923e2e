"""A house at work for the browser's journeys: its loops tick over a runtime in memory, so that clicks have consequences.

Run as a program it migrates the configured database, furnishes it, prints that it is ready, and ticks until it is ended.
"""

import json
import time
from collections.abc import Callable
from datetime import datetime

import django
from django.core.management import call_command
from django.utils import timezone

if __name__ == "__main__":  # models can be imported only once the apps are loaded
    django.setup()

from labs.catalogue.models import Image
from labs.fleet.models import Gpu, Node, NodeImage
from labs.people.services import group_create, person_create, person_groups_set
from tests.support.hands import NoCards
from tests.support.pages import PASSWORD
from worker.hands import Hands
from worker.loops import reconcile, schedule, timetable
from worker.runtimes.fake import FakeRuntime

PERIOD_S = 0.25
PEOPLE = {"root": "administrator", "alice": "researcher", "bob": "student", "charlie": "researcher", "tina": "teacher"}


def people_make(now: datetime) -> None:
    """root, and of the course: tina who teaches it, bob; of the team: alice, bob. charlie is a stranger."""
    made = {
        name: person_create(email=f"{name}@example.edu", display_name=name.capitalize(), role=role, group=None, actor=None, now=now, password=PASSWORD)
        for name, role in PEOPLE.items()
    }
    root = made["root"]
    university = group_create(kind="organisation", name="University", slug="university", parent=None, actor=root, now=now)
    team = group_create(kind="team", name="Vision group", slug="vision", parent=university, actor=root, now=now)
    course = group_create(kind="course", name="Vision 101", slug="vision-101", parent=university, actor=root, now=now)
    for name, groups in {"alice": [team], "bob": [team, course], "tina": [course]}.items():
        person_groups_set(user=made[name], groups=groups, actor=root, now=now)


def node_make(now: datetime) -> Node:
    """One node with four cards that holds the image."""
    image = Image.objects.create(slug="pytorch", title="PyTorch 2.9", repository="gpulab/pytorch-cuda", tag="test", torch="2.9.1", cuda="12.8", created_at=now)
    node = Node.objects.create(pk="gpu01", name="gpu01", runtime="docker", cpus=64, memory_mib=512 * 1024, heartbeat_at=now, gpu_ready=True, probe_kind="nvml")
    for index in range(4):
        Gpu.objects.create(uuid=f"GPU-{index}a7c4f0e-test", node=node, index=index, model="NVIDIA H200", memory_mib=143771, compute_capability="9.0")
    NodeImage.objects.create(node=node, image=image, state="present", percent=100, updated_at=now)
    return node


def loops_of(node: Node) -> list[Callable[[datetime], object]]:
    """What ticks: the timetable, the scheduler, and the node's hands."""
    hands = Hands(node_id=node.pk, runtime=FakeRuntime(node_id=node.realm), probe=NoCards())
    return [lambda now: timetable.tick(now=now), lambda now: schedule.tick(now=now), lambda now: reconcile.tick(hands=hands, now=now)]


def work(node: Node) -> None:
    """Tick until ended."""
    loops = loops_of(node)
    while True:
        now = timezone.now()
        Node.objects.filter(pk=node.pk).update(heartbeat_at=now)
        for tick in loops:
            tick(now)
        time.sleep(PERIOD_S)


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    moment = timezone.now()
    people_make(moment)
    there = node_make(moment)
    print(json.dumps({"invitation": "", "labs": {}}), flush=True)
    work(there)
