"""The pages of images that people make: who sees what, and what a wrong form says."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.test import Client
from django.urls import reverse

from labs.catalogue.models import Contents, Image
from labs.fleet.models import Node
from labs.lifecycle.models import Lab
from labs.making.models import Making
from labs.people.models import Group, User
from tests.labs.sharing.test_shares import running

pytestmark = pytest.mark.django_db


@pytest.fixture
def lab(alice: User, lab_of: Callable[..., Lab], now: datetime) -> Lab:
    """Alice's running lab, of an image that a node holds."""
    Image.objects.update(digest="sha256:1")
    return running(lab_of(alice), now)


@pytest.fixture
def own(alice: User, image: Image, now: datetime) -> Image:
    """An image of alice's."""
    made = Image.objects.create(slug="own", title="Detector", repository="gpulab/made", tag="1", created_at=now, made_by=alice, made_from=image, note="For us")
    Contents.objects.create(image=made, packages=[{"name": "timm", "version": "1.0", "kind": "python", "licence": "MIT"}], read_at=now)
    return made


def text(browser: Client, name: str, *args: object) -> str:
    answer = browser.get(reverse(name, args=args))
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_lab_is_saved_from_its_page_and_its_owner_is_led_to_how_far_it_is(as_alice: Client, as_bob: Client, lab: Lab) -> None:
    assert "Save as an image" in text(as_alice, "lab", lab.pk)
    answer = as_alice.post(reverse("lab_save", args=[lab.pk]), {"name": "Detector", "note": ""})
    making = Making.objects.get()
    assert answer["Location"] == reverse("making", args=[making.pk])
    assert "begins within seconds" in text(as_alice, "making", making.pk)
    assert as_bob.get(reverse("making", args=[making.pk])).status_code == 404
    assert as_bob.post(reverse("making_stop", args=[making.pk])).status_code == 404
    as_alice.post(reverse("making_stop", args=[making.pk]))
    assert "Cancelled by Alice." in text(as_alice, "making", making.pk)


def test_a_name_that_cannot_be_is_said_on_the_labs_page(as_alice: Client, lab: Lab) -> None:
    answer = as_alice.post(reverse("lab_save", args=[lab.pk]), {"name": "-x"}, follow=True)
    assert "begins with a letter or digit" in answer.content.decode()
    assert not Making.objects.exists()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"requirements": ""}, "There is no package in it."),
        ({"environment": "dependencies:\n  - cudatoolkit\n"}, "Conda is not in the images"),
        ({"requirements": "timm", "name": ""}, "This field is required."),
    ],
)
def test_a_list_that_cannot_be_built_says_why_beside_it(as_alice: Client, lab: Lab, fields: dict[str, str], words: str) -> None:
    answer = as_alice.post(reverse("images_own"), {"name": "Timm", "base": str(lab.image_id), **fields})
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not Making.objects.exists()


def test_a_list_is_built_in_a_lab_that_its_page_names(as_alice: Client, lab: Lab) -> None:
    answer = as_alice.post(reverse("images_own"), {"name": "Timm", "base": str(lab.image_id), "requirements": "timm\r\n"})
    making = Making.objects.get()
    assert answer["Location"] == reverse("making", args=[making.pk])
    page = text(as_alice, "making", making.pk)
    assert making.lab is not None
    assert reverse("lab", args=[making.lab.pk]) in page
    assert "waits for its turn" in page


def test_ones_images_are_shared_with_a_team_and_deleted(as_alice: Client, as_bob: Client, as_charlie: Client, own: Image, team: Group, node: Node) -> None:
    assert "For us" in text(as_alice, "images_own")
    assert "Detector" not in text(as_bob, "images")
    as_alice.post(reverse("image_teams", args=[own.pk]), {"groups": [team.pk]})
    assert "Made by Alice: For us" in text(as_bob, "images")
    assert "Detector" not in text(as_charlie, "images")
    assert as_bob.post(reverse("image_remove", args=[own.pk])).status_code == 404
    as_alice.post(reverse("image_remove", args=[own.pk]))
    assert "Detector" not in text(as_bob, "images")


def test_the_packages_of_an_image_are_for_who_may_use_it(as_alice: Client, as_bob: Client, as_root: Client, own: Image) -> None:
    for browser in (as_alice, as_root):
        assert "timm" in text(browser, "image_packages", own.pk)
    answer = as_alice.get(reverse("image_bill", args=[own.pk]))
    assert "pkg:pypi/timm@1.0" in answer.content.decode()
    assert answer["Content-Disposition"] == 'attachment; filename="own.cdx.json"'
    for name in ("image_packages", "image_bill"):
        assert as_bob.get(reverse(name, args=[own.pk])).status_code == 404


def test_a_dockerfile_is_asked_for_on_the_administrators_page(as_root: Client, as_alice: Client, node: Node) -> None:
    assert "as root" in text(as_root, "manage_images")
    fields = {"name": "Own", "node": node.pk, "text": "no from"}
    assert "begins with FROM" in as_root.post(reverse("manage_image_dockerfile"), fields).content.decode()
    assert as_alice.post(reverse("manage_image_dockerfile"), fields).status_code == 403
    answer = as_root.post(reverse("manage_image_dockerfile"), fields | {"text": "FROM debian:12\n"})
    assert answer["Location"] == reverse("making", args=[Making.objects.get().pk])


def test_who_has_no_image_is_told_what_to_do(as_alice: Client, node: Node) -> None:
    page = text(as_alice, "images_own")
    assert "No image of yours yet" in page
    assert "No node holds a container image yet" in page
