"""Strays are listed, left alone for their grace, and then removed; and an administrator decides otherwise."""

from datetime import timedelta

import pytest
from django.test import Client

from labs.ledger.models import Event
from labs.lifecycle.models import Lab, Lease
from labs.notices.models import Notice
from labs.quarantine.models import Stray
from labs.quarantine.services import GRACE, Seen, strays_note
from tests.support.hands import round_of  # noqa: F401  (fixture)
from worker.loops import reconcile
from worker.runtimes.base import Observed

pytestmark = pytest.mark.django_db(transaction=True)
NAME = "gpulab-zzzzzzzzzzzz-1"


@pytest.fixture
def house(round_of):
    """A node on which a container runs that no record knows."""
    made = round_of()
    made.runtime._labs[NAME] = (type("Spec", (), {"node_id": made.runtime.node_id})(), Observed(NAME, "zzzzzzzzzzzz", 1, running=True))
    return made


def runs(house) -> bool:
    return NAME in {one.name for one in house.runtime.observe()}


def test_a_stray_is_listed_and_told_once_and_left_alone_until_its_grace_is_over(house, root_admin):
    for _ in range(3):
        house.tick()
    [stray] = Stray.objects.all()
    assert stray.name == NAME and runs(house) and Event.objects.filter(kind="node.stray").count() == 1
    assert Notice.objects.filter(kind="stray", user=root_admin).count() == 1
    house.now = stray.remove_at - timedelta(seconds=1)
    house.tick()
    assert runs(house)
    house.now += timedelta(seconds=2)
    house.tick()
    assert not runs(house)
    house.tick()
    assert not Stray.objects.exists() and Event.objects.filter(kind="node.stray_gone").count() == 1


def test_a_stray_that_an_administrator_keeps_stays_and_one_that_they_remove_goes_at_once(house, root_admin):
    house.tick()
    client = Client()
    client.force_login(root_admin)
    page = client.get("/manage/nodes/").content.decode()
    assert NAME in page and "Keep for a week" in page
    stray = Stray.objects.get()
    client.post(f"/manage/strays/{stray.pk}/", {"keep": "yes"})
    house.now += 2 * GRACE
    house.tick()
    assert runs(house)
    client.post(f"/manage/strays/{stray.pk}/")
    house.now += timedelta(seconds=30)
    house.tick()
    assert not runs(house)


def test_only_an_administrator_decides_about_strays(house, alice):
    house.tick()
    client = Client()
    client.force_login(alice)
    assert client.post(f"/manage/strays/{Stray.objects.get().pk}/").status_code in (403, 404)
    house.tick()
    assert runs(house)


def test_the_container_of_a_lab_that_waits_by_an_older_record_is_not_removed(house, lab_of, alice):
    lab = lab_of(alice)
    house.until(lab, "running")
    Lab.objects.filter(pk=lab.pk).update(state="queued", target="stopped", node=None)
    house.tick()
    assert f"gpulab-{lab.pk}-1" in set(Stray.objects.values_list("name", flat=True))
    assert f"gpulab-{lab.pk}-1" in {one.name for one in house.runtime.observe()}


def test_a_card_that_a_stray_has_is_given_to_nobody(house, lab_of, alice, bob, node):
    lab = lab_of(alice, gpus=1)
    house.until(lab, "running")
    card = Lease.objects.get(lab=lab).gpu_id
    Lease.objects.update(closed_at=house.now)
    Lab.objects.filter(pk=lab.pk).update(state="queued", target="stopped", node=None)  # a record from before its start, and not to be adopted
    house.tick()
    assert Stray.objects.get(lab_id=lab.pk).gpus == [card]
    for owner in (alice, bob):
        lab_of(owner, gpus=1)
    house.tick()
    assert card not in set(Lease.objects.filter(closed_at=None).values_list("gpu_id", flat=True))


def test_a_running_lab_that_waits_by_an_older_record_is_adopted_with_its_cards(house, lab_of, alice):
    lab = lab_of(alice, gpus=1)
    house.until(lab, "running")
    card = Lease.objects.get(lab=lab).gpu_id
    Lease.objects.all().delete()
    Lab.objects.filter(pk=lab.pk).update(state="queued", node=None)
    reconcile.tick(hands=house.hands, now=house.now)
    house.until(lab, "running")
    assert Lease.objects.get(lab=lab, closed_at=None).gpu_id == card and house.runtime.starts.count(f"gpulab-{lab.pk}-1") == 1
    assert not Stray.objects.filter(lab_id=lab.pk).exists()


def test_a_stray_whose_lab_is_on_record_again_is_no_stray(house, node, now):
    house.tick()
    strays_note(node_id=node.pk, seen=[], now=now)
    assert not Stray.objects.exists()
    strays_note(node_id=node.pk, seen=[Seen(NAME, "zzzzzzzzzzzz", True)], now=now)
    strays_note(node_id=node.pk, seen=[Seen(NAME, "zzzzzzzzzzzz", False)], now=now)
    assert not Stray.objects.get().running
