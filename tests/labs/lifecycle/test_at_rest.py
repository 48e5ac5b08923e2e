"""A group may ask that its people's labs start only where workspaces lie encrypted: at launch, elsewhere, when a node says otherwise, and when files move."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from labs.catalogue.models import Image
from labs.datasets.queries import data_seen
from labs.datasets.services import NewData, data_copy_ready, data_set_encrypted_set, data_set_register
from labs.files.queries import desk_nodes
from labs.fleet.models import Gpu, Node, NodeImage
from labs.ledger.models import Event
from labs.lifecycle import states
from labs.lifecycle.at_rest import touched_by_data, touched_by_group, where_encrypted
from labs.lifecycle.claims import lab_claim, offers_lapse
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_advance, lab_assign
from labs.lifecycle.queries import wish_preview
from labs.lifecycle.relocations import people_barred, workspace_move, workspaces_move
from labs.lifecycle.waiting import snapshot_load
from labs.lifecycle.wishes import Wish
from labs.people.encrypting import group_encrypted_set
from labs.people.errors import Refused
from labs.people.models import Group, User
from labs.people.queries import groups_encrypting
from labs.scheduler.plan import plan
from labs.storage.models import WorkspaceUse

pytestmark = pytest.mark.django_db
NEW = NewData("scans", "1", "Scans", "Ours", "The clinic", "folder", "/srv/data/scans", encrypted_only=True)
Ask = Callable[..., Lab]


@pytest.fixture
def n2(node: Node, image: Image, now: datetime) -> Node:
    """Beside the first, which does not encrypt, a larger one that does."""
    Node.objects.filter(pk="n1").update(encrypts=False)
    other = Node.objects.create(pk="n2", name="n2", runtime="docker", cpus=128, memory_mib=1024 * 1024, gpu_ready=True, heartbeat_at=now, encrypts=True)
    for index in range(3):
        Gpu.objects.create(uuid=f"GPU-0000001{index}-test", node=other, index=index, model="NVIDIA H200", memory_mib=143771, compute_capability="9.0")
    NodeImage.objects.create(node=other, image=image, state="present", percent=100, updated_at=now)
    return other


@pytest.fixture
def strict(n2: Node, team: Group, root_admin: User, now: datetime) -> Group:
    """The team asks for it."""
    assert group_encrypted_set(group=team, encrypted_only=True, actor=root_admin, now=now)
    return team


def _why(name: str) -> str:
    return f"Node n1: workspaces there do not lie encrypted, and the team {name} asks that they do."


def _placed(now: datetime) -> dict[str, str]:
    return {one.lab_id: one.node_id for one in plan(snapshot_load(now=now), now).placements}


def _reasons(lab: Lab, now: datetime) -> list[str]:
    return list(plan(snapshot_load(now=now), now).waits[lab.pk].reasons)


def test_labs_of_the_team_start_where_it_lies_encrypted_and_a_strangers_anywhere(strict, lab_of: Ask, alice, bob, charlie, now):
    mine, theirs, strange = lab_of(alice), lab_of(bob, gpus=1), lab_of(charlie, gpus=1)
    assert _placed(now) == {mine.pk: "n2", theirs.pk: "n2", strange.pk: "n1"}


def test_without_such_a_node_a_lab_waits_and_says_so_before_and_after_the_click(strict, lab_of: Ask, alice, charlie, image, now):
    Node.objects.filter(pk="n2").update(encrypts=None)
    words = {
        _why(strict.name),
        f"Node n2: whether workspaces there lie encrypted cannot be told, which counts as no, and the {strict.words} asks that they do.",
    }
    wish = Wish(image_id=image.pk, gpus=1, cpus=2, memory_gib=4, hours=2)
    seen = wish_preview(user=alice, wish=wish, now=now)
    assert (seen.answer, set(seen.reasons)) == ("later", words)
    assert wish_preview(user=charlie, wish=wish, now=now).answer == "now"
    assert set(_reasons(lab_of(alice, gpus=1), now)) == words


def test_what_a_node_says_of_itself_between_plan_and_start_counts(strict, lab_of: Ask, alice, now):
    lab = lab_of(alice)
    assert _placed(now) == {lab.pk: "n2"}
    Node.objects.filter(pk="n2").update(encrypts=False)
    assert not lab_assign(lab_id=lab.pk, node_id="n2", gpu_uuids=[], now=now)
    Node.objects.filter(pk="n2").update(encrypts=True)
    assert not lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=[], now=now)
    assert lab_assign(lab_id=lab.pk, node_id="n2", gpu_uuids=[], now=now)


def test_what_is_held_for_somebody_who_is_asked_first_is_let_go_when_its_node_does_not_encrypt_any_more(strict, lab_of: Ask, alice, now):
    lab = lab_of(alice, ask_first=True)
    assert lab_assign(lab_id=lab.pk, node_id="n2", gpu_uuids=[], now=now)
    assert offers_lapse(now=now) == 0
    Node.objects.filter(pk="n2").update(encrypts=False)
    lab.refresh_from_db()
    with pytest.raises(Refused, match="Node n2: workspaces there do not lie encrypted"):
        lab_claim(lab=lab, actor=alice, now=now)
    assert offers_lapse(now=now) == 1
    lab.refresh_from_db()
    assert (lab.state, lab.node_id) == (states.QUEUED, None)


def test_what_runs_goes_on_and_what_starts_again_starts_elsewhere(n2, team, root_admin, lab_of: Ask, alice, now):
    lab = lab_of(alice)
    assert lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=[], now=now)
    lab_advance(lab_id=lab.pk, was=states.STARTING, to=states.RUNNING, now=now, started_at=now, ends_at=now + timedelta(hours=2))
    group_encrypted_set(group=team, encrypted_only=True, actor=root_admin, now=now)
    Lab.objects.filter(pk=lab.pk).update(next_gpus=1)
    assert _placed(now) == {lab.pk: "n1"}, "with a GPU that it takes, too"
    Lab.objects.filter(pk=lab.pk).update(next_gpus=None, started_at=None)
    again = lab_of(alice)
    assert _placed(now) == {again.pk: "n2"}


def test_files_on_the_wrong_node_hold_labs_up_and_the_way_out_is_said(strict, node, lab_of: Ask, alice, now):
    WorkspaceUse.objects.create(owner=alice, node=node, size=10**9, files=1, measured_at=now)
    assert f"{_why(strict.name)} Move your workspace to node n2." in _reasons(lab_of(alice), now)


def test_a_workspace_goes_only_where_it_lies_encrypted(strict, node, n2, alice, bob, charlie, root_admin, now):
    for owner in (alice, bob, charlie):
        WorkspaceUse.objects.create(owner=owner, node=n2, size=10**9, files=1, measured_at=now)
    for actor in (alice, root_admin):
        with pytest.raises(Refused, match=r"It cannot go there\. Node n1: workspaces there do not lie encrypted") as refused:
            workspace_move(owner=alice, source=n2, destination=node, stop_labs=False, actor=actor, now=now)
        assert refused.value.field == "destination"
    node.refresh_from_db()
    assert set(people_barred(source=n2, destination=node)) == {alice, bob}
    assert workspaces_move(source=n2, destination=node, actor=root_admin, now=now) == 1
    WorkspaceUse.objects.filter(owner=bob).update(node=node)
    assert workspace_move(owner=bob, source=node, destination=n2, stop_labs=False, actor=bob, now=now).destination == n2


def test_a_first_file_page_opens_where_it_lies_encrypted_or_nowhere(strict, alice, charlie):
    assert ([one.pk for one in desk_nodes(user=alice)], [one.pk for one in desk_nodes(user=charlie)]) == (["n2"], ["n1"])
    Node.objects.filter(pk="n2").update(encrypts=None)
    assert desk_nodes(user=alice) == []


def test_it_holds_for_everybody_below_the_group_and_is_in_the_ledger_once(n2, team, root_admin, alice, charlie, now):
    above = Group.objects.create(kind="organisation", name="Clinic", slug="clinic")
    Group.objects.filter(pk=team.pk).update(parent=above)
    assert groups_encrypting(user_ids=[alice.pk]) == {}
    assert group_encrypted_set(group=above, encrypted_only=True, actor=root_admin, now=now)
    assert not group_encrypted_set(group=above, encrypted_only=True, actor=root_admin, now=now)
    assert groups_encrypting(user_ids=[alice.pk, charlie.pk]) == {alice.pk: above}
    [event] = Event.objects.filter(kind="group.encrypted")
    assert (event.words, event.actor_id) == ("Labs of the organisation Clinic start only on nodes whose workspaces lie encrypted.", root_admin.pk)
    assert group_encrypted_set(group=above, encrypted_only=False, actor=root_admin, now=now)
    assert groups_encrypting(user_ids=[alice.pk]) == {}


def test_a_data_set_is_seen_only_where_workspaces_lie_encrypted(n2, lab_of: Ask, alice, charlie, root_admin, now):
    one = data_set_register(new=NEW, groups=[], actor=root_admin, now=now)
    for node_id in ("n1", "n2"):
        data_copy_ready(data_set_id=one.pk, node_id=node_id, size=10, files=1, checksum="a" * 64, now=now)
    assert (data_seen(user=alice, node_id="n1"), list(data_seen(user=alice, node_id="n2"))) == ({}, ["/data/scans", "/data/scans@1"])
    lab = lab_of(charlie, data=("scans",))
    assert _placed(now) == {lab.pk: "n2"}
    Node.objects.filter(pk="n2").update(encrypts=False)
    wrong = "workspaces there do not lie encrypted, and the data set asks that they do."
    assert set(_reasons(lab, now)) == {f"The data set scans is not on node {name}: {wrong}" for name in ("n1", "n2")}
    assert data_set_encrypted_set(data_set=one, encrypted_only=False, actor=root_admin, now=now)
    assert not data_set_encrypted_set(data_set=one, encrypted_only=False, actor=root_admin, now=now)
    assert _placed(now) == {lab.pk: "n1"} and data_seen(user=alice, node_id="n1")
    assert Event.objects.filter(kind="data.encrypted").count() == 1


def test_before_it_is_asked_for_is_told_whom_it_touches(n2, node, team, lab_of: Ask, alice, bob, charlie, root_admin, now):
    one = data_set_register(new=replace(NEW, encrypted_only=False), groups=[], actor=root_admin, now=now)
    running, waiting, strange = lab_of(alice), lab_of(bob, data=("scans",)), lab_of(charlie, data=("scans",))
    assert lab_assign(lab_id=running.pk, node_id="n1", gpu_uuids=[], now=now)
    WorkspaceUse.objects.create(owner=alice, node=node, size=10**9, files=1, measured_at=now)
    told = touched_by_group(group=team)
    assert ([one.pk for one in told.serving], [one.pk for one in told.plain]) == (["n2"], ["n1"])
    assert (told.running, told.waiting, [(one.pk, count) for one, count in told.files]) == ((running,), (waiting,), [("n1", 1)])
    data_copy_ready(data_set_id=one.pk, node_id="n1", size=10, files=1, checksum="a" * 64, now=now)
    assert (touched_by_data(data_set=one).running, touched_by_data(data_set=one).waiting) == ((running,), (waiting, strange))
    one.groups.add(Group.objects.create(kind="team", name="Other", slug="other"))
    assert touched_by_data(data_set=one).running == ()


def test_what_a_lab_lacks_already_is_said_beside_it(n2, team, lab_of: Ask, alice, now):
    lab_of(alice)
    seen = snapshot_load(now=now)
    both = where_encrypted(labs=[replace(seen.waiting[0], lacks=(("n1", "The data set is not there."),))], nodes=seen.nodes, asking={alice.pk: team})
    assert dict(both[0].lacks) == {"n1": f"The data set is not there. {_why(team.name)}"}
