"""The loop that sets the limits which a file system keeps, on one in memory; the same on a real kernel's: tests/contracts/in_kernel_quotas.py."""

import os
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from labs.fleet.models import Node
from labs.lifecycle.models import Lab
from labs.people.models import User
from labs.policy.services import override_set
from labs.storage.models import WorkspaceUse
from labs.storage.rules import GIB, LEAST_FILES, MIB, files_of, room_of
from tests.support.hands import Round, round_of  # noqa: F401  (fixture)
from worker.disks import limits_check
from worker.loops import storage
from worker.quotas import linux
from worker.quotas.base import Lack, QuotaFault, number_of
from worker.quotas.fake import FakeQuotas
from worker.runtimes.base import Measured
from worker.runtimes.mounts import own_name
from worker.runtimes.process.places import FolderPlaces
from worker.spec import models_name, workspace_name

Ask = Callable[..., Lab]
MINUTE = timedelta(minutes=1)


@pytest.fixture
def house(round_of: Callable[..., Round], tmp_path: Path) -> Round:
    """A node whose file system keeps limits."""
    made = round_of()
    made.quotas, made.places = FakeQuotas(), FolderPlaces(tmp_path)
    return made


def _workspace(house: Round, user: User, size: int = 0) -> Path:
    """A workspace with so many bytes in it, which counting finds too."""
    name = workspace_name(house.runtime.node_id, user.pk)
    folder = house.places.folder(name, make=True)
    assert folder
    folder.mkdir(exist_ok=True)
    house.quotas.write(folder / "file", size)
    house.runtime.sizes[name] = Measured(size, 1)
    return folder


def _tick(house: Round) -> int:
    return storage.tick(hands=house.hands, now=house.now, limits=house.limits)


def _allowed(house: Round, user: User, gib: int, root_admin: User) -> None:
    override_set(user=user, values={"disk_gib": gib}, until=None, note="", actor=root_admin, now=house.now)


def _limit(house: Round, user: User) -> int:
    return house.quotas.limits[number_of(user.uid)][0]


@pytest.mark.django_db
def test_each_workspace_gets_its_owners_limit_and_a_new_one_when_that_changes(house: Round, alice: User, bob: User, root_admin: User) -> None:
    _allowed(house, alice, 50, root_admin)
    _allowed(house, bob, 80, root_admin)
    folders = {user: _workspace(house, user, GIB) for user in (alice, bob)}
    _tick(house)
    assert house.quotas.marks == {folder: number_of(user.uid) for user, folder in folders.items()}
    assert house.quotas.limits == {number_of(alice.uid): (50 * GIB, files_of(50 * GIB)), number_of(bob.uid): (80 * GIB, files_of(80 * GIB))}
    with pytest.raises(OSError, match="quota"):
        house.quotas.write(folders[alice] / "large", 60 * GIB)
    _allowed(house, alice, 70, root_admin)
    house.now += MINUTE
    _tick(house)
    assert _limit(house, alice) == 70 * GIB
    house.quotas.write(folders[alice] / "large", 60 * GIB)


@pytest.mark.django_db
def test_what_is_held_elsewhere_is_taken_off_the_limit_here_and_something_always_stays(house: Round, alice: User, root_admin: User) -> None:
    _allowed(house, alice, 50, root_admin)
    _workspace(house, alice, GIB)
    house.runtime.sizes[own_name(models_name(house.runtime.node_id, alice.pk))] = Measured(2 * GIB, 4)
    other = Node.objects.create(id="other", name="other", realm="other")
    WorkspaceUse.objects.create(owner=alice, node=other, size=10 * GIB, measured_at=house.now)
    for _ in range(2):
        _tick(house)
        house.now += MINUTE
    assert _limit(house, alice) == 38 * GIB
    assert WorkspaceUse.objects.get(node_id=house.hands.node_id).size == 3 * GIB
    WorkspaceUse.objects.filter(node=other).update(size=90 * GIB)
    _tick(house)
    assert _limit(house, alice) == MIB


@pytest.mark.django_db
def test_what_is_held_is_read_every_minute_and_counted_every_hour(house: Round, alice: User, lab_of: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _workspace(house, alice, GIB)
    lab_of(alice)
    assert _tick(house) == 1
    counted: list[str] = []
    plain = house.runtime.workspace_measure
    monkeypatch.setattr(house.runtime, "workspace_measure", lambda name, deadline: counted.append(name) or plain(name, deadline))
    for gib in (2, 3):
        house.quotas.write(folder / "file", gib * GIB)
        house.now += 11 * MINUTE
        assert _tick(house) == 0
        row = WorkspaceUse.objects.get()
        assert (row.size, row.measured_at) == (gib * GIB, house.now)
    assert not counted
    house.now += 60 * MINUTE
    assert _tick(house) == 1


@pytest.mark.django_db
def test_what_an_owner_took_out_of_the_limit_is_found_by_counting_and_taken_back(house: Round, alice: User, root_admin: User) -> None:
    _allowed(house, alice, 50, root_admin)
    folder = _workspace(house, alice, GIB)
    _tick(house)
    house.quotas.marks[folder] = 0
    house.quotas.write(folder / "hidden", 60 * GIB)
    house.quotas.marks[folder] = number_of(alice.uid)
    house.runtime.sizes[workspace_name(house.runtime.node_id, alice.pk)] = Measured(61 * GIB, 2)
    house.now += timedelta(days=2)
    assert _tick(house) == 1
    assert house.quotas.held(folder)[number_of(alice.uid)].size == 61 * GIB
    assert WorkspaceUse.objects.get().size == 61 * GIB


@pytest.mark.django_db
def test_files_that_cannot_be_taken_back_count_and_are_taken_off_the_limit(house: Round, alice: User, root_admin: User) -> None:
    _allowed(house, alice, 50, root_admin)
    _workspace(house, alice, GIB)
    house.runtime.sizes[workspace_name(house.runtime.node_id, alice.pk)] = Measured(21 * GIB, 2)
    for _ in range(2):
        _tick(house)
        house.now += MINUTE
    assert WorkspaceUse.objects.get().size == 21 * GIB
    assert _limit(house, alice) == 30 * GIB


@pytest.mark.django_db
def test_a_tree_that_came_back_without_its_number_gets_it_again(house: Round, alice: User) -> None:
    folder = _workspace(house, alice, GIB)
    _tick(house)
    house.quotas.marks.clear()
    _tick(house)
    assert house.quotas.marks == {folder: number_of(alice.uid)}
    assert _limit(house, alice) > 0


@pytest.mark.django_db
@pytest.mark.parametrize("how", ["lacks", "breaks", "unreachable"])
def test_where_no_limits_are_kept_workspaces_are_measured_as_before(house: Round, alice: User, how: str) -> None:
    _workspace(house, alice, GIB)
    if how == "lacks":
        house.quotas.why = Lack("They lie on tmpfs.")
    elif how == "breaks":
        house.quotas.broken = "The file system did not tell."
    else:
        house.places = FolderPlaces(Path("/nowhere"))
    assert _tick(house) == 1
    assert (house.limits.kept, house.quotas.limits, WorkspaceUse.objects.get().size) == ({}, {}, GIB)


@pytest.mark.django_db(transaction=True)
def test_a_running_labs_jupyter_is_told_where_the_file_system_stops(house: Round, alice: User, root_admin: User, lab_of: Ask, now: datetime) -> None:
    override_set(user=alice, values={"disk_gib": 50}, until=None, note="", actor=root_admin, now=now)
    house.until(lab_of(alice), "running")
    _workspace(house, alice, GIB)
    _tick(house)
    [room] = house.runtime.rooms.values()
    assert (room.held, room.limit, room.kept) == (GIB, 50 * GIB, 50 * GIB)


def test_a_room_is_whole_and_never_nothing_and_small_ones_hold_files_too() -> None:
    assert room_of(50, 0) == 50 * GIB
    assert room_of(50, GIB + 1) == 49 * GIB - MIB
    assert room_of(0, 0) == room_of(1, 2 * GIB) == MIB
    assert (files_of(MIB), files_of(100 * GIB)) == (LEAST_FILES, 6_553_600)


@pytest.mark.parametrize(
    ("why", "state", "fix"),
    [
        (None, "green", ""),
        (Lack("They lie on btrfs."), "green", ""),
        (Lack("Programs are missing.", "apt-get install quota"), "yellow", "apt-get install quota"),
    ],
)
def test_a_nodes_page_says_who_keeps_the_limits(why: Lack | None, state: str, fix: str) -> None:
    check = limits_check(FakeQuotas(why=why), Path("/"))
    assert (check.state, check.fix) == (state, fix)
    assert check.words.endswith(why.words) if why else check.words.startswith("The file system keeps")


@pytest.mark.skipif(os.geteuid() != 0 and not os.environ.get("CI"), reason="needs root, who alone can give a folder to somebody else")
def test_what_marks_a_persons_files_is_told_no_secret_of_the_house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[dict[str, Any]] = []

    def ran(command: list[str], **how: Any) -> subprocess.CompletedProcess[str]:
        runs.append(how)
        return subprocess.CompletedProcess(command, 0, "", "")

    os.chown(tmp_path, 20001, 20001)
    monkeypatch.setattr(linux, "_program", lambda name: name)
    monkeypatch.setattr(linux.subprocess, "run", ran)
    with pytest.raises(QuotaFault, match="could not be marked"):
        linux.ProjectQuotas().mark(tmp_path, 7)
    assert (runs[0]["user"], runs[0]["env"]) == (20001, {"LC_ALL": "C"})
