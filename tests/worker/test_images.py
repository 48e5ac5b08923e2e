"""Images on their way to a node: looked into, cancelled, tried again, given up."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from labs.catalogue.models import Image
from labs.fleet.bringing import image_cancel
from labs.fleet.models import NodeImage
from labs.fleet.services import image_bring
from labs.lifecycle.models import Lab
from tests.support.hands import AtOnce, round_of  # noqa: F401  (fixture)
from worker.loops import images, schedule
from worker.runtimes.base import Progress, RuntimeFault
from worker.runtimes.fake import FakeRuntime
from worker.runtimes.makes import Layer

INSIDE = '{"torch": "2.9.1", "cuda": "12.6", "python": "3.11.9", "jupyter_server": "2.21.1", "sass": ["9.0"]}'


@pytest.fixture
def house(round_of: Callable[..., Any], image: Image, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(images, "pool", AtOnce())
    monkeypatch.setattr(images, "PROGRESS_EVERY_S", 0)
    monkeypatch.setattr("worker.hands.close_old_connections", lambda: None)  # it is the test's own
    made = round_of()
    made.runtime.images = set()
    NodeImage.objects.all().delete()
    return made


def row() -> NodeImage:
    return NodeImage.objects.get()


def fails(monkeypatch: pytest.MonkeyPatch, *, transient: bool) -> None:
    def refuse(self: FakeRuntime, image: str, progress: Progress, *, fresh: bool = False, layers: Any = None) -> None:
        raise RuntimeFault("The registry does not answer.", transient=transient)

    monkeypatch.setattr(FakeRuntime, "image_prepare", refuse)


def test_an_image_that_has_come_is_looked_into_and_its_lie_is_written_down(house, image, now):
    house.runtime.look = INSIDE
    images.prepare(hands=house.hands, image_id=image.pk)
    image.refresh_from_db()
    assert row().state == "present"
    assert (image.cuda, image.inside["sass"]) == ("12.6", ["9.0"])
    assert image.inside_words == "its label says cuda 12.8, in it is 12.6"


def test_a_pull_that_is_cancelled_ends_and_is_not_begun_again(house, image, root_admin, alice, lab_of, monkeypatch):
    def cancelled(self: FakeRuntime, name: str, progress: Progress, *, fresh: bool = False, layers: Any = None) -> None:
        progress(10, "1 of 3 layers")
        assert row().percent == 10
        assert image_cancel(image=image, actor=root_admin, now=house.now) == 1
        progress(20, "2 of 3 layers")
        raise AssertionError("went on")

    monkeypatch.setattr(FakeRuntime, "image_prepare", cancelled)
    lab = lab_of(alice)
    images.prepare(hands=house.hands, image_id=image.pk)
    assert (row().state, row().words) == ("failed", "Preparing it was cancelled by Root.")
    house.now += timedelta(hours=1)
    images.survey(hands=house.hands)
    schedule.tick(now=house.now)
    ended = Lab.objects.get(pk=lab.pk)
    assert (ended.state, ended.reason_code) == ("failed", "image_failed")
    assert "cancelled by Root" in ended.reason


def test_a_registry_that_was_away_is_asked_again_later_each_time_and_then_no_more(house, image, monkeypatch):
    fails(monkeypatch, transient=True)
    images.prepare(hands=house.hands, image_id=image.pk)
    tries = []
    for _ in range(20):
        house.now += timedelta(minutes=1)
        images.survey(hands=house.hands)
        tries.append(row().tries)
    assert tries[0] == 1
    assert tries[-1] == 3
    assert tries.count(2) > tries.count(1)


def test_what_no_retry_would_help_is_given_up_at_once(house, image, monkeypatch):
    fails(monkeypatch, transient=False)
    images.prepare(hands=house.hands, image_id=image.pk)
    assert (row().state, row().tries) == ("failed", 3)


def test_a_pull_that_a_worker_left_in_the_middle_is_begun_again(house, image, root_admin):
    image_bring(image=image, actor=root_admin, now=house.now)
    NodeImage.objects.update(state="pulling", percent=40)
    images.survey(hands=house.hands)
    assert row().state == "present"


def test_an_image_that_is_kept_everywhere_comes_by_itself_and_any_other_when_it_is_wanted(house, image):
    images.survey(hands=house.hands)
    assert not NodeImage.objects.exists()
    Image.objects.update(keeping="always")
    images.survey(hands=house.hands)
    assert row().state == "present"


def test_an_image_that_cannot_say_what_is_in_it_is_no_lab(house, image, monkeypatch):
    def silent(self: FakeRuntime, name: str, script: str, within_s: int) -> str:
        raise RuntimeFault("The image's own Python could not tell what is inside (exit 127).", transient=False)

    monkeypatch.setattr(FakeRuntime, "image_look", silent)
    images.prepare(hands=house.hands, image_id=image.pk)
    image.refresh_from_db()
    assert (image.is_fit, image.looked_at) == (False, house.now)


def test_the_registry_is_asked_now_and_then_what_a_tag_is(house, image):
    house.runtime.images = {f"{image.repository}@sha256:one"}
    Image.objects.update(digest="sha256:one", pulled=True, looked_at=house.now)
    house.runtime.registry[image.name] = "sha256:two"
    image.refresh_from_db()
    images.tag_look(hands=house.hands, image=image)
    image.refresh_from_db()
    assert image.moved


def test_a_pull_is_told_layer_by_layer_and_those_under_way_come_first(house, image, monkeypatch):
    def pull(self: FakeRuntime, name: str, progress: Progress, *, fresh: bool = False, layers: Any = None) -> None:
        layers([Layer("done", 5, 5, unpacked=True), Layer("waits", 0, 0), Layer("comes", 3, 9)])
        progress(20, "1 of 3 layers")
        assert [one["id"] for one in row().layers] == ["comes", "waits", "done"]
        assert row().layers[0] == {"id": "comes", "done": 3, "total": 9, "unpacked": False}
        self.images.add(name)

    monkeypatch.setattr(FakeRuntime, "image_prepare", pull)
    images.prepare(hands=house.hands, image_id=image.pk)
    assert row().state == "present"
