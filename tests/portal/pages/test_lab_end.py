"""The card of an ended lab: why, how full it was, and again with what was missing."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse

from labs.fleet.models import Gpu, Node
from labs.lifecycle import states
from labs.lifecycle.models import Lab, Lease
from labs.lifecycle.moves import lab_end, lab_gone
from labs.people.models import User
from labs.telemetry.models import LabMinute

SHM = "ERROR: Unexpected bus error encountered in worker. This might be caused by insufficient shared memory (shm)."


@pytest.fixture
def ended(alice: User, lab_of: Callable[..., Lab], now: datetime) -> Callable[..., Lab]:
    """End a lab of alice's that ran: `ended("exited", log)`."""

    def end(code: str, log: str = "") -> Lab:
        lab = lab_of(alice, gpus=1)
        Lab.objects.filter(pk=lab.pk).update(state=states.RUNNING, node_id="n1", started_at=now, ends_at=now + timedelta(hours=2))
        for minute in range(3):
            moment = now + timedelta(minutes=minute)
            LabMinute.objects.create(lab=lab, minute=moment, cards=1, gpu_pct_sum=40.0 * minute, memory_mib_max=3 * 1024, shm_mib_max=2000)
        assert lab_end(lab_id=lab.pk, code=code, now=now, log_tail=log)
        assert lab_gone(lab_id=lab.pk, now=now)
        lab.refresh_from_db()
        return lab

    return end


def page(client: Client, person: User, lab: Lab) -> str:
    client.force_login(person)
    return client.get(reverse("lab", args=[lab.pk])).content.decode()


def test_a_log_that_tells_of_full_shared_memory_is_the_reason_and_brings_the_fix(client: Client, alice: User, ended: Callable[..., Lab]) -> None:
    lab = ended("exited", SHM)
    assert (lab.reason_code, lab.state) == ("out_of_shm", states.FAILED)
    text = page(client, alice, lab)
    assert "shared memory (/dev/shm) was full" in text
    assert "Launch again with 4 GiB of shared memory" in text
    assert "shm_gib=4&amp;hours" in text
    assert "memory_gib=8" in text


def test_an_end_that_was_asked_for_is_not_explained_away_by_the_log(ended: Callable[..., Lab]) -> None:
    assert ended("asked", SHM).reason_code == "asked"


def test_the_last_minutes_are_drawn_with_their_peaks(client: Client, alice: User, ended: Callable[..., Lab]) -> None:
    text = page(client, alice, ended("asked"))
    assert text.count("<polyline") == 3
    assert "at most 80%" in text
    assert "at most 3.0 of 4 GiB" in text


def test_what_was_not_measured_is_not_drawn(client: Client, alice: User, ended: Callable[..., Lab]) -> None:
    lab = ended("asked")
    LabMinute.objects.all().delete()
    text = page(client, alice, lab)
    assert "<polyline" not in text
    assert "You stopped it." in text


def test_the_form_that_launches_it_again_is_filled_in(client: Client, alice: User, ended: Callable[..., Lab]) -> None:
    lab = ended("out_of_memory")
    text = page(client, alice, lab)
    address = text.split('href="/launch')[1].split('"')[0].replace("&amp;", "&")
    form = client.get(f"/launch{address}").content.decode()
    assert 'name="memory_gib"' in form
    assert 'value="8"' in form


def test_a_full_card_is_the_one_that_the_lab_had_also_where_any_was_asked_for(
    client: Client, alice: User, ended: Callable[..., Lab], node: Node, now: datetime
) -> None:
    Gpu.objects.create(uuid="GPU-larger", node=node, index=7, model="NVIDIA B300", memory_mib=275_000, compute_capability="10.3")
    lab = ended("exited", "torch.OutOfMemoryError: CUDA out of memory.")
    Lease.objects.create(lab=lab, gpu_id=node.gpus.get(index=0).pk, attempt=1, opened_at=now, closed_at=now)
    text = page(client, alice, lab)
    assert lab.gpu_model == "" and "Launch again on NVIDIA B300" in text and "gpu_model=NVIDIA+B300" in text


def test_an_image_that_failed_is_not_asked_for_again(client: Client, alice: User, ended: Callable[..., Lab]) -> None:
    text = page(client, alice, ended("image_failed"))
    assert "image=&amp;gpus=1" in text and "Choose another image" in text


def test_a_job_is_run_again_as_a_job_with_the_fix_and_once(client: Client, alice: User, ended: Callable[..., Lab]) -> None:
    lab = ended("child_out_of_memory")
    Lab.objects.filter(pk=lab.pk).update(command=["python", "train.py"], folder="src", gpus=0)
    assert "Run it again with twice the memory" in page(client, alice, lab)
    for _ in range(2):
        answer = client.post(reverse("lab_again", args=[lab.pk]))
        made = Lab.objects.exclude(pk=lab.pk).get()
        assert answer.url == reverse("lab", args=[made.pk])
    assert (made.state, made.command, made.folder, made.memory_mib) == ("queued", ["python", "train.py"], "src", 2 * lab.memory_mib)
    assert "has ended is run again" in client.post(reverse("lab_again", args=[made.pk]), follow=True).content.decode()


def test_an_administrator_sees_why_and_launches_nothing_for_others(client: Client, root_admin: User, ended: Callable[..., Lab]) -> None:
    text = page(client, root_admin, ended("asked"))
    assert "How it ended" in text
    assert "Launch again" not in text
