"""Labs whose owner may not use their image any more: what has not begun does not begin, and what runs goes on."""

from typing import Any

import pytest

from labs.catalogue.models import Image
from labs.lifecycle.models import Lab, Lease
from labs.lifecycle.moves import lab_assign
from labs.people.services import group_create
from tests.support.hands import round_of  # noqa: F401  (fixture)
from worker.loops import schedule

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def withdraw(image: Image, root_admin: Any, now: Any) -> Any:
    """From now on the image is for the people of a house that is not theirs."""
    return lambda: image.groups.add(group_create(kind="organisation", name="Others", slug="others", parent=None, actor=root_admin, now=now))


def test_a_lab_that_waits_ends_with_the_reason_and_is_never_placed(lab_of: Any, alice: Any, root_admin: Any, now: Any, withdraw: Any) -> None:
    mine, the_administrators = lab_of(alice, gpus=1), lab_of(root_admin)
    withdraw()
    schedule.tick(now=now)
    mine.refresh_from_db()
    assert (mine.state, mine.reason_code) == ("stopped", "image_withdrawn") and "not for its owner any more" in mine.reason
    assert not Lease.objects.filter(lab=mine).exists()
    assert Lab.objects.get(pk=the_administrators.pk).state == "starting"


@pytest.mark.parametrize("gone", ["group", "role"])
def test_a_lab_that_was_placed_does_not_start_and_gives_its_card_back(
    lab_of: Any, alice: Any, node: Any, image: Image, now: Any, withdraw: Any, round_of: Any, gone: str
) -> None:
    lab = lab_of(alice, gpus=1)
    assert lab_assign(lab_id=lab.pk, node_id=node.pk, gpu_uuids=["GPU-00000000-test"], now=now)
    if gone == "group":
        withdraw()
    else:
        Image.objects.filter(pk=image.pk).update(roles=["teacher"])
    house = round_of()
    house.until(lab, "stopped")
    lab.refresh_from_db()
    assert lab.reason_code == "image_withdrawn" and lab.started_at is None
    assert not Lease.objects.filter(closed_at=None).exists() and not house.runtime.specs


def test_an_offered_lab_passes_its_card_on(lab_of: Any, alice: Any, now: Any, withdraw: Any) -> None:
    lab = lab_of(alice, gpus=1, ask_first=True)
    schedule.tick(now=now)
    assert Lab.objects.get(pk=lab.pk).state == "offered"
    withdraw()
    schedule.tick(now=now)
    assert Lab.objects.get(pk=lab.pk).reason_code == "image_withdrawn"
    assert not Lease.objects.filter(closed_at=None).exists()


def test_a_lab_that_runs_goes_on(lab_of: Any, alice: Any, withdraw: Any, round_of: Any) -> None:
    lab, house = lab_of(alice), round_of()
    house.until(lab, "running")
    withdraw()
    house.tick()
    assert Lab.objects.get(pk=lab.pk).state == "running"
