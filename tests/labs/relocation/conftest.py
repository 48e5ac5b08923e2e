"""Two nodes, and alice's files on the first."""

from typing import Any

import pytest

from labs.fleet.models import Gpu, Node, NodeImage
from labs.storage.models import WorkspaceUse


@pytest.fixture
def n2(node: Node, image: Any, now: Any) -> Node:
    """A second node with a free card."""
    other = Node.objects.create(pk="n2", name="n2", runtime="docker", state="ready", cpus=64, memory_mib=512 * 1024, gpu_ready=True, heartbeat_at=now)
    Gpu.objects.create(uuid="GPU-0000000f-test", node=other, index=0, model="NVIDIA H200", memory_mib=143771, compute_capability="9.0")
    NodeImage.objects.create(node=other, image=image, state="present", percent=100, updated_at=now)
    return other


@pytest.fixture
def lives(node: Node, alice: Any, now: Any) -> WorkspaceUse:
    """Alice's workspace, on the first."""
    return WorkspaceUse.objects.create(owner=alice, node=node, size=10**9, files=1, measured_at=now)
