"""The loop that measures workspaces, and a lab that waits for a workspace to be emptied."""

import os
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from labs.fleet.models import Node
from labs.lifecycle.models import Lab, Reclaim
from labs.lifecycle.queueing import waits_of
from labs.people.models import User
from labs.policy.services import override_set
from labs.storage.models import WorkspaceUse
from labs.storage.rules import GIB
from labs.storage.services import workspace_measure_ask
from tests.support.hands import Round, round_of  # noqa: F401  (fixture)
from worker.loops import storage
from worker.runtimes.base import Measured, RuntimeFault
from worker.runtimes.folders import folder_measure
from worker.runtimes.mounts import own_name
from worker.spec import models_name, workspace_name, workspace_owner

Ask = Callable[..., Lab]
MINUTE = timedelta(minutes=1)


@pytest.fixture
def house(round_of: Callable[..., Round]) -> Round:
    """A node at work."""
    return round_of()


def _lies(house: Round, user: User, gib: float) -> None:
    """So much lies in the person's workspace on the node."""
    house.runtime.sizes[workspace_name(house.runtime.node_id, user.pk)] = Measured(int(gib * GIB), 3)


def _later(house: Round, span: timedelta) -> None:
    """Time passes, and the node shows that it lives."""
    house.now += span
    Node.objects.update(heartbeat_at=house.now)


def _tick(house: Round) -> int:
    return storage.tick(hands=house.hands, now=house.now, limits=house.limits)


@pytest.mark.django_db
def test_every_workspace_of_the_node_is_measured_and_no_strange_one(house: Round, alice: User, bob: User) -> None:
    _lies(house, alice, 2)
    _lies(house, bob, 3)
    house.runtime.sizes |= {"gpulab-other-ws-1": Measured(9, 9), "cache": Measured(9, 9)}
    assert _tick(house) == 2
    assert dict(WorkspaceUse.objects.values_list("owner_id", "size")) == {alice.pk: 2 * GIB, bob.pk: 3 * GIB}
    assert _tick(house) == 0, "both were measured a moment ago"


@pytest.mark.django_db
def test_who_has_a_lab_is_measured_every_ten_minutes_and_first_others_daily(house: Round, alice: User, bob: User, lab_of: Ask) -> None:
    measured: list[str] = []
    plain = house.runtime.workspace_measure
    house.runtime.workspace_measure = lambda name, deadline: measured.append(name) or plain(name, deadline)
    for user in (bob, alice):
        _lies(house, user, 1)
    _tick(house)
    lab_of(alice)
    measured.clear()
    for minutes in (5, 6, 30, 60 * 24):
        house.now += minutes * MINUTE
        _tick(house)
    mine, his = (workspace_name(house.runtime.node_id, user.pk) for user in (alice, bob))
    assert [name for name in measured if workspace_owner(house.runtime.node_id, name)] == [mine, mine, mine, his]


@pytest.mark.django_db
def test_what_is_written_over_the_nodes_models_counts_with_the_workspace(house: Round, alice: User) -> None:
    _lies(house, alice, 2)
    house.runtime.sizes[own_name(models_name(house.runtime.node_id, alice.pk))] = Measured(GIB, 4)
    assert _tick(house) == 1
    row = WorkspaceUse.objects.get()
    assert (row.owner, row.size, row.models_size, row.files) == (alice, 3 * GIB, GIB, 7)


@pytest.mark.django_db
def test_a_workspace_that_is_removed_counts_no_more(house: Round, alice: User) -> None:
    _lies(house, alice, 1)
    _tick(house)
    house.runtime.sizes.clear()
    _tick(house)
    assert not WorkspaceUse.objects.exists()


@pytest.mark.django_db
def test_one_workspace_that_cannot_be_measured_holds_up_no_other(house: Round, alice: User, bob: User) -> None:
    def measure(name: str, deadline: float) -> Measured:
        if name.endswith(f"-{alice.pk}"):
            raise RuntimeFault("The workspace could not be measured.")
        return Measured(5, 1)

    for user in (alice, bob):
        _lies(house, user, 1)
    house.runtime.workspace_measure = measure
    assert _tick(house) == 1
    assert list(WorkspaceUse.objects.values_list("owner_id", flat=True)) == [bob.pk]


@pytest.mark.django_db
def test_a_round_ends_and_the_next_goes_on_with_who_is_left(house: Round, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "ROUND_S", -1)
    _lies(house, alice, 1)
    assert _tick(house) == 0


@pytest.mark.django_db
def test_who_asks_is_measured_in_the_next_round_even_if_the_ring_was_lost(house: Round, alice: User) -> None:
    _lies(house, alice, 1)
    _tick(house)
    _lies(house, alice, 2)
    house.now += MINUTE
    assert _tick(house) == 0
    workspace_measure_ask(user=alice, now=house.now)
    house.now += MINUTE
    assert _tick(house) == 1
    assert WorkspaceUse.objects.get().size == 2 * GIB


@pytest.mark.django_db(transaction=True)
def test_a_lab_with_gpus_waits_while_the_workspace_is_over_and_starts_by_itself_when_it_is_not(
    house: Round, alice: User, root_admin: User, lab_of: Ask
) -> None:
    override_set(user=alice, values={"disk_gib": 50}, until=None, note="", actor=root_admin, now=house.now)
    _lies(house, alice, 55)
    _tick(house)
    running_before = lab_of(alice, name="cleaning")
    house.until(running_before, "running")
    lab = lab_of(alice, gpus=1, name="training")
    house.tick()
    [reason] = waits_of(user=alice, now=house.now)[lab.pk].reasons
    assert reason == "Your workspace holds 55 of your 50 GiB: delete 5 GiB first, in a lab without GPUs."
    assert Lab.objects.get(pk=lab.pk).state == "queued"
    _lies(house, alice, 49)
    _later(house, 10 * MINUTE)
    assert _tick(house) == 1
    house.until(lab, "running")


@pytest.mark.django_db(transaction=True)
def test_a_running_lab_with_gpus_goes_on_when_its_workspace_passes_the_limit(house: Round, alice: User, root_admin: User, lab_of: Ask, now: datetime) -> None:
    override_set(user=alice, values={"disk_gib": 50}, until=None, note="", actor=root_admin, now=now)
    lab = lab_of(alice, gpus=1)
    house.until(lab, "running")
    _lies(house, alice, 500)
    _later(house, 11 * MINUTE)
    _tick(house)
    for _ in range(5):
        _later(house, MINUTE)
        house.tick()
    row = Lab.objects.get(pk=lab.pk)
    assert (row.state, row.target, Reclaim.objects.exists()) == ("running", "running", False)


@pytest.mark.django_db(transaction=True)
def test_a_level_that_is_reached_is_written_into_the_terminals_of_the_owners_running_labs_once(
    house: Round, alice: User, root_admin: User, lab_of: Ask, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[str, str]] = []
    monkeypatch.setattr(storage, "lab_terminals_write", lambda *, hands, lab, words: written.append((lab.pk, words)))
    override_set(user=alice, values={"disk_gib": 50}, until=None, note="", actor=root_admin, now=now)
    lab = lab_of(alice)
    house.until(lab, "running")
    for gib in (10, 48, 49):
        _lies(house, alice, gib)
        _later(house, 11 * MINUTE)
        _tick(house)
    [(told, words)] = written
    assert (told, words.startswith("Your workspace holds 48 of your 50 GiB: 95% is used.")) == (lab.pk, True)


def test_names_of_workspaces_tell_whose_they_are_and_no_other_name_does() -> None:
    assert workspace_owner("abc", workspace_name("abc", 12)) == 12
    for name in ("gpulab-abd-ws-12", "gpulab-abc-ws-", "gpulab-abc-ws-012", "gpulab-abc-ws-x", "gpulab-abc-ws-1٣", "12"):
        assert workspace_owner("abc", name) is None


def test_counting_a_folder_is_what_du_says(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "file").write_bytes(b"x" * 100_000)
    (tmp_path / "deep" / "er" / "same").hardlink_to(tmp_path / "deep" / "file")
    with (tmp_path / "hollow").open("wb") as file:
        file.truncate(10**12)
    (tmp_path / "away").symlink_to("/usr")
    (tmp_path / "round").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    measured = folder_measure(tmp_path, 10)
    said = os.popen(f"du -sx --block-size=1 {tmp_path}").read().split()[0]
    assert (measured.size, measured.whole) == (int(said), True)
    assert measured.files == 8, "three folders, a file of two names, a hollow one, two links, a pipe"


def test_counting_ends_when_its_time_is_up_and_says_that_there_is_more(tmp_path: Path) -> None:
    for n in range(50):
        (tmp_path / str(n)).mkdir()
    began = time.monotonic()
    assert folder_measure(tmp_path, 0).whole is False
    assert time.monotonic() - began < 10


def test_a_folder_that_is_not_there_is_a_fault_in_words(tmp_path: Path) -> None:
    with pytest.raises(RuntimeFault) as caught:
        folder_measure(tmp_path / "nothing", 5)
    assert caught.value.words == "The workspace could not be measured."


def test_a_folder_swapped_for_a_link_while_it_is_counted_leads_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path("worker/runtimes").resolve()))
    walk = __import__("walk")
    mine, aside = tmp_path / "mine", tmp_path / "aside"
    (mine / "sub").mkdir(parents=True)
    aside.mkdir()
    (aside / "large").write_bytes(b"x" * 10**6)
    counting = walk.Walk(str(mine), 5)
    plain = counting._folder

    def swapping(path: str, listed: os.stat_result) -> None:
        if path.endswith("/sub"):
            (mine / "sub").rmdir()
            (mine / "sub").symlink_to(aside)
        plain(path, listed)

    counting._folder = swapping
    found = counting.run()
    assert found["size"] < 10**6
    assert found["whole"] is True
    sys.modules.pop("walk")


@pytest.mark.django_db(transaction=True)
def test_the_jupyter_of_a_running_lab_is_told_what_its_owner_holds_and_may_hold(house: Round, alice: User, root_admin: User, lab_of: Ask) -> None:
    lab = lab_of(alice)
    house.until(lab, "running")
    _lies(house, alice, 3)
    override_set(user=alice, values={"disk_gib": 2}, until=None, note="", actor=root_admin, now=house.now)
    _tick(house)
    told = house.runtime.rooms[f"gpulab-{lab.pk}-1"]
    assert (told.held, told.limit) == (3 * GIB, 2 * GIB)
    assert told.ask.endswith("/quota/")
