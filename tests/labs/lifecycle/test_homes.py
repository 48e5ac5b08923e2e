"""A workspace on a node's own disk keeps its owner's labs there."""

from typing import Any

import pytest

from labs.fleet.models import Gpu, Node, NodeImage
from labs.lifecycle.models import Lab
from labs.lifecycle.waiting import snapshot_load
from labs.scheduler.plan import plan
from labs.storage.models import WorkspaceUse

pytestmark = pytest.mark.django_db


@pytest.fixture
def two(node: Node, image: Any, now: Any) -> Node:
    """A second node with a free card, and alice's files on the first."""
    other = Node.objects.create(pk="n2", name="n2", runtime="docker", cpus=64, memory_mib=512 * 1024, gpu_ready=True, heartbeat_at=now)
    Gpu.objects.create(uuid="GPU-0000000f-test", node=other, index=0, model="NVIDIA H200", memory_mib=143771, compute_capability="9.0")
    NodeImage.objects.create(node=other, image=image, state="present", percent=100, updated_at=now)
    return other


def _lives(owner: Any, node: Node, size: int, now: Any) -> None:
    WorkspaceUse.objects.create(owner=owner, node=node, size=size, files=1, measured_at=now)


def _placed(lab: Lab, now: Any) -> str:
    return {one.lab_id: one.node_id for one in plan(snapshot_load(now=now), now).placements}.get(lab.pk, "")


@pytest.mark.parametrize("home", ["n1", "n2"])
def test_a_lab_goes_where_its_owners_files_are(two, node, lab_of, alice, now, home):
    _lives(alice, Node.objects.get(pk=home), 10**9, now)
    assert _placed(lab_of(alice), now) == home


def test_the_larger_workspace_counts(two, node, lab_of, alice, now):
    _lives(alice, node, 10**6, now)
    _lives(alice, two, 10**9, now)
    assert _placed(lab_of(alice), now) == "n2"


def test_before_it_was_measured_the_last_lab_tells(two, node, lab_of, alice, now):
    earlier = lab_of(alice)
    Lab.objects.filter(pk=earlier.pk).update(state="stopped", node=two, started_at=now, ended_at=now)
    assert _placed(lab_of(alice), now) == "n2"


def test_while_its_node_is_full_it_waits_and_says_why(two, node, lab_of, alice, now):
    _lives(alice, two, 10**9, now)
    lab = lab_of(alice, gpus=2)
    assert _placed(lab, now) == ""
    assert "Your files are on node n2" in " ".join(plan(snapshot_load(now=now), now).waits[lab.pk].reasons)


def test_files_on_a_node_that_was_given_up_bind_nobody(two, node, lab_of, alice, now):
    _lives(alice, two, 10**9, now)
    Node.objects.filter(pk="n2").update(state="gone")
    assert _placed(lab_of(alice), now) == "n1"
