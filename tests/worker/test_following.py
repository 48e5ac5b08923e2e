"""Snapshots follow a workspace that was moved, and are restored where it is; whoever carries them may die anywhere."""

import os
import ssl
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from labs.fleet.models import Node
from labs.lifecycle.relocations import workspace_move
from labs.lifecycle.restores import restore_ask
from labs.people.errors import Refused
from labs.relocation.models import Relocation
from labs.snapshots.models import Snapshot
from labs.snapshots.services import snapshot_delete
from labs.storage.models import WorkspaceUse
from labs.storage.queries import disk_held
from tests.support.hands import AtOnce, NoCards
from worker.carrying.here import Here, Stuck
from worker.carrying.kept import Kept
from worker.hands import Hands
from worker.loops import following, moving, snapshots
from worker.loops.snapshots import Keeper
from worker.runtimes.fake import FakeRuntime
from worker.runtimes.process.places import FolderPlaces
from worker.spec import workspace_name

pytestmark = pytest.mark.django_db
STEPS = [(following, "follow_begin"), (Here, "size"), (Here, "room_check"), (Here, "unpack"), (Here, "digest"), (Kept, "land"), (following, "follow_done")]


class Killed(BaseException):
    """The worker is gone."""


@dataclass(frozen=True)
class Carriers(moving.Carrier):
    """Both nodes are folders here."""

    root: Path = Path()

    def end(self, move: Relocation, node: Node, tries: int) -> Here:
        return moving.here(places=FolderPlaces(self.root / node.pk), node=node, owner_id=move.owner_id, mark=move.pk, tries=tries, uid=move.owner.uid)

    def kept(self, move: Relocation, node: Node, tries: int) -> Here:
        folder = self.root / f"kept-{node.pk}"
        return moving.kept_here(folder=folder, node=node, owner_id=move.owner_id, mark=move.pk, tries=tries, uid=move.owner.uid)


@dataclass
class House:
    """Two nodes, alice's files and a snapshot of them on the first."""

    root: Path
    owner: Any
    now: Any
    settings: Any
    hands: dict[str, Hands] = field(default_factory=dict)

    def keeper(self, node_id: str) -> Keeper:
        self.settings.SNAPSHOTS = self.root / f"kept-{node_id}"
        return Keeper(Hands(node_id=node_id, runtime=FakeRuntime(), probe=NoCards(), clock=lambda: self.now), FolderPlaces(self.root / node_id))

    def keep(self, node_id: str) -> None:
        """The worker of that node takes one look at its snapshots."""
        snapshots.tick(keeper=self.keeper(node_id), now=self.now)

    def carry(self) -> None:
        """The house's worker takes one look at what is moved."""
        hands = Hands(node_id="n1", runtime=FakeRuntime(), probe=NoCards(), clock=lambda: self.now)
        following.tick(carrier=Carriers(hands=hands, places=FolderPlaces(self.root / "n1"), tls=ssl.create_default_context, root=self.root), now=self.now)

    def move(self) -> Relocation:
        one, two = (Node.objects.get(pk=pk) for pk in ("n1", "n2"))
        made = workspace_move(owner=self.owner, source=one, destination=two, stop_labs=False, actor=self.owner, now=self.now)
        moving.tick(carrier=self._carrier(), now=self.now)
        made.refresh_from_db()
        assert made.state == "moved"
        return made

    def _carrier(self) -> Carriers:
        hands = Hands(node_id="n1", runtime=FakeRuntime(), probe=NoCards(), clock=lambda: self.now)
        return Carriers(hands=hands, places=FolderPlaces(self.root / "n1"), tls=ssl.create_default_context, root=self.root)

    def place(self, node_id: str) -> Path:
        return self.root / node_id / workspace_name(Node.objects.get(pk=node_id).realm, self.owner.pk)

    def files(self, node_id: str) -> list[str]:
        """What lies in that node's folder of her snapshots."""
        folder = self.root / f"kept-{node_id}" / workspace_name(Node.objects.get(pk=node_id).realm, self.owner.pk)
        return sorted(one.name.partition(".")[0] for one in folder.iterdir()) if folder.is_dir() else []


@pytest.fixture
def house(tmp_path: Path, node: Node, alice: Any, now: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> House:
    if os.geteuid() != 0:
        pytest.skip("workspaces belong to people, which takes root")
    Node.objects.create(pk="n2", name="n2", runtime=node.runtime, state="ready", cpus=64, memory_mib=512 * 1024, heartbeat_at=now)
    WorkspaceUse.objects.create(owner=alice, node=node, size=10, files=1, measured_at=now)
    for where in (moving, following, snapshots):
        monkeypatch.setattr(where, "pool", AtOnce())
    monkeypatch.setattr("worker.hands.close_old_connections", lambda: None)
    tmp_path.chmod(0o755)
    made = House(tmp_path, alice, now, settings)
    made.place("n1").mkdir(parents=True)
    (made.place("n1") / "thesis").write_text("as it was")
    os.chown(made.place("n1"), alice.uid, alice.uid)
    os.chown(made.place("n1") / "thesis", alice.uid, alice.uid)
    Snapshot.objects.create(owner=alice, node=node, why="asked", asked_at=now)
    made.keep("n1")
    assert Snapshot.objects.get().state == "ready"
    return made


def restored(house: House) -> str:
    """What is in the workspace after the snapshot was restored where it is now."""
    restore_ask(snapshot=Snapshot.objects.get(), actor=house.owner, now=house.now)
    house.keep("n2")
    return (house.place("n2") / "thesis").read_text()


def test_a_snapshot_follows_and_is_restored_where_the_workspace_is(house: House) -> None:
    move, row = house.move(), Snapshot.objects.get()
    with pytest.raises(Refused, match="It follows by itself"):
        restore_ask(snapshot=row, actor=house.owner, now=house.now)
    house.carry()
    move.refresh_from_db()
    row.refresh_from_db()
    assert (move.followed_at is not None, row.node_id, row.state, house.files("n2")) == (True, "n2", "ready", [str(row.pk)])
    (house.place("n2") / "thesis").write_text("broken")
    assert restored(house) == "as it was"


def test_the_files_left_behind_are_removed_after_days_and_no_other(house: House) -> None:
    house.move()
    house.carry()
    house.keep("n1")
    assert house.files("n1") == [str(Snapshot.objects.get().pk)], "not before"
    (house.root / "kept-n2/.gpulab-in-9-1").mkdir()
    house.now += snapshots.STRAY_FOR + timedelta(minutes=1)
    house.keep("n2")
    assert not (house.root / "kept-n2/.gpulab-in-9-1").exists(), "a try that broke for good leaves nothing for ever"
    house.keep("n1")
    assert (house.files("n1"), house.files("n2")) == ([], [str(Snapshot.objects.get().pk)])


LONGER = [pytest.param(*one, marks=pytest.mark.long, id=one[1]) for one in STEPS[1:5]]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("where", "name"), [pytest.param(*one, id=one[1]) for one in (STEPS[0], *STEPS[5:])] + LONGER)
def test_a_carrier_that_dies_at_any_step_is_gone_on_for(house: House, monkeypatch: pytest.MonkeyPatch, where: Any, name: str, after: bool) -> None:
    house.move()
    original = getattr(where, name)

    def step(*args: Any, **kwargs: Any) -> Any:
        if after:
            original(*args, **kwargs)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(where, name, step)
        with pytest.raises(Killed):
            house.carry()
    held = Snapshot.objects.get()
    assert disk_held(user_ids=[house.owner.pk])[house.owner.pk].size >= held.size > 0, "it counts all the while"
    house.carry()
    held.refresh_from_db()
    assert (held.node_id, held.state, house.files("n2")) == ("n2", "ready", [str(held.pk)])
    assert [one.name for one in (house.root / "kept-n2").iterdir() if one.name.startswith(".gpulab")] == []


def test_on_its_way_it_is_neither_deleted_nor_restored_and_where_it_cannot_go_it_stays(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    move, row = house.move(), Snapshot.objects.get()

    def full(self: Here, size: Any) -> None:
        row.refresh_from_db()
        assert row.state == "carried"
        with pytest.raises(Refused, match="carried to another node"):
            snapshot_delete(snapshot=row, actor=house.owner, now=house.now)
        with pytest.raises(Refused, match="on its way"):
            restore_ask(snapshot=row, actor=house.owner, now=house.now)
        raise Stuck("Node n2 has 1.0 GiB free.", final=True)

    monkeypatch.setattr(Here, "room_check", full)
    house.carry()
    move.refresh_from_db()
    row.refresh_from_db()
    assert (row.state, row.node_id, move.follow_words) == ("ready", "n1", "Node n2 has 1.0 GiB free.")
    with pytest.raises(Refused, match=r"1\.0 GiB free\. Move your workspace back"):
        restore_ask(snapshot=row, actor=house.owner, now=house.now)


def test_what_is_no_snapshot_does_not_land(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that was taken over may send what it likes."""
    house.move()
    original = Here.unpack

    def spoilt(self: Here, chunks: Any) -> None:
        original(self, chunks)
        staging = self._beside(f"in-{self.mark}-{self.tries}")
        (staging / "77.tar.gz").symlink_to("/etc/shadow")
        (staging / "program").write_text("x")

    monkeypatch.setattr(Here, "unpack", spoilt)
    monkeypatch.setattr(Here, "digest", lambda self: self.size())
    house.carry()
    assert house.files("n2") == [str(Snapshot.objects.get().pk)]
