"""An image and the cards of the house: told before anybody waits."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.test import Client
from django.urls import reverse

from labs.catalogue.models import Image
from labs.fleet.models import Gpu, Node, NodeImage
from labs.fleet.queries import image_refused, nodes_all
from labs.lifecycle.models import Lab
from labs.lifecycle.queueing import wait_of
from labs.people.errors import Refused
from labs.people.models import User


def test_a_driver_that_is_too_old_refuses_the_click_with_the_fix(alice: User, lab_of: Callable[..., Lab], node: Node) -> None:
    Node.objects.update(driver="470.57.02")
    with pytest.raises(Refused, match=r"CUDA 12\.8 needs driver 525\.60\.13 at least.*Update the driver to 570\.26"):
        lab_of(alice, gpus=1)
    assert lab_of(alice, gpus=0).pk  # without a card the driver is no matter


def test_minor_mode_is_told_and_no_refusal(client: Client, alice: User, lab_of: Callable[..., Lab], node: Node) -> None:
    Node.objects.update(driver="535.104.05")
    assert lab_of(alice, gpus=1).pk
    client.force_login(alice)
    text = client.get(reverse("images")).content.decode()
    assert "Runs with limits" in text
    assert "minor-version mode" in text


def test_a_card_of_unknown_kind_is_a_warning(client: Client, alice: User, node: Node) -> None:
    Gpu.objects.update(compute_capability="")
    client.force_login(alice)
    assert "Not known" in client.get(reverse("images")).content.decode()


def test_a_lab_goes_to_the_node_whose_driver_suffices(alice: User, lab_of: Callable[..., Lab], node: Node, image: Image, now: datetime) -> None:
    old = Node.objects.create(
        pk="old", name="old", runtime="docker", cpus=64, memory_mib=512 * 1024, heartbeat_at=now, gpu_ready=True, probe_kind="nvml", driver="450.80.02"
    )
    Gpu.objects.create(uuid="GPU-9-test", node=old, index=0, model="NVIDIA H200", memory_mib=143771, compute_capability="9.0")
    NodeImage.objects.create(node=old, image=image, state="present", percent=100, updated_at=now)
    Node.objects.filter(pk="n1").update(state=Node.State.CORDONED)
    lab = lab_of(alice, gpus=1)
    entry = wait_of(lab=lab, now=now)
    assert entry is not None
    assert any("Node old: CUDA 12.8 needs driver" in words for words in entry.reasons)


def test_simulated_cards_take_everything(node: Node, image: Image) -> None:
    Node.objects.update(driver="1.0")
    assert image_refused(image=image, nodes=nodes_all())
    Gpu.objects.update(simulated=True)
    assert image_refused(image=image, nodes=nodes_all()) == ""
