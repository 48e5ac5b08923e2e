"""Launching by a click."""

import pytest
from django.test import Client
from django.urls import reverse

from labs.catalogue.models import Image
from labs.fleet.models import Node
from labs.lifecycle.models import Lab
from labs.people.models import User

pytestmark = pytest.mark.usefixtures("node")


def wish(image: Image, **more: object) -> dict[str, object]:
    """A form that is right."""
    return {"image": image.pk, "gpus": 1, "cpus": 4, "memory_gib": 16, "shm_gib": "", "hours": 4, "name": "", "key": "k1"} | more


def test_a_click_makes_a_lab_and_shows_it(as_alice: Client, alice: User, image: Image) -> None:
    answer = as_alice.post(reverse("launch"), wish(image, name="resnet"))
    lab = Lab.objects.get(owner=alice)
    assert answer["Location"] == reverse("lab", args=[lab.pk])
    assert (lab.name, lab.gpus, lab.cpus, lab.memory_mib, lab.shm_mib, lab.hours) == ("resnet", 1, 4, 16384, 8192, 4)


def test_a_second_click_makes_one_lab(as_alice: Client, alice: User, image: Image) -> None:
    first, second = (as_alice.post(reverse("launch"), wish(image)) for _ in range(2))
    assert first["Location"] == second["Location"]
    assert Lab.objects.filter(owner=alice).count() == 1


def test_every_button_of_home_is_a_wish_that_is_granted(as_bob: Client, bob: User, image: Image) -> None:
    presets = as_bob.get(reverse("home")).context["presets"]
    assert [preset.gpus for preset in presets] == [1, 0]
    for place, preset in enumerate(presets):
        data = wish(image, gpus=preset.gpus, cpus=preset.sizes.cpus, memory_gib=preset.sizes.memory_gib, hours=preset.sizes.hours, key=str(place))
        assert as_bob.post(reverse("launch"), data).status_code == 302
    assert Lab.objects.filter(owner=bob).count() == 2


def test_presets_fit_a_machine_of_two_cores(as_bob: Client, node: Node) -> None:
    Node.objects.filter(pk=node.pk).update(cpus=2, memory_mib=8192)
    node.gpus.all().delete()
    presets = as_bob.get(reverse("home")).context["presets"]
    assert [(preset.gpus, preset.sizes.cpus, preset.sizes.memory_gib) for preset in presets] == [(0, 2, 3)]


@pytest.mark.parametrize(
    "bad",
    [
        {"gpus": -1}, {"gpus": "many"}, {"gpus": ""}, {"gpus": 10**30}, {"cpus": 0}, {"cpus": "4; rm"}, {"memory_gib": 0}, {"memory_gib": "١٦ GiB"},
        {"hours": 0}, {"hours": 10**9}, {"shm_gib": -2}, {"shm_gib": 17}, {"name": "Not A Name"}, {"name": "-x"}, {"name": "x" * 40}, {"name": "läb"},
        {"name": "<script>"}, {"image": 999}, {"image": "x"}, {"gpu_model": "Imaginary 9000"}, {"gpus": 9},
    ],
    ids=str,
)  # fmt: skip
def test_bad_input_is_told_and_changes_nothing(as_alice: Client, image: Image, bad: dict[str, object]) -> None:
    answer = as_alice.post(reverse("launch"), wish(image) | bad)
    assert answer.status_code == 422
    assert answer.context["form"].errors
    assert not Lab.objects.exists()


def test_a_wish_above_the_cap_says_which_limit_and_what_would_fit(as_bob: Client, image: Image) -> None:
    page = as_bob.get(reverse("launch_verdict"), wish(image, gpus=3)).content.decode()
    assert "Cannot be" in page
    assert "your limit is 1" in page
    assert "Up to 1 would fit" in page
    assert "disabled" in page


def test_the_form_says_before_the_click_whether_it_starts_now(as_alice: Client, image: Image) -> None:
    page = as_alice.get(reverse("launch_verdict"), wish(image)).content.decode()
    assert "Starts now" in page
    assert "Launch now" in page


def test_the_form_says_before_the_click_that_it_would_wait(as_alice: Client, as_charlie: Client, image: Image, node: Node) -> None:
    node.gpus.update(health="unknown")
    node.gpus.filter(index=0).update(health="ok")
    as_charlie.post(reverse("launch"), wish(image, key="c"))
    page = as_alice.get(reverse("launch_verdict"), wish(image)).content.decode()
    assert "Waits at place 1" in page
    assert "Queue (place 1" in page


def test_the_form_explains_that_cards_are_given_whole(as_alice: Client) -> None:
    assert "A GPU is given whole" in as_alice.get(reverse("launch")).content.decode()


def test_launching_again_asks_for_the_same(as_alice: Client, image: Image) -> None:
    page = as_alice.get(reverse("launch"), {"image": image.pk, "gpus": 0, "cpus": 3, "memory_gib": 5, "hours": 2, "name": "old"})
    assert {name: page.context["form"][name].value() for name in ("gpus", "cpus", "memory_gib", "name")} == {
        "gpus": "0", "cpus": "3", "memory_gib": "5", "name": "old",
    }  # fmt: skip


def test_a_nonsense_address_is_shown_as_a_mistake_and_not_as_a_crash(as_alice: Client) -> None:
    page = as_alice.get(reverse("launch"), {"gpus": "x", "memory_gib": "'"})
    assert page.status_code == 200
    assert "Something is not filled in right" in page.content.decode()


@pytest.fixture
def slices(node: Node) -> Node:
    """The second card is in MIG mode, with one slice."""
    node.gpus.filter(index=1).update(mig=True)
    node.gpus.create(
        uuid="MIG-00000001-test", index=2, model="NVIDIA H200", memory_mib=18 * 1024, parent_id="GPU-00000001-test", profile="1g.18gb", share=1 / 7
    )
    return node


def test_a_slice_can_be_chosen_where_the_fleet_has_one(as_alice: Client, alice: User, image: Image, slices: Node) -> None:
    page = as_alice.get(reverse("launch")).content.decode()
    assert "Slice 1g.18gb of NVIDIA H200, 18 GiB · 1 of 1 free" in page
    assert "NVIDIA H200 · 1 of 1 free" in page
    as_alice.post(reverse("launch"), wish(image, gpu_model="slice:1g.18gb", gpus=3))
    lab = Lab.objects.get(owner=alice)
    assert (lab.wants_slice, lab.gpus, lab.gpu_model, lab.gpu_words) == ("1g.18gb", 1, "", "a slice of a GPU (1g.18gb)")


def test_a_slice_that_no_node_has_is_told_beside_the_choice(as_alice: Client, image: Image) -> None:
    answer = as_alice.post(reverse("launch"), wish(image, gpu_model="slice:7g.141gb"))
    assert answer.status_code == 422 and "No node has slices of that size." in answer.content.decode()


def test_a_fleet_without_slices_offers_none(as_alice: Client) -> None:
    assert "Slice " not in as_alice.get(reverse("launch")).content.decode()


def test_a_person_can_choose_not_to_be_queued_again_when_cards_are_taken_back(as_alice: Client, alice: User, image: Image) -> None:
    as_alice.post(reverse("launch"), wish(image, once="on"))
    assert not Lab.objects.get(owner=alice).requeue
