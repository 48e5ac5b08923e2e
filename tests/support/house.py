"""A house with people in it: every state that a page can show, for the browser tests and the screenshots.

Run as a program it migrates the configured database, furnishes it and prints what a browser cannot guess.
"""

import json
import math
from dataclasses import asdict, dataclass
from datetime import datetime, time, timedelta

import django
from django.core.management import call_command
from django.utils import timezone

if __name__ == "__main__":  # models can be imported only once the apps are loaded
    django.setup()

from labs.catalogue.models import Contents, Image
from labs.datasets.models import DataSet
from labs.datasets.services import data_copy_ready
from labs.fleet.models import AT_REST_CHECK, Gpu, Node, NodeImage
from labs.fleet.queries import version_rules
from labs.fleet.versions import versions_judge
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_assign, lab_end, lab_gone, lab_ready, lab_stage
from labs.lifecycle.reclaims import reclaim_begin
from labs.lifecycle.services import lab_request
from labs.lifecycle.wishes import Wish
from labs.making.models import Making
from labs.people.models import User
from labs.people.services import group_create, invitation_create, person_create, person_groups_set
from labs.policy.asking import request_create
from labs.policy.services import group_limits_set, override_set, window_add
from labs.storage.rules import GIB
from labs.storage.services import workspace_record
from labs.telemetry.services import lab_usage_record
from tests.support.automation import automation_furnish
from tests.support.data import data_furnish
from tests.support.pages import PASSWORD
from tests.support.past import past_furnish
from tests.support.shared import shared_furnish
from tests.support.starters import starters_furnish
from tests.support.timetable import timetable_furnish

DRIVER = "580.159.03"
#: What the node's worker found on it, judged as the worker judges it.
FOUND = {"docker-engine": "28.5.1", "runc": "1.3.6", "nvidia-driver": DRIVER, "nvidia-container-toolkit": "1.19.1"}
RULES_HOLD = {"name": "Network rules", "state": "green", "words": "Labs cannot reach the host, private ranges or the metadata address.", "fix": ""}


@dataclass(frozen=True, slots=True)
class House:
    """Who and what is in it."""

    root: User
    alice: User
    bob: User
    newcomer: User
    labs: dict[str, Lab]
    invitation: str


def house_furnish(*, now: datetime) -> House:
    """Make it. The database is empty before."""
    root = _person("root", "Ruth Admin", "administrator", now)
    alice = _person("alice", "Alice Aalto", "researcher", now)
    bob = _person("bob", "Bob Bauer", "student", now)
    newcomer = _person("nora", "Nora Neu", "student", now)
    university = group_create(kind="organisation", name="University", slug="university", parent=None, actor=root, now=now)
    vision = group_create(kind="team", name="Vision group", slug="vision", parent=university, actor=root, now=now)
    course = group_create(kind="course", name="Deep Learning 101", slug="dl-101", parent=university, actor=root, now=now)
    person_groups_set(user=alice, groups=[vision], actor=root, now=now)
    person_groups_set(user=bob, groups=[vision, course], actor=root, now=now)
    group_limits_set(group=vision, values={"gpus": 4, "gpu_hours_week": 200, "guarantee": 2}, actor=root, now=now)
    window_add(values={"name": "nights", "limit": "gpus_max", "times": 2, "start": time(20), "end": time(7), "role": "researcher"}, actor=root, now=now)
    request_create(user=bob, asked={"gpus_max": 4, "hours_max": 24}, until=now + timedelta(days=14), why="The last chapter needs four cards at once.", now=now)
    override_set(user=bob, values={"gpus_max": 2, "memory_gib": 64}, until=now + timedelta(days=14), note="Thesis", actor=root, now=now)
    _, secret = invitation_create(email="ivy@example.edu", role="student", group=course, actor=root, now=now)
    image = _machine(now)
    for owner, gib, files in ((alice, 412, 183_402), (bob, 55.2, 20_118)):
        at = now - timedelta(minutes=5)
        workspace_record(owner_id=owner.pk, node_id="gpu01", size=int(gib * GIB), files=files, whole=True, now=at, models_size=14 * GIB)
    labs = _labs(alice, bob, image, now)
    _images(alice, image, now)
    starters_furnish(root=root, mine=labs["resnet-run"], team=vision, now=now)
    data_furnish(root=root, alice=alice, team=vision, image=image, node=Node.objects.get(), now=now)
    shared_furnish(root=root, mine=labs["resnet-run"], guest=bob, team=vision, now=now)
    automation_furnish(alice, image, now)
    return House(root, alice, bob, newcomer, labs, secret)


def _person(name: str, display_name: str, role: str, now: datetime) -> User:
    return person_create(email=f"{name}@example.edu", display_name=display_name, role=role, group=None, actor=None, now=now, password=PASSWORD)


def _machine(now: datetime) -> Image:
    image = Image.objects.create(
        slug="pytorch",
        title="PyTorch 2.9",
        repository="gpulab/pytorch-cuda",
        tag="2.9.1-cuda12.8",
        torch="2.9.1",
        cuda="12.8",
        python="3.11",
        created_at=now,
        description="JupyterLab, PyTorch, torchvision, pandas, OpenCV, TensorBoard.",
    )
    node = Node.objects.create(
        pk="gpu01",
        name="gpu01",
        runtime="docker",
        runtime_words="A Docker engine answers on this machine.",
        cpus=64,
        memory_mib=512 * 1024,
        heartbeat_at=now,
        gpu_ready=True,
        probe_kind="nvml",
        driver=DRIVER,
        cuda="13.0",
        engine_version=FOUND["docker-engine"],
        checks=[RULES_HOLD, *(asdict(one) for one in versions_judge(FOUND, version_rules()))],
    )
    for index in range(4):
        Gpu.objects.create(
            uuid=f"GPU-{index}a7c4f0e-52b1-4c7e-9d10-5b7d3c1e88f{index}",
            node=node,
            index=index,
            model="NVIDIA H200",
            memory_mib=143771,
            compute_capability="9.0",
        )
    Gpu.objects.filter(index=3).update(health="unknown", health_words="Missing in three readings in a row: the driver reports it as lost.")
    NodeImage.objects.create(node=node, image=image, state="present", percent=100, updated_at=now)
    return image


def _second(image: Image, now: datetime) -> None:
    """A node without cards whose workspaces lie encrypted, as its worker says; the first one's do not."""
    line, first = {"name": AT_REST_CHECK, "state": "green", "fix": ""}, Node.objects.get()
    plain, hidden = line | {"words": "Workspaces are not encrypted at rest."}, line | {"words": "Workspaces are encrypted at rest (dm-crypt)."}
    Node.objects.filter(pk=first.pk).update(encrypts=False, checks=[*first.checks, plain])
    size = {"cpus": 128, "memory_mib": 256 * 1024, "runtime_words": first.runtime_words, "engine_version": first.engine_version}
    node = Node.objects.create(pk="cpu01", name="cpu01", runtime="docker", heartbeat_at=now, encrypts=True, checks=[RULES_HOLD, hidden], **size)
    NodeImage.objects.create(node=node, image=image, state="present", percent=100, updated_at=now)
    data_copy_ready(data_set_id=DataSet.objects.get(name="birds").pk, node_id=node.pk, size=3 * GIB, files=48_562, checksum="5d" * 32, now=now)


def _images(alice: User, image: Image, now: datetime) -> None:
    """One that alice made, one under way, one that failed."""
    Image.objects.filter(pk=image.pk).update(digest=f"sha256:{'5a' * 32}")
    own = Image.objects.create(
        slug="detector-2", title="Detector 2", repository="gpulab/made", tag="d1", digest=f"sha256:{'6b' * 32}", torch="2.9.1", cuda="12.8", python="3.11",
        created_at=now - timedelta(days=3), made_by=alice, made_from=image, note="timm and albumentations for the thesis",
        size_before=8_600_000_000, size_after=8_912_000_000,
    )  # fmt: skip
    NodeImage.objects.create(node_id="gpu01", image=own, state="present", percent=100, updated_at=now)
    listed = [{"name": "albumentations", "version": "2.0.8", "kind": "python", "licence": "MIT"}, {"name": "tini", "version": "0.19.0-1", "kind": "debian"}]
    Contents.objects.create(image=own, packages=listed, read_at=now - timedelta(days=3))
    common = {"owner": alice, "base": image, "node_id": "gpu01", "most_bytes": 1, "asked_at": now - timedelta(minutes=4)}
    log = "Collecting timm==1.0.22\n  Downloading timm-1.0.22-py3-none-any.whl (2.5 MB)\nInstalling collected packages: timm\n"
    Making.objects.create(
        pk="aaaaaaaaaaa1", kind="built", name="Timm", state="working", percent=42, words="Installing the packages", log=log, text="timm==1.0.22\n", **common
    )
    words = "The packages could not be installed. No matching distribution found for tim"
    Making.objects.create(pk="aaaaaaaaaaa2", kind="built", name="Tim", state="failed", words=words, log=log, text="tim\n", ended_at=now, **common)


def _labs(alice: User, bob: User, image: Image, now: datetime) -> dict[str, Lab]:
    def ask(owner: User, name: str, gpus: int, ago: timedelta, **more: int) -> Lab:
        wish = Wish(image_id=image.pk, name=name, **({"gpus": gpus, "cpus": 4, "memory_gib": 16, "hours": 8} | more))
        return lab_request(owner=owner, wish=wish, now=now - ago, actor=owner)

    cards = list(Gpu.objects.filter(health="ok").order_by("index").values_list("pk", flat=True))
    ended = ask(alice, "big-batch", 0, timedelta(hours=7))
    _start(ended, [], now - timedelta(hours=7))
    log = "Loading checkpoint shards: 100%\nepoch 1/40\nKilled\n"
    lab_end(lab_id=ended.pk, code="out_of_memory", now=now - timedelta(hours=6), log_tail=log)
    lab_gone(lab_id=ended.pk, now=now - timedelta(hours=6))
    running = ask(alice, "resnet-run", 1, timedelta(hours=2, minutes=48))
    _start(running, cards[:1], now - timedelta(hours=2, minutes=48))
    starting = ask(bob, "notebooks", 0, timedelta(minutes=1))
    lab_assign(lab_id=starting.pk, node_id="gpu01", gpu_uuids=[], now=now)
    lab_stage(lab_id=starting.pk, attempt=1, stage="container", words="Container started")
    busy = ask(alice, "sweep", 2, timedelta(hours=1))
    _start(busy, cards[1:3], now - timedelta(hours=1))
    waiting = ask(alice, "thesis", 1, timedelta(minutes=40))
    offered = ask(alice, "evening", 0, timedelta(minutes=3), ask_first=True)
    lab_assign(lab_id=offered.pk, node_id="gpu01", gpu_uuids=[], now=now)
    other = ask(bob, "homework", 1, timedelta(minutes=25))
    reclaim_begin(lab_id=busy.pk, taken_for=other.pk, now=now)
    labs = (ended, running, starting, busy, waiting, offered, other)
    return {lab.name: Lab.objects.get(pk=lab.pk) for lab in labs}


def _start(lab: Lab, cards: list[str], at: datetime) -> None:
    lab_assign(lab_id=lab.pk, node_id="gpu01", gpu_uuids=cards, now=at)
    lab_stage(lab_id=lab.pk, attempt=1, stage="container", words="Container started")
    verified = {"memory": "16 GiB, swap none", "shm": "8 GiB", "pids": "8192", "capabilities": "none", "user": "20001"}
    lab_ready(lab_id=lab.pk, attempt=1, verified=verified, not_held=[], now=at + timedelta(seconds=2))
    Lab.objects.filter(pk=lab.pk).update(log_tail="[I ServerApp] Jupyter Server is running at /l/\n[I ServerApp] Kernel started: python3\n")


def _readings(house: House, now: datetime) -> None:
    """Four minutes of what the running labs used, so that charts have something to draw."""
    for lab in (house.labs["resnet-run"], house.labs["sweep"]):
        for second in range(0, 240, 2):
            wave = 50 + 40 * math.sin(second / 21)
            card = {"gpu_pct": round(wave), "memory_used_mib": 62_000 + 40 * second, "memory_total_mib": 143_771, "power_w": 300 + 2 * wave}
            lab_usage_record(
                lab_id=lab.pk,
                cpu_ns=int(second * 1e9 * 1.6),
                memory_mib=7000 + 5 * second,
                shm_mib=900,
                gpus=[card | {"uuid": f"GPU-{number}"} for number in range(lab.gpus)],
                now=now - timedelta(seconds=240 - second),
            )


if __name__ == "__main__":  # the served house furnishes itself in a process of its own
    call_command("migrate", verbosity=0)
    moment = timezone.now()
    made = house_furnish(now=moment)
    _readings(made, moment)
    job = past_furnish(owners=[made.alice, made.bob], image=made.labs["resnet-run"].image, now=moment)
    series = timetable_furnish(root=made.root, now=moment)
    _second(made.labs["resnet-run"].image, moment)
    meeting = series.meetings.earliest("starts_at")
    labs = {name: lab.pk for name, lab in made.labs.items()} | {job.name: job.pk}
    print(json.dumps({"invitation": made.invitation, "labs": labs, "series": series.pk, "meeting": meeting.pk}))
