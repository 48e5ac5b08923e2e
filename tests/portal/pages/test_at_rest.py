"""Encrypted workspaces on the pages and in the API: who may ask for them, what is shown before, what people see of it."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.test import Client
from django.urls import reverse

from labs.catalogue.models import Image
from labs.datasets.models import DataSet
from labs.datasets.services import data_copy_ready
from labs.fleet.models import AT_REST_CHECK, Node, NodeImage
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_assign
from labs.people.models import Group, User
from labs.people.services import token_create
from labs.relocation.models import Relocation
from labs.storage.models import WorkspaceUse
from tests.portal.pages.test_launch import wish
from tests.support.callers import Caller

pytestmark = pytest.mark.django_db
PLAIN, HIDDEN = "Workspaces are not encrypted at rest.", "Workspaces are encrypted at rest (dm-crypt)."
WHY = "Node n1: workspaces there do not lie encrypted, and the team Vision asks that they do."


def _found(node: Node, words: str, encrypts: bool) -> None:
    Node.objects.filter(pk=node.pk).update(encrypts=encrypts, checks=[{"name": AT_REST_CHECK, "state": "green", "words": words, "fix": ""}])


@pytest.fixture
def second(node: Node, image: Image, now: datetime) -> Node:
    """Beside the first, which does not encrypt, one that does."""
    made = Node.objects.create(pk="n2", name="n2", runtime="docker", cpus=64, memory_mib=512 * 1024, heartbeat_at=now, probe_kind="none")
    NodeImage.objects.create(node=made, image=image, state="present", percent=100, updated_at=now)
    _found(node, PLAIN, encrypts=False)
    _found(made, HIDDEN, encrypts=True)
    return made


def _set(client: Client, name: str, pk: int, to: str = "yes") -> str:
    return client.post(reverse(name, args=[pk]), {"encrypted_only": to}, follow=True).content.decode()


def test_an_administrator_sees_whom_it_touches_and_asks_for_it(
    as_root: Client, second: Node, node: Node, team: Group, alice: User, lab_of: Callable[..., Lab], now: datetime
) -> None:
    lab = lab_of(alice, name="mine")
    lab_of(alice, name="next")
    lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=[], now=now)
    WorkspaceUse.objects.create(owner=alice, node=node, size=1, files=1, measured_at=now)
    page = as_root.get(reverse("manage_group_at_rest", args=[team.pk])).content.decode()
    assert all(words in page for words in (PLAIN, HIDDEN, "Files lie where they could not stay", ">mine</a> of Alice on n1", ">next</a> of Alice"))
    assert "On every node" in as_root.get(reverse("manage_groups")).content.decode()
    assert "Only on encrypted nodes" in _set(as_root, "manage_group_at_rest", team.pk)
    team.refresh_from_db()
    assert team.encrypted_only
    Node.objects.filter(pk="n2").update(encrypts=None)
    assert "No node lies encrypted." in as_root.get(reverse("manage_group_at_rest", args=[team.pk])).content.decode()
    assert "Only on encrypted nodes" not in _set(as_root, "manage_group_at_rest", team.pk, "no")


def test_a_lab_that_would_wait_for_such_a_node_is_told_so_before_the_click(
    as_root: Client, as_alice: Client, as_charlie: Client, second: Node, team: Group, image: Image
) -> None:
    _set(as_root, "manage_group_at_rest", team.pk)
    with_a_gpu = wish(image, gpus=1)
    assert WHY in as_alice.get(reverse("launch_verdict"), with_a_gpu).content.decode(), "only the first has cards"
    assert "Starts now" in as_charlie.get(reverse("launch_verdict"), with_a_gpu).content.decode()
    assert "Starts now" in as_alice.get(reverse("launch_verdict"), wish(image, gpus=0)).content.decode()
    as_alice.post(reverse("launch"), with_a_gpu)
    assert WHY in as_alice.get(reverse("lab", args=[Lab.objects.get().pk])).content.decode()


def test_my_workspace_says_where_files_may_not_stay_and_offers_only_where_they_may(
    as_root: Client, as_alice: Client, as_bob: Client, second: Node, node: Node, team: Group, alice: User, bob: User, now: datetime
) -> None:
    for owner, at in ((alice, node), (bob, second)):
        WorkspaceUse.objects.create(owner=owner, node=at, size=1, files=1, measured_at=now)
    _set(as_root, "manage_group_at_rest", team.pk)
    page = as_alice.get(reverse("workspace")).content.decode()
    assert f"Your files may not stay here.</strong> {WHY}" in page and '<option value="n2"' in page
    page = as_bob.get(reverse("workspace")).content.decode()
    assert WHY in page and '<option value="n1"' not in page and "may not stay" not in page
    answer = as_bob.post(reverse("workspace_go", args=["n2"]), {"destination": "n1"})
    assert (answer.status_code, Relocation.objects.count()) == (422, 0) and f"It cannot go there. {WHY}" in answer.content.decode()
    page = as_root.post(reverse("manage_node_empty", args=["n2"]), {"destination": "n1"}, follow=True).content.decode()
    assert "These stay, because their groups ask for encrypted workspaces, which that node has not: of Bob." in page


def test_a_data_set_is_registered_for_encrypted_nodes_only_and_the_launch_form_says_it(
    as_root: Client, as_alice: Client, second: Node, image: Image, now: datetime
) -> None:
    sent = {"title": "Scans", "name": "scans", "version": "1", "backend": "folder", "source": "/srv/scans", "licence": "Ours", "answers_for": "The clinic"}
    assert as_root.post(reverse("manage_data"), sent | {"encrypted_only": "on"}).status_code == 302
    one = DataSet.objects.get()
    for node_id in ("n1", "n2"):
        data_copy_ready(data_set_id=one.pk, node_id=node_id, size=10, files=1, checksum="a" * 64, now=now)
    page = as_alice.get(reverse("launch")).content.decode()
    assert "Not on n1: workspaces there do not lie encrypted, and the data set asks that they do." in page and "only on encrypted machines · on n2" in page
    verdict = as_alice.get(reverse("launch_verdict"), wish(image, gpus=1, chosen="on", datasets=["scans"])).content.decode()
    assert "The data set scans is not on node n1: workspaces there do not lie encrypted" in verdict
    assert all(words in as_root.get(reverse("manage_data_at_rest", args=[one.pk])).content.decode() for words in (PLAIN, HIDDEN, "No lab waits for it."))
    assert "May be on every node" in _set(as_root, "manage_data_at_rest", one.pk, "no")


def test_the_api_shows_and_changes_it_for_administrators_alone(second: Node, team: Group, root_admin: User, alice: User, now: datetime) -> None:
    root, own = (Caller(token_create(user=user, name="t", scope=scope, now=now)[1]) for user, scope in ((root_admin, "admin"), (alice, "launch")))
    assert root.get(f"/groups/{team.pk}").json()["encrypted_only"] is False
    assert own.send("PATCH", f"/groups/{team.pk}", {"encrypted_only": True}).status_code == 403
    assert root.send("PATCH", f"/groups/{team.pk}", {"encrypted_only": True}).json()["encrypted_only"] is True
    made = root.post("/groups", {"kind": "organisation", "name": "Clinic", "slug": "clinic", "encrypted_only": True})
    assert (made.status_code, Group.objects.get(slug="clinic").encrypted_only) == (201, True)
