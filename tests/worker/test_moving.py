"""A workspace is carried between nodes, and whoever carries it may die anywhere: exactly one copy counts at every moment, and it arrives."""

import os
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from labs.files.models import Desk
from labs.files.services import desk_closed
from labs.fleet.models import Node
from labs.lifecycle.relocations import homes_now, workspace_move
from labs.people.models import Group
from labs.relocation import rules, services
from labs.relocation.models import Relocation
from labs.relocation.queries import is_moving
from labs.storage.models import WorkspaceUse
from tests.support.hands import AtOnce, NoCards
from worker.carrying.here import Here, Stuck
from worker.hands import Hands
from worker.loops import moving
from worker.runtimes.fake import FakeRuntime
from worker.runtimes.process.places import FolderPlaces
from worker.spec import workspace_name

pytestmark = pytest.mark.django_db
UID = 20001 if os.geteuid() == 0 else os.getuid()
#: Every durable step of a move, as the code takes it.
STEPS: list[tuple[Any, str]] = [
    (moving, "move_begin"),
    (Here, "size"),
    (Here, "room_check"),
    (Here, "unpack"),
    (Here, "digest"),
    (moving, "move_copied"),
    (Here, "land"),
    (Here, "set_aside"),
    (moving, "move_done"),
]


class Killed(BaseException):
    """The worker is gone."""


@dataclass(frozen=True)
class Carriers(moving.Carrier):
    """Both nodes are folders here."""

    root: Path = Path()

    def end(self, move: Relocation, node: Node, tries: int) -> Here:
        return moving.here(places=FolderPlaces(self.root / node.pk), node=node, owner_id=move.owner_id, mark=move.pk, tries=tries, uid=UID)


@dataclass
class House:
    """Two nodes, alice's files on the first, and who carries them."""

    root: Path
    owner: Any
    nodes: tuple[Node, Node]
    now: Any
    made: list[Any] = field(default_factory=list)

    def carry(self) -> None:
        """A worker that has just started takes one look."""
        hands = Hands(node_id="n1", runtime=FakeRuntime(), probe=NoCards(), clock=lambda: self.now)
        moving.tick(carrier=Carriers(hands=hands, places=FolderPlaces(self.root / "n1"), tls=ssl.create_default_context, root=self.root), now=self.now)

    def place(self, node: Node) -> Path:
        return self.root / node.pk / workspace_name(node.realm, self.owner.pk)

    def has_files(self, node: Node) -> bool:
        """All of them, where a lab would find them."""
        file = self.place(node) / "thesis/chapter.tex"
        return file.is_file() and file.read_text() == "all of it"

    def ask(self) -> Relocation:
        one, two = self.nodes
        return workspace_move(owner=self.owner, source=one, destination=two, stop_labs=False, actor=self.owner, now=self.now)


@pytest.fixture
def house(tmp_path: Path, node: Node, alice: Any, now: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    other = Node.objects.create(pk="n2", name="n2", runtime="docker", state="ready", cpus=64, memory_mib=512 * 1024, heartbeat_at=now)
    WorkspaceUse.objects.create(owner=alice, node=node, size=10, files=1, measured_at=now)
    monkeypatch.setattr(moving, "pool", AtOnce())
    monkeypatch.setattr("worker.hands.close_old_connections", lambda: None)
    tmp_path.chmod(0o755)
    made = House(tmp_path, alice, (node, other), now)
    (made.place(node) / "thesis").mkdir(parents=True)
    (made.place(node) / "thesis/chapter.tex").write_text("all of it")
    yield made


def _killed_at(monkeypatch: pytest.MonkeyPatch, where: Any, name: str, *, after: bool) -> Callable[[], bool]:
    """The worker dies there, once; whether it has."""
    original, died = getattr(where, name), []

    def step(*args: Any, **kwargs: Any) -> Any:
        if died:
            return original(*args, **kwargs)
        if after:
            original(*args, **kwargs)
        died.append(True)
        raise Killed

    monkeypatch.setattr(where, name, step)
    return lambda: bool(died)


def test_it_arrives_and_the_old_copy_goes_a_day_later(house):
    one, two = house.nodes
    move = house.ask()
    house.carry()
    move.refresh_from_db()
    assert (move.state, move.percent, house.has_files(one), house.has_files(two)) == ("moved", 100, False, True)
    assert [home.pk for home in homes_now(user=house.owner)] == ["n2"]
    assert len(list(house.place(one).parent.glob(".gpulab-moved-*"))) == 1
    house.now += rules.KEPT_FOR
    house.carry()
    assert list(house.place(one).parent.iterdir()) == []
    assert Relocation.objects.get().tidied_at


def test_a_move_to_where_it_must_not_lie_since_it_was_asked_for_is_given_up_before_a_byte_is_carried(house):
    move = house.ask()
    Group.objects.update(encrypted_only=True)
    house.carry()
    move.refresh_from_db()
    assert (move.state, house.has_files(house.nodes[0]), house.place(house.nodes[1]).exists()) == ("failed", True, False)
    assert "whether workspaces there lie encrypted cannot be told" in move.words


def test_files_that_are_open_are_not_moved_before_they_are_closed(house):
    one, _ = house.nodes
    desk = Desk.objects.create(owner=house.owner, node=one, state="opening", attempt=1, state_since=house.now, wanted_until=house.now)
    move = house.ask()
    house.carry()
    move.refresh_from_db()
    assert (move.state, house.has_files(one)) == ("asked", True)
    assert desk_closed(desk=desk, words="", sweep_at=None, now=house.now)
    house.carry()
    move.refresh_from_db()
    assert move.state == "moved"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("where", "name"), STEPS, ids=[name for _, name in STEPS])
def test_a_worker_that_dies_leaves_one_copy_that_counts_and_another_goes_on(house, monkeypatch, where, name, after):
    one, two = house.nodes
    move = house.ask()
    died = _killed_at(monkeypatch, where, name, after=after)
    with pytest.raises(Killed):
        house.carry()
    assert died()
    move.refresh_from_db()
    if move.state in (rules.ASKED, rules.COPYING):
        assert house.has_files(one) and not house.has_files(two)
    elif move.state == rules.LANDING:
        assert is_moving(owner_id=house.owner.pk)
    else:
        assert house.has_files(two) and not house.has_files(one)
    house.carry()
    move.refresh_from_db()
    assert (move.state, house.has_files(one), house.has_files(two)) == ("moved", False, True)
    assert list(house.place(two).parent.glob(".gpulab-*")) == []


def test_every_step_of_the_code_is_among_those(house, monkeypatch):
    """A new step is a step that somebody can die at."""
    taken: list[str] = []
    for where in (moving, Here):
        for name in [name for name in vars(where) if name.startswith("move_") or where is Here]:
            original = getattr(where, name)
            if callable(original) and not name.startswith("_"):
                monkeypatch.setattr(where, name, lambda *args, _name=name, _was=original, **more: (taken.append(_name), _was(*args, **more))[1])
    house.ask()
    house.carry()
    assert set(taken) - {"packed", "move_progress", "moves_ready"} <= {name for _, name in STEPS}


def test_a_carrier_that_was_overtaken_stops_and_harms_nothing(house, monkeypatch):
    move, told = house.ask(), services.move_progress

    def overtaken(**how: Any) -> bool:
        monkeypatch.setattr(moving, "move_progress", told)
        services.move_begin(move_id=move.pk, now=house.now)
        return told(**how)

    monkeypatch.setattr(moving, "move_progress", overtaken)
    house.carry()
    move.refresh_from_db()
    assert (move.state, move.tries) == ("copying", 2)
    house.carry()
    move.refresh_from_db()
    assert (move.state, move.tries, house.has_files(house.nodes[1])) == ("moved", 3, True)


def test_what_was_called_off_in_the_middle_leaves_nothing_behind(house, monkeypatch):
    move, told = house.ask(), services.move_progress

    def called_off(**how: Any) -> bool:
        services.move_cancel(move=move, actor=house.owner, now=house.now)
        return told(**how)

    monkeypatch.setattr(moving, "move_progress", called_off)
    house.carry()
    house.carry()
    move.refresh_from_db()
    assert (move.state, move.tidied_at is None) == ("cancelled", False)
    assert house.has_files(house.nodes[0]) and not house.place(house.nodes[1]).exists()


def test_a_copy_that_differs_is_carried_again(house, monkeypatch):
    original, spoilt = Here.unpack, []

    def spoil(self: Here, chunks: Any) -> None:
        original(self, chunks)
        if not spoilt:
            spoilt.append(True)
            (self._beside(f"in-{self.mark}-{self.tries}") / "thesis/chapter.tex").write_text("half of it")

    monkeypatch.setattr(Here, "unpack", spoil)
    move = house.ask()
    house.carry()
    move.refresh_from_db()
    assert (move.state, move.words) == ("copying", "What arrived is not what was sent. It is carried again.")
    house.now = move.try_at
    house.carry()
    move.refresh_from_db()
    assert (move.state, house.has_files(house.nodes[1])) == ("moved", True)


def test_a_full_disk_ends_the_move_and_the_files_stay(house, monkeypatch):
    def full(self: Here, size: Any) -> None:
        raise Stuck("Node n2 has 1.0 GiB free.", final=True)

    monkeypatch.setattr(Here, "room_check", full)
    move = house.ask()
    house.carry()
    move.refresh_from_db()
    assert (move.state, move.words, house.has_files(house.nodes[0])) == ("failed", "Node n2 has 1.0 GiB free.", True)


@pytest.mark.parametrize("gone", ["n1", "n2"])
def test_an_end_that_is_given_up_before_it_landed_ends_the_move(house, gone):
    move = house.ask()
    Node.objects.filter(pk=gone).update(state="gone")
    house.carry()
    move.refresh_from_db()
    assert (move.state, move.words) == ("failed", f"Node {gone} was given up.")
    assert house.has_files(house.nodes[0])


def test_a_destination_that_is_given_up_while_it_lands_gives_the_source_back(house, monkeypatch):
    move = house.ask()
    _killed_at(monkeypatch, moving, "move_done", after=False)
    with pytest.raises(Killed):
        house.carry()
    assert not house.has_files(house.nodes[0])
    Node.objects.filter(pk="n2").update(state="gone")
    house.carry()
    move.refresh_from_db()
    assert (move.state, house.has_files(house.nodes[0])) == ("failed", True)
