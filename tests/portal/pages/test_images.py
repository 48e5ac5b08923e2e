"""The pages of images: who sees what, and what an administrator does there."""

import json
from datetime import datetime
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from labs.catalogue.models import Image, Qualification
from labs.fleet.models import Node, NodeImage
from labs.lifecycle.models import Lab
from labs.people.models import Group, User
from tests.labs.catalogue.test_catalogue import TRIVY


@pytest.fixture
def held(image: Image, node: Node) -> Image:
    inside = {"nccl": "2.27.5", "cudnn": "91002", "size": 9 * 2**30, "layers": 12, "jupyter_server": "2.21.1", "sshd": True}
    inside["licences"] = {"torch": "BSD-3-Clause"}
    Image.objects.update(digest="sha256:one", pulled=True, inside=inside)
    image.refresh_from_db()
    return image


def page(client: Client, name: str, *args: Any, **query: str) -> str:
    answer = client.get(reverse(name, args=args), query)
    assert answer.status_code == 200
    return answer.content.decode()


def test_an_image_shows_what_is_in_it_how_it_is_used_and_that_nobody_looked_for_weaknesses(client, alice, held, lab_of):
    lab_of(alice)
    client.force_login(alice)
    text = page(client, "images")
    for words in ("2.27.5", "91002", "9.0 GiB", "12 layers", "server 2.21.1", "torch: BSD-3-Clause", "1 lab of 1 person in 30 days", "not looked for"):
        assert words in text, words


def test_the_matrix_shows_date_driver_and_words(client, alice, held, now):
    common = {"image": held, "digest": held.digest, "lab": "x", "asked_at": now, "ended_at": now}
    Qualification.objects.create(**common, card="NVIDIA H200", driver="580.65.06", state="passed", words="bf16 700 TFLOP/s")
    Qualification.objects.create(**common, card="CPU", state="failed", words="matmul: off")
    client.force_login(alice)
    text = page(client, "images")
    assert "Tried on these cards" in text
    for words in ("Verified", f"{now:%-d %b %Y}, driver 580.65.06. bf16 700 TFLOP/s", "matmul: off"):
        assert words in text, words


@pytest.mark.parametrize(
    ("torch", "cuda", "words"),
    [("2.9", "11.8", "never published for CUDA 11.8"), ("2.9", "12.8", "It is here."), ("1.0", "", "no PyTorch 1.0 on offer here"), ("2.9", "x", "valid")],
)
def test_who_looks_for_another_version_gets_an_answer(client, alice, held, torch, cuda, words):
    client.force_login(alice)
    assert words in page(client, "images", torch=torch, cuda=cuda)


def test_a_stranger_does_not_see_an_image_that_is_a_teams(client, alice, charlie, held, team):
    held.groups.add(team)
    client.force_login(charlie)
    assert held.title not in page(client, "images")
    assert held.title not in page(client, "launch")
    client.force_login(alice)
    assert held.title in page(client, "images")


def test_only_administrators_manage_images(client, alice, held):
    client.force_login(alice)
    assert client.get(reverse("manage_image", args=[held.pk])).status_code == 403
    for name in ("try", "cancel", "renew", "scan"):
        assert client.post(reverse(f"manage_image_{name}", args=[held.pk])).status_code == 403


def test_an_administrator_says_who_may_use_it_and_until_when(as_root: Client, held: Image, team: Group, charlie: User):
    data = {"roles": ["student"], "groups": [team.pk], "deprecated_on": "2099-01-01", "keeping": "always"}
    assert as_root.post(reverse("manage_image", args=[held.pk]), data).status_code == 302
    held.refresh_from_db()
    assert (held.roles, list(held.groups.all()), held.keeping, str(held.deprecated_on)) == (["student"], [team], "always", "2099-01-01")
    assert "2099-01-01" in page(as_root, "manage_image", held.pk)
    assert as_root.post(reverse("manage_image", args=[held.pk]), data | {"keeping": "never"}).status_code == 422


def test_a_click_tries_it_on_a_card_and_a_second_says_that_it_is_being_tried(as_root: Client, held: Image):
    for _ in range(2):
        answer = as_root.post(reverse("manage_image_try", args=[held.pk]), {"card": "NVIDIA H200"}, follow=True)
    assert "is being tried on NVIDIA H200 already" in answer.content.decode()
    assert (Qualification.objects.count(), Lab.objects.get().gpus) == (1, 1)
    assert "Being tried" in page(as_root, "manage_image", held.pk)


def test_a_pull_under_way_can_be_cancelled(as_root: Client, held: Image):
    assert "Cancel" not in page(as_root, "manage_images").split("<main")[-1]
    NodeImage.objects.update(state="pulling", percent=62)
    assert reverse("manage_image_cancel", args=[held.pk]) in page(as_root, "manage_images")
    as_root.post(reverse("manage_image_cancel", args=[held.pk]))
    assert NodeImage.objects.get().words == "Preparing it was cancelled by Root."


def test_one_click_makes_an_image_anew_and_a_second_on_the_day_is_refused(as_root: Client, held: Image):
    answer = as_root.post(reverse("manage_image_renew", args=[held.pk]), follow=True)
    assert "made anew from" in answer.content.decode()
    answer = as_root.post(reverse("manage_image_renew", args=[held.pk]), follow=True)
    assert "There is an image" in answer.content.decode()
    assert Image.objects.get(replaces=held).on_nodes.count() == 1


def test_a_scanners_report_is_taken_and_a_wrong_file_is_told_beside_the_field(as_root: Client, held: Image, now: datetime):
    url = reverse("manage_image_scan", args=[held.pk])
    report = SimpleUploadedFile("report.json", json.dumps(TRIVY).encode())
    text = as_root.post(url, {"report": report}, follow=True).content.decode()
    assert "CVE-2026-1" in text
    assert "1 critical" in text
    wrong = as_root.post(url, {"report": SimpleUploadedFile("x.json", b"{")})
    assert (wrong.status_code, "no JSON" in wrong.content.decode()) == (422, True)


def test_a_build_that_never_existed_is_told_beside_the_tag(as_root: Client, held: Image):
    data = {"title": "x", "slug": "x", "runtime": "docker", "repository": "pytorch/pytorch", "tag": "2.9.0-cuda11.8-cudnn8-runtime"}
    answer = as_root.post(reverse("manage_images"), data)
    assert answer.status_code == 422
    assert "CUDA 11.8 with PyTorch 2.7.1" in answer.content.decode()
