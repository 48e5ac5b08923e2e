"""Who sees which data set where: versions, groups, copies that are not what was registered."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from labs.datasets.models import DataSet
from labs.datasets.queries import data_due, data_seen, data_usable
from labs.datasets.rules import Shelf, lacking, source_fault, wanted_fault
from labs.datasets.services import (
    NewData,
    checksums_settle,
    data_copy_failed,
    data_copy_ready,
    data_set_groups_set,
    data_set_look_ask,
    data_set_register,
    data_set_retire,
)
from labs.fleet.models import Node
from labs.ledger.models import Event
from labs.people.errors import Refused
from labs.people.models import Group, User

NEW = NewData("flowers", "1", "Flowers", "CC BY 4.0", "The herbarium", "folder", "/srv/data/flowers")


def _made(root: User, now: datetime, *groups: Group, **changes: str) -> DataSet:
    return data_set_register(new=replace(NEW, **changes), groups=groups, actor=root, now=now)


def _ready(one: DataSet, now: datetime, checksum: str = "a" * 64, node: str = "n1") -> None:
    data_copy_ready(data_set_id=one.pk, node_id=node, size=10, files=1, checksum=checksum, now=now)


@pytest.mark.django_db
def test_a_team_sees_its_data_sets_and_a_stranger_none_of_them(node: Node, root_admin: User, alice: User, bob: User, charlie: User, team: Group, now: datetime):
    one = _made(root_admin, now, team)
    assert data_seen(user=alice, node_id="n1") == {}, "no node has read it yet"
    _ready(one, now)
    assert list(data_seen(user=alice, node_id="n1")) == list(data_seen(user=bob, node_id="n1")) == ["/data/flowers", "/data/flowers@1"]
    assert data_seen(user=charlie, node_id="n1") == data_seen(user=alice, node_id="n2") == {}
    assert (data_usable(user=alice), data_usable(user=charlie)) == ([(one, 10)], [])
    data_set_groups_set(data_set=one, groups=[], actor=root_admin, now=now)
    assert data_seen(user=charlie, node_id="n1")
    assert Event.objects.filter(kind__startswith="data.").count() == 2


@pytest.mark.django_db
def test_the_newest_version_has_the_sets_name_and_older_ones_keep_theirs(node: Node, root_admin: User, alice: User, now: datetime):
    old = _made(root_admin, now)
    new = _made(root_admin, now + timedelta(days=1), version="2")
    for one in (old, new):
        _ready(one, now)
    seen = data_seen(user=alice, node_id="n1")
    assert (seen["/data/flowers"], seen["/data/flowers@1"], seen["/data/flowers@2"]) == (new, old, new)
    data_set_retire(data_set=new, retired=True, actor=root_admin, now=now)
    assert data_seen(user=alice, node_id="n1") == {"/data/flowers": old, "/data/flowers@1": old}


@pytest.mark.django_db
def test_a_copy_whose_files_are_others_than_the_first_is_seen_by_nobody(node: Node, root_admin: User, alice: User, now: datetime):
    Node.objects.create(pk="n2", name="n2", runtime="docker", heartbeat_at=now)
    one = _made(root_admin, now)
    _ready(one, now)
    assert checksums_settle() == 1
    _ready(one, now, "b" * 64, "n2")
    assert data_seen(user=alice, node_id="n1")
    assert data_seen(user=alice, node_id="n2") == {}
    assert [copy.differs for copy in DataSet.objects.get().copies.order_by("node")] == [False, True]
    assert checksums_settle() == 0


@pytest.mark.django_db
def test_a_node_looks_when_it_does_not_know_when_it_is_asked_and_now_and_then(node: Node, root_admin: User, now: datetime):
    one = _made(root_admin, now)
    assert data_due(node_id="n1", now=now) == [one]
    data_copy_failed(data_set_id=one.pk, node_id="n1", words="There is no folder.", now=now)
    assert data_due(node_id="n1", now=now + timedelta(minutes=9)) == []
    assert data_due(node_id="n1", now=now + timedelta(minutes=11)) == [one]
    _ready(one, now)
    assert data_due(node_id="n1", now=now + timedelta(days=6)) == []
    data_set_look_ask(data_set=one, actor=root_admin, now=now + timedelta(hours=1))
    assert data_due(node_id="n1", now=now + timedelta(hours=1)) == [one]
    data_set_retire(data_set=one, retired=True, actor=root_admin, now=now)
    assert data_due(node_id="n1", now=now + timedelta(days=8)) == []


@pytest.mark.django_db
def test_a_version_is_registered_once_and_names_are_names(root_admin: User, now: datetime):
    _made(root_admin, now)
    for changes, field in (({}, "version"), ({"name": "Big Set"}, "name"), ({"name": "shared"}, "name"), ({"version": "a/b"}, "version")):
        with pytest.raises(Refused) as caught:
            _made(root_admin, now, **changes)
        assert caught.value.field == field


@pytest.mark.parametrize(
    ("backend", "source", "sound"),
    [
        ("folder", "/srv/data/flowers", True),
        ("folder", "/", False),
        ("folder", "/srv/../etc", False),
        ("folder", "srv", False),
        ("folder", "/srv/a b", False),
        ("volume", "flowers", True),
        ("volume", "gpulab-x-ws-1", False),
        ("volume", "/etc", False),
        ("nfs", "files.example.edu:/export/flowers", True),
        ("nfs", "files:/a,suid", False),
        ("nfs", "files:/../a", False),
        ("s3", "campus:bucket/flowers", True),
        ("s3", "--config:x", False),
        ("s3", "campus:/etc", False),
        ("s3", "campus:../x", False),
    ],
)
def test_a_place_is_what_its_kind_allows_and_nothing_else(backend: str, source: str, sound: bool):
    assert (source_fault(backend, source) == "") is sound


def test_a_wanted_name_is_a_set_or_one_version_of_it():
    assert [wanted_fault([one]) == "" for one in ("flowers", "flowers@2", "Flowers", "flowers@", "../etc", "")] == [True, True, False, False, False, False]
    assert "at most" in wanted_fault(["flowers"] * 21)


def test_a_node_lacks_what_is_not_ready_on_it_and_any_version_will_do_for_a_name():
    old = Shelf("flowers", "1", "Flowers", "CC", 1, frozenset(), {"n1": ""})
    new = Shelf("flowers", "2", "Flowers", "CC", 1, frozenset({7}), {"n1": "It is gone.", "n2": ""})
    nodes = {"n1": "one", "n2": "two", "n3": "three"}
    assert [node for node, _ in lacking(("flowers",), [new, old], nodes)] == ["n3"]
    assert lacking(("flowers@2",), [new, old], {"n1": "one"}) == (("n1", "The data set flowers@2 is not on node one: It is gone."),)
    assert (old.is_for([]), new.is_for([1]), new.is_for([7])) == (True, False, True)
