"""A lab that lost its GPU: its owner reads it and restarts it with a button; nobody else can."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.test import Client
from django.urls import reverse

from labs.fleet.models import Gpu, Node
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_assign, lab_ready
from labs.lifecycle.sickness import lab_device_seen
from labs.people.models import User


@pytest.fixture
def degraded(alice: User, lab_of: Callable[..., Lab], node: Node, now: datetime) -> Lab:
    """alice's running lab, whose GPU was taken from it."""
    lab = lab_of(alice, name="resnet", gpus=1)
    lab_assign(lab_id=lab.pk, node_id=node.pk, gpu_uuids=[node.gpus.all()[0].pk], now=now)
    lab_ready(lab_id=lab.pk, attempt=1, verified={}, not_held=[], now=now)
    lab.refresh_from_db()
    lab_device_seen(lab=lab, shut="/dev/nvidiactl", now=now)
    lab.refresh_from_db()
    return lab


def test_its_owner_reads_what_happened_and_restarts_it_with_a_button(as_alice: Client, degraded: Lab) -> None:
    page = as_alice.get(reverse("lab", args=[degraded.pk])).content.decode()
    assert "It has lost its GPU." in page
    assert "Failed to initialize NVML" in page
    assert "Restart on the same GPU" in page
    answer = as_alice.post(reverse("lab_restart_in_place", args=[degraded.pk]), follow=True).content.decode()
    assert "restarts on the same GPU" in answer
    degraded.refresh_from_db()
    assert (degraded.state, degraded.target) == ("stopping", "running")


def test_a_second_click_says_in_words_that_it_restarts_already(as_alice: Client, degraded: Lab) -> None:
    url = reverse("lab_restart_in_place", args=[degraded.pk])
    as_alice.post(url)
    assert "Only a running lab that has lost its GPU" in as_alice.post(url, follow=True).content.decode()
    assert degraded.leases.filter(closed_at=None).count() == 1


def test_nobody_else_restarts_it(as_charlie: Client, as_bob: Client, degraded: Lab) -> None:
    for client in (as_charlie, as_bob):
        assert client.post(reverse("lab_restart_in_place", args=[degraded.pk])).status_code == 404
    degraded.refresh_from_db()
    assert degraded.state == "running"


@pytest.mark.parametrize(("health", "words"), [("held", "Held back"), ("drained", "Taken out of service"), ("retired", "To be replaced")])
def test_an_administrator_sees_why_a_card_is_out_and_puts_it_back(as_root: Client, node: Node, health: str, words: str) -> None:
    Gpu.objects.filter(pk=node.gpus.first().pk).update(health=health, health_words="Row remap failed (Xid 64).")
    page = as_root.get(reverse("manage_nodes")).content.decode()
    assert words in page
    assert "Row remap failed (Xid 64)." in page
    assert page.count("Put back") == 1
