"""Moves of workspaces on record: who may ask, what waits meanwhile, what comes of it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from labs.fleet.models import Node
from labs.ledger.models import Event
from labs.lifecycle.homes import at_home
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_assign
from labs.lifecycle.relocations import homes_now, moves_ready, workspace_move, workspaces_move
from labs.lifecycle.waiting import snapshot_load
from labs.notices.models import Notice
from labs.people.errors import Refused
from labs.relocation import rules
from labs.relocation.models import Relocation
from labs.relocation.queries import moves_untidy
from labs.relocation.services import move_begin, move_cancel, move_copied, move_done, move_failed, move_progress, move_tidied
from labs.scheduler.plan import plan
from labs.scheduler.snapshot import Hold
from labs.storage.models import WorkspaceUse

pytestmark = pytest.mark.django_db


@pytest.fixture
def ask(n2, lives, node, alice, now) -> Any:
    """`ask()`: alice moves her workspace from n1 to n2."""

    def make(**more: Any) -> Relocation:
        asked = {"owner": alice, "source": node, "destination": n2, "stop_labs": False, "actor": alice, "now": now} | more
        return workspace_move(**asked)

    return make


def _reasons(lab: Lab, now: Any) -> str:
    return " ".join(plan(snapshot_load(now=now), now).waits[lab.pk].reasons)


def _through(move: Relocation, now: Any) -> None:
    tries = move_begin(move_id=move.pk, now=now)
    assert tries and move_copied(move_id=move.pk, tries=tries) and move_done(move_id=move.pk, now=now)


def test_labs_wait_meanwhile_and_run_there_afterwards(ask, lab_of, alice, now):
    lab, move = lab_of(alice), ask()
    assert "from node n1 to n2: it begins when" in _reasons(lab, now)
    assert not lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=[], now=now)
    assert move_begin(move_id=move.pk, now=now) == 1
    assert move_progress(move_id=move.pk, tries=1, done=62, total=100)
    assert "Your workspace is being moved from node n1 to n2: 62%." in _reasons(lab, now)
    assert move_copied(move_id=move.pk, tries=1)
    assert not lab_assign(lab_id=lab.pk, node_id="n2", gpu_uuids=[], now=now)
    assert move_done(move_id=move.pk, now=now) and not move_done(move_id=move.pk, now=now)
    assert [one.node_id for one in plan(snapshot_load(now=now), now).placements] == ["n2"]
    assert [home.pk for home in homes_now(user=alice)] == ["n2"]
    assert WorkspaceUse.objects.get(owner=alice).node_id == "n2"
    assert Notice.objects.filter(user=alice, kind="workspace").count() == 1


def test_the_place_stays_when_the_old_one_is_larger_for_a_while(ask, alice, node, now):
    _through(ask(), now)
    WorkspaceUse.objects.create(owner=alice, node=node, size=10**12, files=1, measured_at=now)
    assert [home.pk for home in homes_now(user=alice)] == ["n2"]


def test_a_second_wish_is_refused(ask):
    ask()
    with pytest.raises(Refused, match="moved already"):
        ask()
    assert Relocation.objects.count() == 1


def test_it_is_refused_under_a_lab_that_runs_or_waits_until_that_has_ended(ask, lab_of, alice, now):
    lab = lab_of(alice)
    assert lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=[], now=now)
    with pytest.raises(Refused, match=lab.name) as refused:
        ask()
    assert refused.value.field == "stop_labs"
    ask(stop_labs=True)
    lab.refresh_from_db()
    assert (lab.target, lab.reason_code) == ("stopped", "asked")
    assert moves_ready(now=now) == []
    Lab.objects.filter(pk=lab.pk).update(state="stopped")
    assert len(moves_ready(now=now)) == 1


def test_where_files_cannot_go_is_said(ask, node, n2, alice, now):
    for destination, state in ((node, "ready"), (n2, "draining"), (n2, "gone")):
        Node.objects.filter(pk="n2").update(state=state)
        with pytest.raises(Refused, match="does not take it now"):
            ask(destination=destination)
    Node.objects.filter(pk="n2").update(state="ready")
    with pytest.raises(Refused, match="is not on node n2"):
        ask(source=n2, destination=node)


def test_a_try_that_was_overtaken_says_nothing_any_more(ask, now):
    move = ask()
    assert (move_begin(move_id=move.pk, now=now), move_begin(move_id=move.pk, now=now)) == (1, 2)
    assert not move_progress(move_id=move.pk, tries=1, done=1, total=2)
    assert not move_copied(move_id=move.pk, tries=1)
    assert move_copied(move_id=move.pk, tries=2)
    assert move_begin(move_id=move.pk, now=now) is None


def test_it_can_be_called_off_until_it_lands(ask, lab_of, alice, now):
    lab, move = lab_of(alice), ask()
    move_begin(move_id=move.pk, now=now)
    move_cancel(move=move, actor=alice, now=now)
    assert [one.node_id for one in plan(snapshot_load(now=now), now).placements] == ["n1"]
    assert moves_untidy(now=now) == [move]
    move_tidied(move_id=move.pk, now=now)
    assert moves_untidy(now=now) == []
    again = ask()
    move_copied(move_id=again.pk, tries=move_begin(move_id=again.pk, now=now) or 0)
    with pytest.raises(Refused, match="too late"):
        move_cancel(move=again, actor=alice, now=now)
    assert lab.state == "queued"


def test_a_fault_is_tried_again_and_then_given_up_with_the_files_where_they_were(ask, alice, now):
    move = ask()
    for number in range(1, rules.MOST_TRIES):
        move_begin(move_id=move.pk, now=now)
        assert not move_failed(move_id=move.pk, words="The link broke.", final=False, now=now)
        assert moves_ready(now=now) == [] and moves_ready(now=now + rules.rest(number)) == [move]
    move_begin(move_id=move.pk, now=now)
    assert move_failed(move_id=move.pk, words="The link broke.", final=False, now=now)
    assert [home.pk for home in homes_now(user=alice)] == ["n1"]
    assert "was not moved" in Notice.objects.get(user=alice, kind="workspace").subject


def test_what_lands_is_not_given_up_for_a_fault(ask, now):
    move = ask()
    move_copied(move_id=move.pk, tries=move_begin(move_id=move.pk, now=now) or 0)
    assert not move_failed(move_id=move.pk, words="The link broke.", final=True, now=now)
    assert move_failed(move_id=move.pk, words="Node n2 was given up.", final=True, landing=True, now=now)


def test_the_copy_that_stayed_is_removed_a_day_later(ask, now):
    move = ask()
    _through(move, now)
    assert moves_untidy(now=now + rules.KEPT_FOR - timedelta(minutes=1)) == []
    assert moves_untidy(now=now + rules.KEPT_FOR) == [move]


def test_an_administrator_empties_a_node_and_people_are_told(ask, lives, lab_of, alice, bob, node, n2, root_admin, now):
    lab = lab_of(alice)
    assert lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=[], now=now)
    WorkspaceUse.objects.create(owner=bob, node=node, size=5, files=1, measured_at=now)
    assert workspaces_move(source=node, destination=n2, actor=root_admin, now=now) == 2
    assert workspaces_move(source=node, destination=n2, actor=root_admin, now=now) == 0
    assert [move.owner_id for move in moves_ready(now=now)] == [bob.pk]
    lab.refresh_from_db()
    assert lab.target == "running"
    assert Notice.objects.filter(kind="workspace").count() == 2
    assert Event.objects.filter(kind="workspace.move", actor_id=root_admin.pk).count() == 2


@pytest.mark.parametrize(("room", "waits"), [("", ""), ("n1", ""), ("n2", "move your workspace there")])
def test_labs_of_classes_run_where_the_files_are(n2, lives, lab_of, alice, now, room, waits):
    lab = lab_of(alice)
    snapshot = snapshot_load(now=now)
    hold = Hold(id="class-1", words="Vision", start=now, until=now + timedelta(hours=2), node_id=room, gpus=1)
    loose = replace(snapshot.waiting[0], on_node="", pinned="", hold_id="class-1")
    [bound] = at_home(labs=[loose], nodes=snapshot.nodes, holds=[hold])
    assert lab.pk == bound.lab_id and waits in " ".join(bound.blocked)
    assert bool(bound.blocked) == bool(waits) and bound.on_node == ("" if waits else "n1")
