"""What the lab's page says of cards beyond the guarantee, and while they are taken back."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse

from labs.fleet.models import Gpu, Node
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_assign, lab_gone, lab_ready
from labs.lifecycle.reclaims import reclaim_begin, reclaims_review
from labs.people.models import User

Ask = Callable[..., Lab]
CARDS = [f"GPU-0000000{n}-test" for n in range(3)]


@pytest.fixture
def over(alice: User, lab_of: Ask, node: Node, now: datetime) -> Lab:
    """alice's second lab, on a card beyond her guarantee."""
    Gpu.objects.create(uuid=CARDS[2], node=node, index=2, model="NVIDIA H200")
    for name, cards in (("inside", CARDS[:2]), ("extra", CARDS[2:])):
        lab = lab_of(alice, name=name, gpus=len(cards), hours=8)
        lab_assign(lab_id=lab.pk, node_id=node.pk, gpu_uuids=cards, now=now)
        lab_ready(lab_id=lab.pk, attempt=1, verified={}, not_held=[], now=now)
    return Lab.objects.get(name="extra")


def page_of(client: Client, lab: Lab) -> str:
    """The lab's page as text."""
    return " ".join(client.get(reverse("lab", args=[lab.pk])).content.decode().split())


def test_a_lab_over_quota_says_that_it_may_be_taken_back_and_one_inside_does_not(as_alice: Client, over: Lab) -> None:
    page = page_of(as_alice, over)
    assert "Runs over quota." in page and "Its GPU is beyond your guarantee" in page and "a notice 5 minutes before" in page
    assert "Runs over quota" not in page_of(as_alice, Lab.objects.get(name="inside"))


def test_a_lab_under_notice_says_when_it_is_stopped_and_what_stays(as_alice: Client, over: Lab, lab_of: Ask, charlie: User, now: datetime) -> None:
    assert reclaim_begin(lab_id=over.pk, taken_for=lab_of(charlie, gpus=1).pk, now=now)
    page = page_of(as_alice, over)
    assert "Its GPU is needed by others" in page and "Save your work" in page and f"{now + timedelta(minutes=5):%H:%M}" in page
    assert "harlie" not in page


def test_queueing_again_is_switched_by_its_owner_alone(as_alice: Client, as_charlie: Client, over: Lab) -> None:
    url = reverse("lab_requeue", args=[over.pk])
    assert as_charlie.post(url).status_code == 404
    assert as_alice.get(url).status_code == 405
    as_alice.post(url)
    assert not Lab.objects.get(pk=over.pk).requeue and "Queue it again afterwards" in page_of(as_alice, over)
    as_alice.post(url, {"requeue": "on"})
    assert Lab.objects.get(pk=over.pk).requeue


def test_an_ended_lab_leads_to_the_one_that_waits_again(as_alice: Client, over: Lab, lab_of: Ask, charlie: User, now: datetime) -> None:
    reclaim_begin(lab_id=over.pk, taken_for=lab_of(charlie, gpus=1).pk, now=now)
    reclaims_review(now=now + timedelta(minutes=5))
    lab_gone(lab_id=over.pk, now=now + timedelta(minutes=5))
    page = page_of(as_alice, over)
    again = Lab.objects.get(requeued_from=over)
    assert "taken back" in page and reverse("lab", args=[again.pk]) in page
