"""FAULTS row 16: images that are missing, cannot be brought, are of another processor, or need a newer driver."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.utils import timezone

from labs.catalogue.models import Image
from labs.fleet.models import Node, NodeImage
from labs.lifecycle.models import Lab, Lease
from labs.lifecycle.queueing import wait_of
from labs.people.errors import Refused
from labs.people.models import User
from tests.contracts.test_docker_registry import copied
from tests.faults.hands import House
from tests.faults.tiny import REPOSITORY
from tests.support.registry import Registry, registry  # noqa: F401  (fixture)
from worker.loops import images

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.engine, pytest.mark.postgres]


@pytest.fixture
def far(engine: Any, registry: Registry, now: datetime, monkeypatch: pytest.MonkeyPatch) -> Image:
    """The tiny lab, in a registry and on no node. Nothing looks inside it: there is no Python in it."""
    monkeypatch.setattr(images, "look", lambda **_: None)
    repository = f"{registry.address}/lab/far"
    engine.tag(f"{REPOSITORY}:ok", repository, "1")
    for line in engine.push(repository, tag="1", stream=True, decode=True):
        assert "error" not in line, line
    engine.remove_image(f"{repository}:1", force=True)
    return Image.objects.create(slug="far", title="Far", runtime="docker", repository=repository, tag="1", created_at=now)


def why(lab_id: str) -> str:
    """What its owner reads while it waits; it waits, and nothing is held."""
    entry = wait_of(lab=Lab.objects.get(pk=lab_id), now=timezone.now())
    assert entry and not Lease.objects.filter(lab=lab_id).exists()
    return " ".join(entry.reasons)


def test_row_16_no_card_is_held_while_an_image_is_brought_nor_when_that_fails_and_the_lab_starts_once_it_is_there(
    house: House,
    engine: Any,
    far: Image,
    registry: Registry,
    ask: Callable[..., str],
    alice: User,
    clean: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
):
    lab_id, hands = ask(alice, image_id=far.pk), house.hands()
    house.tick(hands)
    assert "prepared" in why(lab_id)
    registry.down()
    images.prepare(hands=hands, image_id=far.pk)
    house.tick(hands)
    assert "could not be prepared" in why(lab_id)
    registry.up()
    held: list[int] = []
    told = images._set
    monkeypatch.setattr(images, "_set", lambda *given: (house.tick(hands), held.append(Lease.objects.count()), told(*given)))
    images.prepare(hands=hands, image_id=far.pk)
    assert len(held) >= 2 and not any(held), "nothing was placed while it came"
    house.until(lab_id, "running", hands=hands)
    clean(running={lab_id})
    engine.remove_container(f"gpulab-{lab_id}-1", force=True)
    engine.remove_image(far.reference, force=True)


def test_row_16_an_image_of_another_processor_is_told_in_words_and_holds_nothing(
    house: House,
    far: Image,
    registry: Registry,
    ask: Callable[..., str],
    alice: User,
    now: datetime,
):
    copied(registry.address, source="lab/far:1", target="lab/arm:1", architecture="arm64")
    arm = Image.objects.create(slug="arm", title="Arm", runtime="docker", repository=f"{registry.address}/lab/arm", tag="1", created_at=now)
    lab_id, hands = ask(alice, image_id=arm.pk), house.hands()
    images.prepare(hands=hands, image_id=arm.pk)
    house.tick(hands)
    lab = Lab.objects.get(pk=lab_id)
    assert (lab.state, lab.reason_code) == ("failed", "image_failed") and "built for arm64" in lab.reason
    assert not Lease.objects.exists()
    assert NodeImage.objects.get(image=arm).state == NodeImage.State.FAILED


def test_row_16_a_driver_that_is_too_old_is_told_before_anybody_waits(house: House, ask: Callable[..., str], alice: User):
    Image.objects.filter(tag="ok").update(cuda="12.8")
    Node.objects.update(driver="470.57.02")
    with pytest.raises(Refused, match=r"needs driver 525\.60\.13 at least"):
        ask(alice)
    assert not Lab.objects.exists()
