"""The pages of data sets and of snapshots: who may do what, and what they say."""

from datetime import datetime

import pytest
from django.test import Client
from django.urls import reverse

from labs.datasets.models import DataSet
from labs.datasets.services import data_copy_failed, data_copy_ready
from labs.fleet.models import Node
from labs.people.models import Group, User
from labs.snapshots.models import Restore, Snapshot
from labs.storage.models import WorkspaceUse

pytestmark = pytest.mark.django_db
FORM = {
    "title": "Flowers",
    "name": "flowers",
    "version": "1",
    "backend": "folder",
    "source": "/srv/data/flowers",
    "licence": "CC BY",
    "answers_for": "Herbarium",
}


def _as(user: User) -> Client:
    browser = Client()
    browser.force_login(user)
    return browser


def test_an_administrator_registers_a_set_for_a_team_and_sees_what_nodes_say(
    root_admin: User, alice: User, charlie: User, team: Group, node: Node, now: datetime
):
    root, path = _as(root_admin), reverse("manage_data")
    assert "No data set yet" in root.get(path).content.decode()
    assert root.post(path, FORM | {"groups": [team.pk]}).status_code == 302
    one = DataSet.objects.get()
    data_copy_failed(data_set_id=one.pk, node_id="n1", words="There is no folder /srv/data/flowers on this node.", now=now)
    assert "There is no folder" in root.get(path).content.decode()
    data_copy_ready(data_set_id=one.pk, node_id="n1", size=10**9, files=7, checksum="a" * 64, now=now)
    assert "in 7 files" in root.get(path).content.decode()
    for user, sees in ((alice, True), (charlie, False)):
        assert ("/data/flowers@1" in _as(user).get(reverse("snapshots")).content.decode()) is sees
    root.post(reverse("manage_data_groups", args=[one.pk]), {})
    assert "/data/flowers@1" in _as(charlie).get(reverse("snapshots")).content.decode()
    root.post(reverse("manage_data_retire", args=[one.pk]), {"retired": "yes"})
    assert "/data/flowers@1" not in _as(alice).get(reverse("snapshots")).content.decode()


@pytest.mark.parametrize(("field", "value"), [("source", "/"), ("source", "/srv/../etc"), ("name", "Big Set"), ("version", "")])
def test_what_is_no_place_or_name_is_said_beside_its_field(root_admin: User, field: str, value: str):
    answer = _as(root_admin).post(reverse("manage_data"), FORM | {field: value})
    assert (answer.status_code, list(answer.context["form"].errors)) == (422, [field])


def test_nobody_but_an_administrator_registers(alice: User):
    assert _as(alice).post(reverse("manage_data"), FORM).status_code == 403
    assert not DataSet.objects.exists()


def test_one_makes_restores_and_deletes_ones_own_snapshots_and_nobody_elses(alice: User, bob: User, node: Node, now: datetime):
    browser, path = _as(alice), reverse("snapshots")
    assert "No snapshot yet" in browser.get(path).content.decode()
    WorkspaceUse.objects.create(owner=alice, node=node, size=10, measured_at=now)
    browser.post(reverse("snapshot_make"), {"node": "n1"})
    row = Snapshot.objects.get()
    assert "Asked for" in browser.get(path).content.decode()
    Snapshot.objects.update(state="ready", size=2048)
    for name in ("snapshot_restore", "snapshot_remove"):
        assert _as(bob).post(reverse(name, args=[row.pk])).status_code == 404
    browser.post(reverse("snapshot_restore", args=[row.pk]))
    assert Restore.objects.get().owner == alice
    assert "is being restored" in browser.get(path).content.decode()
    Restore.objects.update(state="done", ended_at=now)
    browser.post(reverse("snapshot_remove", args=[row.pk]))
    assert Snapshot.objects.get().state == "leaving"
    assert "No snapshot yet" in browser.get(path).content.decode()


def test_a_node_that_one_has_nothing_on_makes_no_snapshot(bob: User, node: Node):
    _as(bob).post(reverse("snapshot_make"), {"node": "n1"})
    assert not Snapshot.objects.exists()
