"""Images that people make: asked for, made one at a time, put into the catalogue, shared, deleted; and what is refused."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from labs.catalogue.models import Image
from labs.catalogue.queries import images_offered, may_use
from labs.fleet.models import NodeImage
from labs.ledger.models import Event
from labs.lifecycle import states
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_end
from labs.making.bill import bill_of
from labs.making.models import Making
from labs.making.rules import from_environment, name_wrong, text_wrong
from labs.making.services import image_delete, image_share, making_begin, making_build, making_cancel, making_dockerfile, making_save
from labs.people.errors import Refused
from labs.people.services import group_create
from tests.support.hands import AtOnce, round_of  # noqa: F401  (fixture)
from worker.loops import making, shelf
from worker.runtimes.base import RuntimeFault
from worker.runtimes.fake import FakeRuntime

DIGEST = f"sha256:{'0' * 64}"


@pytest.fixture
def house(round_of: Callable[..., Any], image: Image, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(making, "pool", AtOnce())
    monkeypatch.setattr(making, "TELL_EVERY_S", 0)
    monkeypatch.setattr("worker.hands.close_old_connections", lambda: None)  # it is the test's own
    Image.objects.update(digest=DIGEST)
    image.refresh_from_db()
    made = round_of()
    made.runtime.images = {image.reference, image.name}
    return made


@pytest.fixture
def lab(house: Any, alice: Any, lab_of: Callable[..., Lab]) -> Lab:
    """Alice's, running."""
    made = lab_of(alice)
    house.until(made, states.RUNNING)
    return Lab.objects.select_related("owner", "image", "node").get(pk=made.pk)


def save(lab: Lab, house: Any, name: str = "Detector") -> Making:
    return making_save(lab=lab, name=name, note="for the course", actor=lab.owner, now=house.now)


def made(house: Any, row: Making) -> Image:
    """Both sides tick once."""
    making.tick(hands=house.hands)
    making.house_tick(now=house.now)
    row.refresh_from_db()
    assert row.state == Making.State.DONE, row.words
    assert row.image is not None
    return row.image


def test_a_saved_lab_is_an_image_of_its_owner_with_lineage_and_both_sizes(house, lab, alice, bob, image):
    got = made(house, save(lab, house))
    assert (got.title, got.note, got.made_by, got.made_from, got.size_after - got.size_before) == ("Detector", "for the course", alice, image, got.layer_size)
    assert got.reference == got.digest
    assert NodeImage.objects.get(image=got).state == NodeImage.State.PRESENT
    saving = house.runtime.saved[0]
    assert (saving.base, saving.lab, saving.labels) == (image.reference, f"gpulab-{lab.pk}-1", {"gpulab.parent": DIGEST})
    assert may_use(got, alice)
    assert not may_use(got, bob)


def test_a_lab_starts_from_a_saved_image(house, lab, alice, lab_of):
    got = made(house, save(lab, house))
    second = lab_of(alice, image_id=got.pk)
    house.until(second, states.RUNNING)
    assert house.runtime.specs[second.pk].image == got.digest


def test_two_people_may_use_the_same_name_and_one_person_may_not(house, lab, alice, bob, lab_of):
    first = made(house, save(lab, house))
    other = lab_of(bob)
    house.until(other, states.RUNNING)
    second = made(house, save(Lab.objects.get(pk=other.pk), house))
    assert (first.title, first.slug != second.slug) == (second.title, True)
    with pytest.raises(Refused, match="You have an image 'Detector' already"):
        save(lab, house)


def test_a_second_click_makes_one_image(house, lab):
    save(lab, house)
    with pytest.raises(Refused, match="being made already"):
        save(lab, house)
    assert Making.objects.count() == 1


def test_a_node_makes_one_at_a_time(house, lab):
    first, second = save(lab, house, "one"), save(lab, house, "two")
    assert making_begin(making=first, now=house.now)
    assert not making_begin(making=second, now=house.now)


def test_what_a_worker_was_at_when_it_died_is_made_again_and_first(house, lab):
    first, second = save(lab, house, "one"), save(lab, house, "two")
    Making.objects.filter(pk=second.pk).update(asked_at=first.asked_at + timedelta(seconds=1))
    assert making_begin(making=second, now=house.now)  # and then it is killed
    making.tick(hands=house.hands)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (second.state, first.state) == (Making.State.MADE, Making.State.ASKED)


@pytest.mark.parametrize(("images", "gib", "words"), [(1, 20, "1 of 1 images"), (5, 0, "hold 0 of 0 GiB")])
def test_over_the_limit_is_said_in_words(house, lab, settings, images, gib, words):
    settings.IMAGES_PER_PERSON, settings.IMAGES_GIB_PER_PERSON = images, gib
    if images == 1:
        save(lab, house, "first")
    with pytest.raises(Refused, match=words):
        save(lab, house)


def test_the_room_that_is_left_is_what_a_layer_may_have(house, lab, settings):
    settings.IMAGES_GIB_PER_PERSON = 1
    layer = made(house, save(lab, house, "first")).layer_size
    assert save(lab, house).most_bytes == 1024**3 - layer


def test_a_cancelled_one_is_made_no_further(house, lab, alice, monkeypatch):
    row = save(lab, house)

    def cancelled(self: FakeRuntime, saving: Any, progress: Callable[[int, str], None]) -> None:
        progress(10, "Packing")
        assert making_cancel(making=row, actor=alice, now=house.now)
        progress(20, "Packing")
        raise AssertionError("went on")

    monkeypatch.setattr(FakeRuntime, "image_save", cancelled)
    making.tick(hands=house.hands)
    row.refresh_from_db()
    assert (row.state, row.words) == (Making.State.CANCELLED, "Cancelled by Alice.")
    assert not making_cancel(making=row, actor=alice, now=house.now)


def test_what_the_engine_says_is_told_and_the_lab_goes_on(house, lab, monkeypatch):
    def refuse(self: FakeRuntime, saving: Any, progress: Any) -> None:
        raise RuntimeFault("Nothing was installed over the image.", transient=False)

    monkeypatch.setattr(FakeRuntime, "image_save", refuse)
    row = save(lab, house)
    making.tick(hands=house.hands)
    row.refresh_from_db()
    lab.refresh_from_db()
    assert (row.state, row.words, lab.state) == (Making.State.FAILED, "Nothing was installed over the image.", states.RUNNING)
    assert Event.objects.filter(subject=f"making:{row.pk}", words__contains="Nothing was installed").exists()


def test_one_that_breaks_on_our_side_ends_and_the_next_is_made(house, lab, monkeypatch):
    def broken(self: FakeRuntime, saving: Any, progress: Any) -> None:
        raise ValueError

    with monkeypatch.context() as patched:
        patched.setattr(FakeRuntime, "image_save", broken)
        row = save(lab, house)
        making.tick(hands=house.hands)
    row.refresh_from_db()
    assert (row.state, row.words) == (Making.State.FAILED, making.BROKE)
    made(house, save(lab, house, "Another"))


def test_a_deleted_image_that_stays_for_now_holds_up_no_other(house, lab, monkeypatch):
    images = [made(house, save(lab, house, name)) for name in ("One", "Two")]
    for image in images:
        image_delete(image=image, actor=lab.owner, now=house.now)

    def remove(self: FakeRuntime, reference: str) -> bool:
        if reference == images[0].reference:
            raise RuntimeFault("The engine is busy with it.")
        return True

    monkeypatch.setattr(FakeRuntime, "image_remove", remove)
    assert shelf.deleted_tick(hands=house.hands, now=house.now) == 1


def test_a_lab_that_does_not_run_and_a_job_are_not_saved(house, lab, alice):
    lab.state = states.STOPPED
    with pytest.raises(Refused, match="does not run"):
        save(lab, house)
    lab.state, lab.command = states.RUNNING, ["true"]
    with pytest.raises(Refused, match="job is not saved"):
        save(lab, house)


def test_an_image_is_shared_with_ones_own_team_and_no_other(house, lab, alice, bob, charlie, team, root_admin, now):
    got = made(house, save(lab, house))
    image_share(image=got, groups=[team], actor=alice, now=now)
    assert [may_use(got, one) for one in (alice, bob, charlie, root_admin)] == [True, True, False, False]
    assert [got in images_offered(user=one) for one in (alice, bob, charlie, root_admin)] == [True, True, False, False]
    assert got not in images_offered()
    image_share(image=got, groups=[], actor=alice, now=now)
    assert not may_use(Image.objects.get(pk=got.pk), bob)
    strange = group_create(kind="team", name="Other", slug="other", parent=team.parent, actor=root_admin, now=now)
    with pytest.raises(Refused, match="your own teams"):
        image_share(image=got, groups=[strange], actor=alice, now=now)


def test_a_deleted_image_goes_from_its_node_and_its_name_is_free_but_not_while_a_lab_uses_it(house, lab, alice, lab_of):
    got = made(house, save(lab, house))
    second = lab_of(alice, image_id=got.pk)
    with pytest.raises(Refused, match="in use"):
        image_delete(image=got, actor=alice, now=house.now)
    lab_end(lab_id=second.pk, code="asked", now=house.now)
    Lab.objects.filter(pk=second.pk).update(state=states.STOPPED)
    image_delete(image=got, actor=alice, now=house.now)
    assert got.digest in house.runtime.images
    assert shelf.deleted_tick(hands=house.hands, now=house.now) == 1
    assert got.digest not in house.runtime.images
    assert not NodeImage.objects.filter(image=got).exists()
    assert save(lab, house).name == "Detector"


def test_a_list_of_packages_is_built_in_a_lab_that_ends_with_it(house, alice, image):
    house.runtime.answers = (0, "Successfully installed timm\n")
    row = making_build(base=image, name="Timm", note="", requirements="timm==1.0\n", environment="", actor=alice, now=house.now)
    assert row.lab is not None
    making.house_tick(now=house.now)
    making.tick(hands=house.hands)
    assert Making.objects.get().state == Making.State.ASKED  # its lab does not run yet
    house.until(row.lab, states.RUNNING)
    making.house_tick(now=house.now)
    got = made(house, row)
    house.until(row.lab, states.STOPPED)
    assert (got.made_by, row.log, Lab.objects.get(pk=row.lab.pk).reason_code) == (alice, "Successfully installed timm\n", "made")
    assert house.runtime.saved[0].folder == f"/workspace/.gpulab/making/{row.pk}"


def test_what_pip_says_is_the_reason(house, alice, image):
    house.runtime.answers = (1, "Looking\nERROR: No matching distribution found for nothere\n[notice] x\n")
    row = making_build(base=image, name="Timm", note="", requirements="nothere\n", environment="", actor=alice, now=house.now)
    house.until(row.lab, states.RUNNING)
    making.house_tick(now=house.now)
    making.tick(hands=house.hands)
    row.refresh_from_db()
    assert row.words == "The packages could not be installed. No matching distribution found for nothere"


def test_a_build_whose_lab_ended_says_why_and_a_cancel_ends_its_lab(house, alice, image):
    rows = [making_build(base=image, name=name, note="", requirements="timm\n", environment="", actor=alice, now=house.now) for name in ("one", "two")]
    assert rows[0].lab is not None
    lab_end(lab_id=rows[0].lab.pk, code="cancelled", now=house.now)
    making.house_tick(now=house.now)
    rows[0].refresh_from_db()
    assert (rows[0].state, rows[0].words[:14]) == (Making.State.FAILED, "Its lab ended.")
    assert making_cancel(making=rows[1], actor=alice, now=house.now)
    assert rows[1].lab is not None
    assert Lab.objects.get(pk=rows[1].lab.pk).state == states.STOPPED


def test_a_dockerfile_is_an_administrators_and_makes_an_image_of_the_house(house, alice, root_admin, node):
    with pytest.raises(Refused, match="administrators only"):
        making_dockerfile(node=node, name="Own", text="FROM x\n", actor=alice, now=house.now)
    row = making_dockerfile(node=node, name="Own", text="FROM x\nRUN true\n", actor=root_admin, now=house.now)
    got = made(house, row)
    assert (got.made_by, row.log, may_use(got, alice)) == (None, "FROM x", True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no package"),
        ("# nothing\n--no-index\n", "no package"),
        ("x\0", "not a text"),
        ("--index-url https://ada:byron@index.example.edu/simple\ntimm\n", "password or a token in an address"),
        ("timm @ git+https://ghp_0123456789@github.com/x/timm\n", "password or a token in an address"),
        ("x" * 60_001, "more than 60 kB"),
    ],
)
def test_a_list_that_cannot_be_is_refused_in_words(text, words):
    assert words in text_wrong(text)


@pytest.mark.parametrize("text", ["timm==1.0\n", "-r more.txt", "timm @ git+https://example.edu/x@main", "timm @ git+ssh://git@example.edu/x"])
def test_a_list_as_pip_takes_it_is_taken(text):
    assert text_wrong(text) == ""


def test_the_pip_part_of_an_environment_is_taken_and_conda_is_refused_by_name():
    told = from_environment("name: x\ndependencies:\n  - python=3.11\n  - pip\n  - pip:\n    - timm==1.0\n    - einops\n")
    assert told.requirements == "timm==1.0\neinops\n"
    assert (
        "cudatoolkit=11.8, conda-forge::opencv"
        in from_environment("dependencies:\n  - cudatoolkit=11.8\n  - conda-forge::opencv\n  - pip:\n    - timm\n").words
    )
    for text, words in (("a: [", "no YAML"), ("- x", "no list"), ("dependencies:\n  - python", "no package below")):
        assert words in from_environment(text).words


@pytest.mark.parametrize(("name", "good"), [("Detector 2", True), ("a", True), ("", False), ("-x", False), ("x" * 61, False), ("a/b", False), ("a\nb", False)])
def test_a_name_is_plain(name, good):
    assert (name_wrong(name) == "") is good


def test_the_list_of_packages_is_one_that_other_programs_read():
    packages = [
        {"name": "torch", "version": "2.9.1+cpu", "kind": "python", "licence": "BSD-3-Clause"},
        {"name": "torch", "version": "2.9.1+cpu", "kind": "python", "licence": "its own words"},
        {"name": "tini", "version": "0.19.0-1", "kind": "debian", "licence": ""},
    ]
    told = json.loads(bill_of(name="gpulab/x:1", digest="sha256:1", packages=packages, read_at=None))
    assert (told["bomFormat"], told["specVersion"]) == ("CycloneDX", "1.6")
    assert {one["purl"] for one in told["components"]} == {"pkg:pypi/torch@2.9.1%2Bcpu", "pkg:deb/debian/tini@0.19.0-1"}


def test_of_two_images_that_are_done_at_once_only_what_has_room_is_kept(house: Any, lab: Lab, alice: Any, settings: Any) -> None:
    settings.IMAGES_GIB_PER_PERSON = 1
    rows = [save(lab, house, name) for name in ("First", "Second")]
    for number, row in enumerate(rows):
        columns = {
            "repository": "gpulab/made",
            "tag": str(number),
            "digest": f"sha256:{number}{'1' * 63}",
            "size_before": 2 * 1024**3,
            "size_after": 2684354560,
        }
        grown = columns["size_after"] + number * 300 * 1024**2
        asked_at = row.asked_at + timedelta(seconds=number)
        Making.objects.filter(pk=row.pk).update(state=Making.State.MADE, asked_at=asked_at, **columns | {"size_after": grown})
    making.house_tick(now=house.now)
    first, second = (Making.objects.get(pk=row.pk) for row in rows)
    assert (first.state, second.state) == (Making.State.DONE, Making.State.FAILED)
    assert "Delete one, and make it again" in second.words and "0.5 of 1 GiB" in second.words
    assert list(Image.objects.filter(made_by=alice, is_active=True)) == [first.image]
    assert shelf.deleted_tick(hands=house.hands, now=house.now) == 1, "its layer is let go"
