"""A node whose engine has a known hole takes only the house's own images."""

from dataclasses import asdict

import pytest

from labs.catalogue.models import Image
from labs.fleet.models import Node
from labs.fleet.queries import image_own, version_rules
from labs.fleet.versions import version_judge
from labs.lifecycle.models import Lab
from labs.lifecycle.occupancy import nodes_view
from labs.lifecycle.waiting import snapshot_load
from labs.people.errors import Refused
from labs.scheduler.plan import plan


@pytest.fixture
def unsafe(node: Node) -> Node:
    node.checks = [asdict(version_judge("1.3.5", version_rules()["runc"]))]
    node.save()
    return node


def test_an_image_that_somebody_chose_is_refused_with_the_fix(unsafe, lab_of, alice):
    with pytest.raises(Refused) as refused:
        lab_of(alice)
    assert "Update runc to 1.3.6 or later" in str(refused.value)
    assert refused.value.field == "image"


def test_the_houses_own_image_starts_there(unsafe, lab_of, alice, image, settings):
    settings.LAB_IMAGE = f"{image.repository}:{image.tag}"
    assert lab_of(alice).state == "queued"
    assert [view.closed for view in nodes_view()] == [""]


def test_a_lab_that_waited_already_is_told_so_and_not_placed(lab_of, alice, node, now):
    lab_of(alice)
    node.checks = [asdict(version_judge("1.3.5", version_rules()["runc"]))]
    node.save()
    made = plan(snapshot_load(now=now), now)
    assert not made.placements
    assert "Update runc" in str(made.waits)


def test_with_a_safe_node_beside_it_waits_for_that_one(unsafe, lab_of, alice):
    Node.objects.create(pk="n2", name="n2", runtime="docker", cpus=8, memory_mib=65536)
    assert Lab.objects.get(pk=lab_of(alice).pk).state == "queued"


def test_an_unsafe_node_is_not_closed_like_one_whose_walls_have_fallen(unsafe):
    assert not unsafe.is_red
    unsafe.checks = [{"name": "firewall", "state": "red", "words": "Down.", "fix": ""}]
    assert unsafe.is_red
    assert not unsafe.unsafe_words


def test_an_image_of_this_machine_is_the_houses_own(db, now):
    assert image_own(image=Image(runtime="process", repository="torch", tag="cpu"))
