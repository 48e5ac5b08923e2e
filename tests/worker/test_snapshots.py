"""Snapshots: a workspace is packed, broken and restored to the very same tree; labs wait; a worker that ends in the middle leaves nothing half."""

import os
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from labs.files.models import Desk
from labs.files.services import desk_ask, desk_closed
from labs.fleet.models import Node
from labs.lifecycle.models import Lab
from labs.lifecycle.queueing import waits_of
from labs.lifecycle.restores import restore_ask, snapshot_wish
from labs.people.errors import Refused
from labs.people.models import User
from labs.relocation.models import Relocation
from labs.relocation.rules import MOVED
from labs.snapshots.models import Restore, Snapshot
from labs.snapshots.services import snapshot_ask, snapshot_delete
from labs.storage.models import WorkspaceUse
from labs.storage.queries import disk_held
from tests.support.hands import AtOnce, Round, round_of  # noqa: F401  (fixture)
from worker.carrying.here import Here, Size, Stuck
from worker.keeping import snapshot_file, snapshot_write
from worker.loops import snapshots
from worker.loops.snapshots import Keeper
from worker.runtimes.process.places import FolderPlaces

pytestmark = pytest.mark.django_db(transaction=True)


class House:
    """A node with alice's workspace, and what keeps snapshots of it."""

    def __init__(self, round_: Round, alice: User, folder: Path) -> None:
        self.round, self.alice = round_, alice
        self.keeper = Keeper(round_.hands, FolderPlaces(folder / "workspaces"))
        self.workspace = folder / "workspaces" / f"gpulab-{Node.objects.get().realm}-ws-{alice.pk}"
        self.workspace.mkdir(parents=True)
        os.chown(self.workspace, alice.uid, alice.uid)
        WorkspaceUse.objects.create(owner=alice, node_id="n1", size=10, measured_at=round_.now)

    def tick(self) -> None:
        snapshots.tick(keeper=self.keeper, now=self.round.now)

    def kept(self) -> Snapshot:
        """A snapshot of now."""
        row = snapshot_wish(owner=self.alice, node_id="n1", now=self.round.now)
        self.tick()
        row.refresh_from_db()
        return row

    def restored(self, row: Snapshot) -> Restore:
        made = restore_ask(snapshot=row, actor=self.alice, now=self.round.now)
        self.tick()
        made.refresh_from_db()
        return made

    def digest(self) -> Size:
        return Here("n1", "x", 1, self.alice.uid, lambda make: self.workspace, lambda: None).digest()

    def left_beside(self) -> list[str]:
        return [one.name for one in self.workspace.parent.iterdir() if one != self.workspace]


@pytest.fixture
def house(round_of: Callable[..., Round], alice: User, tmp_path: Path, settings, monkeypatch: pytest.MonkeyPatch) -> House:
    if os.geteuid() != 0:
        pytest.skip("workspaces belong to people, which takes root")
    monkeypatch.setattr(snapshots, "pool", AtOnce())
    settings.SNAPSHOTS = tmp_path / "snapshots"
    return House(round_of(), alice, tmp_path)


def _fill(folder: Path, uid: int) -> None:
    """What a tree can have: modes, times, links of both kinds, holes, attributes, names."""
    (folder / "deep/er").mkdir(parents=True)
    (folder / "deep/file").write_bytes(os.urandom(200_000))
    (folder / "deep/er/same").hardlink_to(folder / "deep/file")
    (folder / "away").symlink_to("/etc/passwd")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o751)
    (folder / "closed").write_text("mine")
    (folder / "closed").chmod(0)
    (folder / "a name\nof two lines ü").write_text("x")
    with (folder / "hollow").open("wb") as file:
        file.truncate(50_000_000)
    os.setxattr(folder / "run.sh", "user.note", b"kept")
    for root, names, files in os.walk(folder):
        for name in (*names, *files):
            os.chown(f"{root}/{name}", uid, uid, follow_symlinks=False)
            os.utime(f"{root}/{name}", ns=(10**18 + 7, 10**18 + 123_456_789), follow_symlinks=False)


def test_a_broken_workspace_is_restored_to_the_very_same_tree_and_that_can_be_undone(house: House) -> None:
    _fill(house.workspace, house.alice.uid)
    before = house.digest()
    row = house.kept()
    assert (row.state, row.percent, row.size > 200_000) == ("ready", 100, True)
    assert row.size < 5_000_000, "holes take no room"
    (house.workspace / "deep/file").write_bytes(b"broken")
    (house.workspace / "run.sh").unlink()
    (house.workspace / "new").write_text("made since")
    broken = house.digest()
    made = house.restored(row)
    assert (made.state, made.words) == ("done", "")
    assert house.digest() == before
    assert os.getxattr(house.workspace / "run.sh", "user.note") == b"kept"
    same = [(house.workspace / name).stat().st_ino for name in ("deep/file", "deep/er/same")]
    assert same[0] == same[1]
    assert (house.workspace / "hollow").stat().st_blocks * 512 < 1_000_000
    assert (house.workspace.stat().st_uid, house.left_beside()) == (house.alice.uid, [])
    assert house.restored(Restore.objects.get().undo).state == "done"
    assert house.digest() == broken


def test_a_snapshot_is_made_once_at_a_time_and_counts_as_disk(house: House) -> None:
    (house.workspace / "file").write_bytes(os.urandom(50_000))
    snapshot_wish(owner=house.alice, node_id="n1", now=house.round.now)
    with pytest.raises(Refused, match="being made already"):
        snapshot_wish(owner=house.alice, node_id="n1", now=house.round.now)
    house.tick()
    row = Snapshot.objects.get()
    assert disk_held(user_ids=[house.alice.pk])[house.alice.pk].size == 10 + row.size
    snapshot_delete(snapshot=row, actor=house.alice, now=house.round.now)
    house.tick()
    assert not Snapshot.objects.exists()
    assert not house.keeper.file(row).exists()


def test_nothing_is_restored_under_a_lab_and_labs_wait_for_a_restore(house: House, lab_of: Callable[..., Lab]) -> None:
    row = house.kept()
    lab = lab_of(house.alice)
    house.round.until(lab, "running")
    with pytest.raises(Refused, match="Stop it first"):
        restore_ask(snapshot=row, actor=house.alice, now=house.round.now)
    Lab.objects.update(state="stopped", target="stopped")
    restore_ask(snapshot=row, actor=house.alice, now=house.round.now)
    waiting = lab_of(house.alice, name="later")
    house.round.tick()
    assert Lab.objects.get(pk=waiting.pk).state == "queued"
    [reason] = waits_of(user=house.alice, now=house.round.now)[waiting.pk].reasons
    assert reason.startswith("Your workspace is being restored")
    house.tick()
    house.round.until(waiting, "running")


def test_what_was_moved_away_since_is_not_restored_where_it_was(house: House) -> None:
    row, here, now = house.kept(), Node.objects.get(pk="n1"), house.round.now
    there = Node.objects.create(pk="n2", name="n2", runtime=here.runtime, cpus=8, memory_mib=65536, heartbeat_at=now)

    def moved(source: Node, destination: Node, hours: int) -> None:
        when = now + timedelta(hours=hours)
        Relocation.objects.create(owner=house.alice, source=source, destination=destination, state=MOVED, asked_at=when, moved_at=when)

    moved(here, there, 1)
    with pytest.raises(Refused, match="moved to node n2 since"):
        restore_ask(snapshot=row, actor=house.alice, now=now)
    assert not Restore.objects.exists()
    moved(there, here, 2)
    assert house.restored(row).state == "done"


def test_open_files_are_closed_before_a_restore_and_open_again_after_it(house: House) -> None:
    row = house.kept()
    desk = Desk.objects.create(owner=house.alice, node_id="n1", state="opening", attempt=1, state_since=house.round.now, wanted_until=house.round.now)
    made = house.restored(row)
    assert made.state == "asked"
    with pytest.raises(Refused, match="being restored from a snapshot"):
        desk_ask(user=house.alice, node_id="n1", now=house.round.now)
    assert desk_closed(desk=desk, words="", sweep_at=None, now=house.round.now)
    house.tick()
    made.refresh_from_db()
    assert made.state == "done"
    assert desk_ask(user=house.alice, node_id="n1", now=house.round.now).state == "opening"


LONGER = [pytest.param(one, marks=pytest.mark.long) for one in ("unpack", "set_aside", "tidy")]


@pytest.mark.parametrize("step", ["snapshot_write", *LONGER, "landing", "land", "restore_end"])
def test_a_worker_that_ends_at_any_step_leaves_neither_half_a_snapshot_nor_half_a_restore(house: House, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _fill(house.workspace, house.alice.uid)
    before = house.digest()
    row = house.kept()
    (house.workspace / "new").write_text("made since")
    restore = restore_ask(snapshot=row, actor=house.alice, now=house.round.now)

    class Killed(BaseException):
        """As a kill ends a process: nothing is tidied up by us."""

    def killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        if step in ("unpack", "set_aside", "land", "tidy"):
            patched.setattr(Here, step, killed)
        else:
            patched.setattr(snapshots, {"landing": "restore_landing"}.get(step, step), killed)
        with pytest.raises(Killed):
            snapshots.bring_back(keeper=house.keeper, restore=restore)
    house.tick()
    restore.refresh_from_db()
    assert (restore.state, restore.words) == ("done", "")
    assert house.digest() == before
    assert house.left_beside() == []
    assert not list(house.keeper.file(row).parent.glob("*.part"))
    assert Snapshot.objects.filter(why="undo", state="ready").count() == 1


def test_a_snapshot_that_is_broken_on_the_disk_leaves_the_workspace_as_it_was(house: House) -> None:
    (house.workspace / "file").write_bytes(os.urandom(300_000))
    row = house.kept()
    with house.keeper.file(row).open("r+b") as file:
        file.truncate(row.size // 2)
    before = house.digest()
    made = house.restored(row)
    assert (made.state, "broken" in made.words or "could not be carried" in made.words) == ("failed", True), made.words
    assert (house.digest(), house.left_beside()) == (before, [])


def test_a_file_that_a_lab_writes_meanwhile_costs_no_snapshot(house: House) -> None:
    log = house.workspace / "train.log"
    log.write_bytes(os.urandom(8_000_000))
    told: list[int] = []

    def written(percent: int) -> None:
        told.append(percent)
        with log.open("ab") as file:
            file.write(b"one more line\n")

    file = house.keeper.file(Snapshot(pk=1, owner=house.alice))
    assert snapshot_write(house.keeper.here(house.alice, "x"), file, written) > 7_000_000
    assert told


def test_snapshots_that_could_not_be_made_push_none_out_that_was(house: House, settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.SNAPSHOT_COUNT, settings.SNAPSHOT_DAYS = 2, 30
    good = house.kept()

    def full(*_: object) -> int:
        raise Stuck("The disk is full.")

    monkeypatch.setattr(snapshots, "snapshot_write", full)
    for _ in range(4):
        house.round.now += timedelta(hours=1)
        assert house.kept().state == "failed"
    house.tick()
    house.tick()
    good.refresh_from_db()
    assert (good.state, house.keeper.file(good).exists()) == ("ready", True)
    assert Snapshot.objects.filter(state="failed").count() == 2, "what failed long ago is forgotten"


def test_a_tool_that_breaks_ends_a_restore_after_its_tries_with_the_workspace_as_it_was(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    (house.workspace / "file").write_bytes(os.urandom(1000))
    row, before = house.kept(), house.digest()

    def broken(*_: object, **__: object) -> None:
        raise subprocess.CalledProcessError(1, "sync")

    monkeypatch.setattr(Here, "unpack", broken)
    monkeypatch.setattr(Here, "tidy", broken)
    made = house.restored(row)
    for _ in range(3):
        house.tick()
    made.refresh_from_db()
    assert (made.state, made.tries) == ("failed", 3)
    assert house.digest() == before


def test_the_newest_are_kept_and_old_ones_let_go(house: House, settings) -> None:
    settings.SNAPSHOT_COUNT, settings.SNAPSHOT_DAYS = 2, 30
    rows = []
    for _ in range(4):
        house.round.now += timedelta(hours=1)
        rows.append(house.kept())
    house.tick()
    house.tick()
    assert set(Snapshot.objects.values_list("pk", flat=True)) == {rows[2].pk, rows[3].pk}
    house.round.now += timedelta(days=31)
    house.tick()
    assert not Snapshot.objects.exists()


def test_before_an_idle_stop_a_large_workspace_is_left_alone_and_that_is_said(house: House, settings) -> None:
    settings.SNAPSHOT_IDLE_GIB = 0
    (house.workspace / "file").write_text("x")
    row = snapshot_ask(owner=house.alice, node_id="n1", why="idle", actor=None, now=house.round.now)
    house.tick()
    row.refresh_from_db()
    assert (row.state, "0 GiB" in row.words) == ("failed", True)


def test_a_file_is_named_for_what_packed_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert snapshot_file(tmp_path, "ws", 7).name in ("7.tar.zst", "7.tar.gz")
    monkeypatch.setenv("PATH", "/nowhere")
    assert snapshot_file(tmp_path, "ws", 7).name == "7.tar.gz"
