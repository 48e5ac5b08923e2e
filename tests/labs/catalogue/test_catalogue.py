"""The catalogue: what is refused, who may use what, what was read inside, tags that moved, scanners' reports, builds made anew."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from labs.catalogue.compat import Answer, Card, Host, fit
from labs.catalogue.models import Image
from labs.catalogue.official import BUILDS, never, told_by_tag
from labs.catalogue.queries import driver_rows, image_needs, images_offered, images_restricted, may_use, outsiders, packages_of
from labs.catalogue.services import (
    image_add,
    image_described,
    image_looked,
    image_renew,
    image_rules_set,
    image_scan_take,
    image_tag_seen,
    image_unreadable,
    images_seed,
)
from labs.ledger.models import Event
from labs.lifecycle.services import Wish, lab_request
from labs.people.errors import Refused
from labs.people.models import Group, User

TOLD = {
    "torch": "2.9.1+cu128",
    "cuda": "12.8",
    "python": "3.11.9",
    "jupyter_server": "2.21.1",
    "sshd": True,
    "sass": ["9.0"],
    "ptx": "",
    "architecture": "amd64",
}


def added(now: datetime, **more: Any) -> Image:
    wish: dict[str, Any] = {"slug": "one", "title": "One", "runtime": "docker", "repository": "a/b", "tag": "1", "actor": None, "now": now}
    return image_add(**(wish | more))


def offered(user: User) -> set[str]:
    return set(images_offered(user=user).values_list("title", flat=True))


def test_asking_for_what_never_existed_says_so_and_offers_what_fits(db: None, now: datetime) -> None:
    for tag in ("2.9.0-cuda11.8-cudnn8-runtime", "2.9.1-cu118"):
        with pytest.raises(Refused, match=r"never published for CUDA 11\.8") as caught:
            added(now, repository="pytorch/pytorch", tag=tag)
        assert "PyTorch 2.9 with CUDA 12.6, 12.8 or 13.0" in caught.value.words
        assert "CUDA 11.8 with PyTorch 2.7.1" in caught.value.words
    assert not Image.objects.exists()


def test_every_build_of_the_list_may_be_asked_for() -> None:
    assert len(BUILDS) == 8
    assert not [build for build in BUILDS if never(*told_by_tag(build.tag))]
    assert told_by_tag("bookworm") == ("", "")


def test_the_official_builds_are_in_the_catalogue_once_and_offered_by_a_click(db: None, now: datetime) -> None:
    assert images_seed(now=now) == 8
    assert images_seed(now=now) == 0
    assert not images_offered().exists()
    image = Image.objects.get(torch="2.7.1", title="PyTorch 2.7.1, CUDA 11.8")
    assert "9.0" in image_needs(image=image).sass


def test_an_image_for_a_group_is_nobody_elses(image: Image, alice: User, charlie: User, team: Group, root_admin: User, now: datetime, node: Any) -> None:
    image_rules_set(image=image, roles=[], groups=[team], deprecated_on=None, keeping="needed", actor=root_admin, now=now)
    assert offered(alice) == offered(root_admin) == {image.title}
    assert offered(charlie) == set()
    with pytest.raises(Refused, match="no such image"):
        lab_request(owner=charlie, wish=Wish(image_id=image.pk, gpus=0, cpus=1, memory_gib=2, hours=1), now=now, actor=charlie)


def test_an_image_for_the_group_above_is_for_those_below_and_a_role_opens_it_too(image: Image, alice: User, bob: User, charlie: User, team: Group) -> None:
    assert team.parent is not None
    image.groups.set([team.parent])
    assert offered(alice) == offered(bob) == {image.title}
    assert offered(charlie) == set()
    image.groups.clear()
    Image.objects.update(roles=["student"])
    assert offered(bob) == {image.title}
    assert offered(alice) == set()


def test_an_image_whose_day_has_come_starts_no_lab(image: Image, alice: User, lab_of: Any, now: datetime) -> None:
    Image.objects.update(deprecated_on=date.max)
    assert lab_of(alice).pk
    Image.objects.update(deprecated_on=now.date() - timedelta(days=1))
    assert offered(alice) == set()
    with pytest.raises(Refused, match="was offered until"):
        lab_of(alice)


def test_an_image_whose_labels_lie_is_caught_by_looking_inside(image: Image, now: datetime) -> None:
    labels = {"torch": "2.9.1", "cuda": "13.0", "python": "3.12"}
    looked = image_looked(image_id=image.pk, told=TOLD, labels=labels, now=now)
    assert looked.inside_words == "its label says cuda 13.0, in it is 12.8; its label says python 3.12, in it is 3.11.9"
    assert (looked.cuda, looked.python, looked.is_fit) == ("12.8", "3.11.9", True)
    assert image_needs(image=looked).sass == ("9.0",)
    assert Event.objects.filter(kind="image.odd").count() == 1
    image_described(image_id=image.pk, digest="sha256:1", pulled=True, torch="9.9", cuda="9.9", python="")
    assert Image.objects.get(pk=image.pk).torch == "2.9.1+cu128"  # a label does not undo it


def test_labels_may_say_less_than_there_is(image: Image, now: datetime) -> None:
    assert image_looked(image_id=image.pk, told=TOLD, labels={"torch": "2.9.1", "cuda": "12.8", "python": "3.11"}, now=now).inside_words == ""


def test_an_image_without_jupyter_starts_no_lab_and_says_why(image: Image, alice: User, lab_of: Any, now: datetime) -> None:
    image_looked(image_id=image.pk, told=TOLD | {"jupyter_server": ""}, labels={}, now=now)
    assert offered(alice) == set()
    with pytest.raises(Refused, match="Jupyter is not in it"):
        lab_of(alice)


def test_an_image_that_was_found_to_be_a_lab_stays_one_when_its_packages_cannot_be_read(image: Image, now: datetime) -> None:
    image_looked(image_id=image.pk, told=TOLD, labels={}, now=now)
    assert packages_of(image=image) == []
    assert hasattr(Image.objects.get(pk=image.pk), "contents")  # asked once: an image without a list is not asked for ever
    image_unreadable(image_id=image.pk, words="It did not answer.", now=now)
    assert Image.objects.get(pk=image.pk).is_fit


def test_an_image_that_cannot_be_looked_into_at_first_is_no_lab_and_is_not_asked_for_ever(image: Image, now: datetime) -> None:
    image_unreadable(image_id=image.pk, words="It has no Python.", now=now)
    looked = Image.objects.get(pk=image.pk)
    assert (looked.is_fit, looked.inside_words, hasattr(looked, "contents")) == (False, "It has no Python.", True)


def test_a_tag_that_moved_is_shown_and_told_once(image: Image, now: datetime) -> None:
    Image.objects.update(digest="sha256:one", pulled=True)
    image_tag_seen(image_id=image.pk, digest="sha256:one", now=now)
    assert not Image.objects.get().moved
    for _ in range(2):
        image_tag_seen(image_id=image.pk, digest="sha256:two", now=now)
    image.refresh_from_db()
    assert (image.moved, image.reference) == (True, "gpulab/pytorch-cuda@sha256:one")
    assert Event.objects.filter(kind="image.moved").count() == 1


def test_a_build_made_anew_is_a_new_image_and_the_old_one_stays(image: Image, root_admin: User, now: datetime) -> None:
    new = image_renew(image=image, actor=root_admin, now=now)
    assert (new.replaces, new.repository, new.digest) == (image, image.repository, "")
    assert new.tag == f"test-r{now:%Y%m%d}"
    later = image_renew(image=new, actor=root_admin, now=now + timedelta(days=1))
    assert later.tag == f"test-r{now + timedelta(days=1):%Y%m%d}"
    with pytest.raises(Refused):
        image_renew(image=image, actor=root_admin, now=now)
    assert Image.objects.filter(is_active=True).count() == 3


TRIVY = {
    "SchemaVersion": 2,
    "Metadata": {"ImageID": "sha256:id", "RepoDigests": ["a/b@sha256:one"]},
    "Results": [
        {"Vulnerabilities": [{"VulnerabilityID": "CVE-2026-1", "PkgName": "openssl", "Severity": "CRITICAL", "FixedVersion": "3.1"}]},
        {"Vulnerabilities": [{"VulnerabilityID": "CVE-2026-2", "PkgName": "zlib", "Severity": "LOW"}]},
        {},
    ],
}
GRYPE = {
    "descriptor": {"name": "grype"},
    "source": {"target": {"repoDigests": ["a/b@sha256:one"]}},
    "matches": [{"vulnerability": {"id": "CVE-2026-3", "severity": "Negligible", "fix": {"versions": []}}, "artifact": {"name": "bash"}}],
}


def test_what_a_scanner_found_is_shown_as_it_said_it(image: Image, root_admin: User, now: datetime) -> None:
    Image.objects.update(digest="sha256:one")
    image.refresh_from_db()
    image_scan_take(image=image, report=TRIVY, actor=root_admin, now=now)
    assert image.findings["counts"] == {"critical": 1, "low": 1}
    assert image.findings["worst"][0] == {"id": "CVE-2026-1", "package": "openssl", "severity": "critical", "fixed": "3.1"}
    image_scan_take(image=image, report=GRYPE, actor=root_admin, now=now)
    assert (image.findings["scanner"], image.findings["counts"]) == ("Grype", {"low": 1})


@pytest.mark.parametrize(
    ("report", "words"),
    [({"a": 1}, "no report of Trivy or Grype"), ([], "no report of Trivy"), ({"SchemaVersion": 2, "Results": [{"Vulnerabilities": [{}]}]}, "damaged")],
)
def test_a_file_that_is_no_report_is_refused_in_words(image: Image, root_admin: User, now: datetime, report: Any, words: str) -> None:
    with pytest.raises(Refused, match=words):
        image_scan_take(image=image, report=report, actor=root_admin, now=now)


def test_a_report_of_another_image_is_refused(image: Image, root_admin: User, now: datetime) -> None:
    Image.objects.update(digest="sha256:two")
    image.refresh_from_db()
    with pytest.raises(Refused, match="of another image"):
        image_scan_take(image=image, report=TRIVY, actor=root_admin, now=now)


ODD: dict[str, dict[str, Any]] = {
    "numbers": {"sass": 9, "ptx": ["9.0"]},
    "no digit": {"ptx": "²"},
    "mixed": {"sass": ["9.0", 7, None, "x"]},
    "an object": {"architecture": {"a": 1}},
    "long": {"cuda": "1" * 5000, "packages": [1, {"name": "x"}]},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_whatever_an_image_says_of_itself_nobodys_queue_stands_still(odd, image: Image, now: datetime) -> None:
    """Its own Python says it, which whoever made the image may have changed: for the house's scheduler it is data."""
    looked = image_looked(image_id=image.pk, told=TOLD | odd, labels={}, now=now)
    needs = image_needs(image=Image.objects.get(pk=looked.pk))
    assert fit(needs, Host(driver="570.86.10"), Card("9.0"), driver_rows()).answer in Answer
    Image.objects.update(inside=odd)  # as a node's record of an earlier version may have it
    image_needs(image=Image.objects.get(pk=looked.pk))
    assert fit(image_needs(image=Image.objects.get(pk=looked.pk)), Host(driver="570.86.10"), Card("9.0"), driver_rows()).answer in Answer


def test_who_is_outside_is_who_may_not_use_it(image: Image, alice: Any, bob: Any, charlie: Any, root_admin: Any, team: Any) -> None:
    people = [alice, bob, charlie, root_admin]
    for columns, groups in (
        ({}, []),
        ({"roles": ["student"]}, []),
        ({}, [team]),
        ({}, [team.parent]),
        ({"made_by": charlie}, []),
        ({"made_by": charlie}, [team]),
    ):
        Image.objects.filter(pk=image.pk).update(**{"roles": [], "made_by": None} | columns)
        image.groups.set(groups)
        image = Image.objects.get(pk=image.pk)
        assert outsiders(image=image, people=people) == [person for person in people if not may_use(image, person)]
        assert images_restricted().filter(pk=image.pk).count() == bool(columns or groups)
