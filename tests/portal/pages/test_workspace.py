"""Where my files are, and moving them: who sees what, what stands in the way, what an administrator does for all."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from labs.fleet.models import AT_REST_CHECK, Node
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_assign
from labs.people.models import User
from labs.relocation.models import Relocation
from labs.relocation.services import move_begin, move_copied, move_failed, move_progress
from labs.storage.models import WorkspaceUse
from labs.storage.services import workspace_moved

pytestmark = pytest.mark.django_db


@pytest.fixture
def two(node: Node, alice: User, now: Any) -> Node:
    """A second node, and alice's files on the first."""
    WorkspaceUse.objects.create(owner=alice, node=node, size=3 * 1024**3, files=7, measured_at=now)
    return Node.objects.create(pk="n2", name="n2", runtime="docker", state="ready", cpus=64, memory_mib=512 * 1024, heartbeat_at=now)


def _page(client: Client) -> str:
    return client.get(reverse("workspace")).content.decode()


def _move(client: Client, **sent: str) -> Any:
    return client.post(reverse("workspace_go", args=["n1"]), {"destination": "n2"} | sent)


def test_nobody_looks_without_signing_in(client: Client, db: None) -> None:
    assert client.get(reverse("workspace")).status_code == 302


def test_before_the_first_lab_there_is_none(as_alice: Client, node: Node) -> None:
    assert "No workspace yet" in _page(as_alice)


def test_a_move_is_asked_for_followed_and_called_off(as_alice: Client, two: Node, now: Any) -> None:
    assert "On node n1" in _page(as_alice) and "Move my workspace" in _page(as_alice)
    assert _move(as_alice).status_code == 302
    move = Relocation.objects.get()
    move_begin(move_id=move.pk, now=now)
    move_progress(move_id=move.pk, tries=1, done=62 * 1024**2, total=100 * 1024**2)
    page = as_alice.get(reverse("workspace_now")).content.decode()
    assert "62%" in page and "Being copied" in page and "Move my workspace" not in page
    move_failed(move_id=move.pk, words="The link to node n2 broke.", final=False, now=now)
    assert "The link to node n2 broke." in _page(as_alice)
    assert as_alice.post(reverse("workspace_stay")).status_code == 302
    move.refresh_from_db()
    assert (move.state, "Move my workspace" in _page(as_alice)) == ("cancelled", True)


def test_whether_files_lie_encrypted_is_said_where_the_node_has_said_it(as_alice: Client, two: Node, node: Node) -> None:
    assert "encrypted" not in _page(as_alice)
    node.checks = [{"name": AT_REST_CHECK, "state": "green", "words": "Workspaces are encrypted at rest (dm-crypt).", "fix": ""}]
    node.save()
    assert "Workspaces are encrypted at rest (dm-crypt)." in _page(as_alice)


def test_models_of_ones_own_stay_behind_and_that_is_said_before(as_alice: Client, as_root: Client, two: Node, alice: User) -> None:
    assert "stay behind" not in _page(as_alice)
    WorkspaceUse.objects.filter(owner=alice).update(size=4 * 1024**3, models_size=3 * 1024**3)
    assert "Your own models stay behind." in _page(as_alice) and "3 GiB that you wrote in /models" in _page(as_alice)
    assert as_root.post(reverse("manage_node_empty", args=["n1"]), {"destination": "n2"}).status_code == 302
    assert "What you wrote in /models there (3.0 GiB) stays on n1." in alice.notices.get(kind="workspace").words
    workspace_moved(owner_id=alice.pk, source_id="n1", destination_id="n2")
    assert [(row.node_id, row.size, row.models_size) for row in WorkspaceUse.objects.filter(owner=alice)] == [("n2", 1024**3, 0)]


def test_what_lands_cannot_be_called_off(as_alice: Client, two: Node, now: Any) -> None:
    _move(as_alice)
    move = Relocation.objects.get()
    move_copied(move_id=move.pk, tries=move_begin(move_id=move.pk, now=now) or 0)
    assert "Call it off" not in _page(as_alice)
    assert "too late" in as_alice.post(reverse("workspace_stay"), follow=True).content.decode()


def test_a_lab_in_the_way_is_stopped_only_if_its_owner_says_so(as_alice: Client, two: Node, lab_of: Callable[..., Lab], alice: User, now: Any) -> None:
    lab = lab_of(alice, name="resnet")
    assert lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=[], now=now)
    assert "Stop resnet first" in _page(as_alice)
    refused = _move(as_alice)
    assert (refused.status_code, Relocation.objects.count()) == (422, 0)
    assert "Files cannot be moved under a lab" in refused.content.decode()
    assert _move(as_alice, stop_labs="on").status_code == 302
    lab.refresh_from_db()
    assert lab.target == "stopped"


def test_nobody_moves_what_is_not_there(as_bob: Client, two: Node, bob: User) -> None:
    assert _move(as_bob).status_code == 422
    assert not Relocation.objects.exists()


def test_a_node_that_is_not_offered_is_refused(as_alice: Client, two: Node) -> None:
    Node.objects.filter(pk="n2").update(state="draining")
    assert _move(as_alice).status_code == 422
    assert "no other node that could take it" in _page(as_alice)


def test_an_administrator_moves_them_all(as_root: Client, as_alice: Client, two: Node) -> None:
    path = reverse("manage_node_empty", args=["n1"])
    assert as_alice.post(path, {"destination": "n2"}).status_code == 403
    assert as_root.post(path, {"destination": "n9"}).status_code == 422
    assert as_root.post(path, {"destination": "n2"}).status_code == 302
    page = as_root.get(reverse("manage_nodes")).content.decode()
    assert "Workspaces on their way from here" in page and "Alice" in page
    assert "Root moves your workspace" in Relocation.objects.get().owner.notices.get(kind="workspace").words
