"""Trying images on cards, and what the answer does to labs; which images a node may let go."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from labs.catalogue.models import Image, Qualification
from labs.fleet.models import Gpu, Node, NodeImage
from labs.fleet.queries import image_fits, nodes_all
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_end, lab_gone
from labs.people.errors import Refused
from labs.people.models import User
from labs.trials.queries import images_spare, images_used
from labs.trials.services import qualification_begin
from tests.support.hands import round_of  # noqa: F401  (fixture)
from worker.loops import shelf, trials

CARD = "NVIDIA H200"
PASSED = json.dumps({"passed": True, "checks": {"matmul": {"passed": True, "words": "bf16 700 TFLOP/s"}}})
FAILED = json.dumps({"passed": False, "checks": {"matmul": {"passed": False, "words": "A product in tf32 is off by 0.5 of its size."}}})
SHM = json.dumps({"passed": False, "checks": {"DataLoader": {"passed": False, "words": "DataLoader fails with 64 MiB: insufficient shared memory (shm)"}}})


@pytest.mark.parametrize("after", ["", "\n[W1121 Producer process has been terminated]\n", '\n{"level": "warn"}\n17\n'])
def test_what_libraries_say_when_they_end_does_not_hide_the_report(after: str) -> None:
    assert trials.report_of(f"a warning\n{PASSED}{after}")["passed"] is True


def test_a_trial_that_said_no_report_did_not_come_to_its_end() -> None:
    assert "did not come to its end: 17" in trials.words_of(trials.report_of("17\n{killed"))


@pytest.fixture
def held(image: Image, node: Node) -> Image:
    Image.objects.update(digest="sha256:one", pulled=True)
    image.refresh_from_db()
    return image


def tried(house: Any, image: Image, actor: User, *, card: str = CARD, said: str = PASSED) -> Qualification:
    """Begin, let the lab start, run, and end."""
    house.runtime.answers = (0, said)
    row = qualification_begin(image=image, card=card, actor=actor, now=house.now)
    house.until(Lab.objects.get(pk=Qualification.objects.get(pk=row.pk).lab), "running")
    trials.house_tick(now=house.now)
    trials.tick(hands=house.hands, now=house.now)
    row.refresh_from_db()
    return row


@pytest.fixture
def house(round_of: Callable[..., Any], held: Image, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(trials, "_begin", lambda hands, row, lab: trials.trial(hands=hands, row=row, lab=lab))  # here, not in the pool
    monkeypatch.setattr("worker.hands.close_old_connections", lambda: None)  # it is the test's own
    return round_of()


def test_what_was_found_stands_with_driver_card_and_date_and_the_lab_ends(house, held, root_admin):
    row = tried(house, held, root_admin)
    assert (row.state, row.card, row.driver, row.digest, row.words) == ("passed", CARD, "580.65.06", "sha256:one", "bf16 700 TFLOP/s")
    lab = Lab.objects.get(pk=row.lab)
    assert (lab.target, lab.reason_code) == ("stopped", "tried")
    house.until(lab, "stopped")
    fit = image_fits(image=held, nodes=nodes_all())["n1"][CARD]
    assert (fit.answer, fit.words) == ("ok", f"Verified on {CARD}, {row.ended_at:%-d %b %Y}.")


def test_a_lab_of_a_combination_that_failed_is_refused_with_the_report(house, held, root_admin, alice, lab_of):
    tried(house, held, root_admin, said=FAILED)
    with pytest.raises(Refused, match=r"tried on NVIDIA H200 .* and failed: matmul: A product in tf32 is off by 0\.5"):
        lab_of(alice, gpus=1)
    assert lab_of(alice, gpus=0).pk
    Node.objects.update(driver="590.44.01")  # another driver is another combination
    assert lab_of(alice, gpus=1).pk


def test_a_second_trial_that_passes_takes_the_first_ones_place(house, held, root_admin, alice, lab_of):
    tried(house, held, root_admin, said=FAILED)
    house.until(Lab.objects.get(), "stopped")
    tried(house, held, root_admin)
    assert lab_of(alice, gpus=1).pk
    house.until(Lab.objects.filter(reason_code="tried").latest("requested_at"), "stopped")
    tried(house, held, root_admin)
    assert Qualification.objects.count() == 2  # what does not count any more makes room


def test_an_image_that_fails_without_a_gpu_starts_no_lab_without_one(house, held, root_admin, alice, lab_of):
    row = tried(house, held, root_admin, card="CPU", said=FAILED)
    assert (row.card, row.driver) == ("CPU", "")
    with pytest.raises(Refused, match="does not compute here"):
        lab_of(alice, gpus=0)


def test_a_trial_that_has_too_little_shared_memory_says_so_in_the_end_card(house, held, root_admin):
    row = tried(house, held, root_admin, card="CPU", said=SHM)
    lab = Lab.objects.get(pk=row.lab)
    assert (row.state, lab.reason_code) == ("failed", "out_of_shm")
    assert "insufficient shared memory" in lab.log_tail


def test_a_trial_whose_lab_ends_before_is_nothing_known(house, held, root_admin):
    row = qualification_begin(image=held, card=CARD, actor=root_admin, now=house.now)
    row.refresh_from_db()
    lab_end(lab_id=row.lab, code="cancelled", now=house.now)
    lab_gone(lab_id=row.lab, now=house.now)
    trials.house_tick(now=house.now)
    row.refresh_from_db()
    assert row.state == "void"
    assert image_fits(image=held, nodes=nodes_all())["n1"][CARD].words == ""


def test_a_program_that_says_nothing_has_failed(house, held, root_admin):
    row = tried(house, held, root_admin, said="Killed\n")
    assert row.state == "failed"
    assert "did not come to its end: Killed" in row.words


def test_two_clicks_try_it_once(house, held, root_admin):
    qualification_begin(image=held, card=CARD, actor=root_admin, now=house.now)
    with pytest.raises(Refused, match="being tried"):
        qualification_begin(image=held, card=CARD, actor=root_admin, now=house.now)
    assert Lab.objects.count() == Qualification.objects.count() == 1


def test_cards_that_are_not_there_or_compute_nothing_are_not_tried(house, held, root_admin):
    Gpu.objects.update(simulated=True)
    with pytest.raises(Refused, match="no such card"):
        qualification_begin(image=held, card=CARD, actor=root_admin, now=house.now)


def test_how_often_an_image_is_used_counts_labs_and_people(lab_of, alice, bob, image, now):
    lab_of(alice)
    lab_of(alice)
    lab_of(bob)
    assert images_used(now=now + timedelta(seconds=1)) == {image.pk: (3, 2)}


@pytest.fixture
def old(held: Image, node: Node, now: datetime) -> NodeImage:
    """Present for a long time, and nobody used it."""
    NodeImage.objects.update(updated_at=now - timedelta(days=90))
    return NodeImage.objects.select_related("image").get()


def test_an_image_that_nobody_used_for_long_is_let_go_and_the_record_says_so(old, round_of, now):
    house = round_of()
    house.runtime.images = {old.image.reference}
    assert shelf.tick(hands=house.hands, now=now, used=lambda: 10) == 0  # the house has not said so
    shelf.house_tick(now=now)
    assert shelf.tick(hands=house.hands, now=now, used=lambda: 10) == 1
    assert house.runtime.images == set()
    assert not NodeImage.objects.exists()


def test_an_image_that_the_engine_will_not_let_go_stays_present(old, round_of, now):
    house = round_of()  # holds everything, lets nothing go
    shelf.house_tick(now=now)
    assert shelf.tick(hands=house.hands, now=now, used=lambda: 10) == 0
    assert NodeImage.objects.get().state == "present"


def test_a_lab_that_was_asked_for_after_the_houses_word_keeps_the_image(old, round_of, lab_of, alice, now):
    house = round_of()
    house.runtime.images = {old.image.reference}
    shelf.house_tick(now=now)
    lab_of(alice)
    assert shelf.tick(hands=house.hands, now=now, used=lambda: 99) == 0
    shelf.house_tick(now=now)
    assert NodeImage.objects.get().spare == ""


def test_an_image_in_use_kept_everywhere_or_not_to_be_had_again_is_never_let_go(old, lab_of, alice, now, settings):
    def spare() -> list[NodeImage]:
        return images_spare(node_id="n1", full=False, now=now)

    assert spare() == [old]
    lab = lab_of(alice)
    assert spare() == []
    lab_end(lab_id=lab.pk, code="cancelled", now=now)
    lab_gone(lab_id=lab.pk, now=now - timedelta(days=31))
    Lab.objects.update(requested_at=now - timedelta(days=40), ended_at=now - timedelta(days=31))
    assert spare() == [old]
    for change, back in (({"keeping": "always"}, {"keeping": "needed"}), ({"pulled": False}, {"pulled": True})):
        Image.objects.update(**change)
        assert spare() == []
        Image.objects.update(**back)
    settings.LAB_IMAGE = old.image.name
    assert spare() == []


def test_a_disk_that_fills_lets_younger_ones_go_until_there_is_room(old, round_of, now):
    house = round_of()
    NodeImage.objects.update(updated_at=now - timedelta(days=2))
    other = Image.objects.create(slug="two", title="Two", repository="c/d", tag="1", digest="sha256:two", pulled=True, created_at=now)
    NodeImage.objects.create(node_id="n1", image=other, state="present", updated_at=now - timedelta(days=1))
    house.runtime.images = {old.image.reference, other.reference}
    shelf.house_tick(now=now)
    assert shelf.tick(hands=house.hands, now=now, used=lambda: 79) == 0
    full = iter((95, 70))
    assert shelf.tick(hands=house.hands, now=now, used=lambda: next(full)) == 1
    assert house.runtime.images == {other.reference}
