"""Writing down what workspaces hold: sums, warnings, and being asked to measure again."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from labs.fleet.models import Node
from labs.ledger.models import Event
from labs.lifecycle.allowances import allowance_of
from labs.lifecycle.holdings import held_by
from labs.notices.models import Notice
from labs.people.errors import Refused
from labs.people.models import Group, User
from labs.policy.services import group_limits_set, override_set
from labs.storage.models import WorkspaceUse
from labs.storage.queries import disk_held
from labs.storage.rules import GIB
from labs.storage.services import workspace_measure_ask, workspace_record, workspaces_forget

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


@pytest.fixture
def fifty(bob: User, root_admin: User, now: datetime) -> User:
    """bob may hold 50 GiB."""
    override_set(user=bob, values={"disk_gib": 50}, until=None, note="", actor=root_admin, now=now)
    return bob


def _holds(user: User, gib: float, now: datetime, node: str = "n1", *, whole: bool = True) -> None:
    workspace_record(owner_id=user.pk, node_id=node, size=int(gib * GIB), files=7, whole=whole, now=now)


def _told(user: User) -> list[str]:
    return list(Notice.objects.filter(user=user, kind="disk_mine").order_by("pk").values_list("subject", flat=True))


def test_what_a_person_holds_is_the_sum_of_all_nodes_and_as_old_as_its_oldest_part(node: Node, alice: User, bob: User, now: datetime) -> None:
    Node.objects.create(pk="n2", name="n2", runtime="docker", heartbeat_at=now)
    _holds(alice, 2, now)
    _holds(alice, 3, now + MINUTE)
    _holds(alice, 1.5, now + 2 * MINUTE, "n2")
    [disk] = disk_held(user_ids=[alice.pk, bob.pk]).values()
    assert (disk.gib, disk.measured_at) == (4.5, now + MINUTE)
    held = held_by(user=alice, now=now)
    assert (held.disk_gib, held.disk_at) == (4.5, now + MINUTE)
    assert (held_by(user=bob, now=now).disk_gib, held_by(user=bob, now=now).disk_at) == (0, None)


def test_a_group_holds_what_its_members_workspaces_hold(
    node: Node, alice: User, bob: User, charlie: User, team: Group, root_admin: User, now: datetime
) -> None:
    group_limits_set(group=team, values={"disk_gib": 10}, actor=root_admin, now=now)
    for user, gib in ((alice, 4), (bob, 3), (charlie, 100)):
        _holds(user, gib, now)
    [share] = allowance_of(user=bob, now=now).shares
    assert (share.held.disk_gib, share.caps.disk_gib) == (7, 10)


def test_its_owner_is_told_once_of_each_level_and_again_only_after_it_was_emptied(node: Node, fifty: User, now: datetime) -> None:
    for gib in (30, 40, 41, 39, 40, 47.5, 49, 51, 49, 52, 60):
        _holds(fifty, gib, now)
    assert _told(fifty) == [
        "Your workspace holds 40 of your 50 GiB: 80% is used",
        "Your workspace holds 47.5 of your 50 GiB: 95% is used",
        "Your workspace holds 51 of your 50 GiB: it is over",
    ]
    _holds(fifty, 5, now)
    _holds(fifty, 49, now)
    assert _told(fifty)[3:] == ["Your workspace holds 49 of your 50 GiB: 95% is used"]
    assert Event.objects.filter(kind="disk.level", subject=f"person:{fifty.pk}").count() == 4


def test_the_message_says_how_much_to_delete_and_where_to_see_it(node: Node, fifty: User, now: datetime) -> None:
    _holds(fifty, 55, now)
    notice = Notice.objects.get(user=fifty, kind="disk_mine")
    assert "delete 5 GiB first, in a lab without GPUs. New labs with GPUs wait until then; labs that run go on." in notice.words
    assert notice.url == "/quota/"


def test_a_wider_limit_is_the_one_that_is_warned_of(node: Node, fifty: User, root_admin: User, now: datetime) -> None:
    _holds(fifty, 55, now)
    override_set(user=fifty, values={"disk_gib": 100}, until=None, note="", actor=root_admin, now=now)
    _holds(fifty, 55, now)
    _holds(fifty, 85, now)
    assert len(_told(fifty)) == 2


def test_somebody_who_left_is_written_down_nowhere(node: Node, now: datetime) -> None:
    workspace_record(owner_id=10**6, node_id="n1", size=1, files=1, whole=True, now=now)
    assert not WorkspaceUse.objects.exists()


def test_a_workspace_that_is_gone_is_forgotten_and_others_are_not(node: Node, alice: User, bob: User, now: datetime) -> None:
    for user in (alice, bob):
        _holds(user, 1, now)
    assert workspaces_forget(node_id="n1", kept=[bob.pk]) == 1
    assert list(WorkspaceUse.objects.values_list("owner_id", flat=True)) == [bob.pk]


def test_asking_to_measure_rings_the_nodes_that_hold_it_and_is_not_lost_when_nobody_hears(
    node: Node, alice: User, bob: User, now: datetime, monkeypatch: Any
) -> None:
    rung: list[Any] = []
    monkeypatch.setattr("labs.storage.services.ring", lambda task, **ids: rung.append((task, ids)))
    _holds(alice, 1, now - MINUTE)
    _holds(bob, 1, now - MINUTE)
    rung.clear()
    workspace_measure_ask(user=alice, now=now)
    assert rung == [("worker.storage", {"queue": "node.n1", "owner_id": alice.pk})]
    assert dict(WorkspaceUse.objects.values_list("owner_id", "asked_at")) == {alice.pk: now, bob.pk: None}


def test_asking_is_refused_in_words_right_after_it_was_measured_and_before_there_is_a_workspace(node: Node, alice: User, now: datetime) -> None:
    with pytest.raises(Refused, match="made with your first lab"):
        workspace_measure_ask(user=alice, now=now)
    _holds(alice, 1, now)
    with pytest.raises(Refused, match="few seconds ago"):
        workspace_measure_ask(user=alice, now=now + timedelta(seconds=19))
    workspace_measure_ask(user=alice, now=now + timedelta(seconds=20))
