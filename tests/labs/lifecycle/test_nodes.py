"""Nodes that are drained, fall silent and are given up: what becomes of the labs on them."""

from datetime import timedelta
from typing import Any

import pytest

from labs.fleet.models import Node
from labs.fleet.queries import gpus_all, nodes_all, nodes_silent
from labs.fleet.services import node_cordon, node_report, node_uncordon, node_unknown
from labs.ledger.models import Event
from labs.lifecycle.models import Lab, Lease
from labs.lifecycle.moves import lab_assign, lab_ready
from labs.lifecycle.nodes import drains_settle, node_drain, node_drain_cancel, node_gone
from labs.lifecycle.occupancy import nodes_view
from labs.lifecycle.repairs import lab_overdue
from labs.notices.models import Notice
from labs.people.errors import Refused

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def running(lab_of: Any, alice: Any, node: Any, now: Any) -> Lab:
    lab = lab_of(alice, gpus=1)
    assert lab_assign(lab_id=lab.pk, node_id=node.pk, gpu_uuids=["GPU-00000000-test"], now=now)
    assert lab_ready(lab_id=lab.pk, attempt=1, verified={}, not_held=[], now=now)
    return Lab.objects.get(pk=lab.pk)


def _node(node: Node) -> Node:
    return Node.objects.get(pk=node.pk)


def test_people_on_a_drained_node_are_told_why_and_until_when(running, node, root_admin, alice, now):
    assert node_drain(node=node, until=now + HOUR, words="A fan is replaced.", actor=root_admin, now=now) == 1
    lab = Lab.objects.get(pk=running.pk)
    assert "A fan is replaced." in lab.notices[-1]["words"] and "Save your work" in lab.notices[-1]["words"]
    assert Notice.objects.get(user=alice, kind="drained").until == now + HOUR
    assert lab.state == "running"


def test_a_drained_node_takes_no_new_lab(node, root_admin, now):
    node_drain(node=node, until=now + HOUR, words="", actor=root_admin, now=now)
    assert "Draining" in nodes_view()[0].closed


def test_a_later_deadline_replaces_the_first_one_on_the_labs_page(running, node, root_admin, now):
    for hours in (1, 2):
        node_drain(node=_node(node), until=now + hours * HOUR, words="", actor=root_admin, now=now)
    assert [one["code"] for one in Lab.objects.get(pk=running.pk).notices] == ["drain"]


def test_a_drain_that_is_called_off_leaves_the_lab_and_says_so(running, node, root_admin, now):
    node_drain(node=node, until=now + HOUR, words="", actor=root_admin, now=now)
    assert node_drain_cancel(node=node, actor=root_admin, now=now)
    assert not node_drain_cancel(node=node, actor=root_admin, now=now)
    assert [one["code"] for one in Lab.objects.get(pk=running.pk).notices] == ["drain_off"]
    assert (_node(node).state, _node(node).drain_until) == ("ready", None)


@pytest.mark.parametrize("hours", [-1, 0, 15 * 24])
def test_a_deadline_that_cannot_be_is_refused(node, root_admin, now, hours):
    with pytest.raises(Refused) as refused:
        node_drain(node=node, until=now + hours * HOUR, words="", actor=root_admin, now=now)
    assert refused.value.field == "until"


def test_an_empty_drained_node_is_cordoned_and_administrators_hear_of_it(node, root_admin, now):
    node_drain(node=node, until=now + HOUR, words="", actor=root_admin, now=now)
    assert drains_settle(now=now) == 1
    assert (_node(node).state, _node(node).drain_until) == ("cordoned", None)
    assert Notice.objects.filter(user=root_admin, subject__contains="is empty").exists()
    assert drains_settle(now=now) == 0


def test_a_node_with_a_lab_on_it_stays_drained(running, node, root_admin, now):
    node_drain(node=node, until=now + HOUR, words="", actor=root_admin, now=now)
    assert drains_settle(now=now) == 0


def test_a_silent_node_is_again_what_it_was_when_it_is_heard(node, root_admin, now):
    node_cordon(node=node, actor=root_admin, now=now)
    late = now + timedelta(seconds=31)
    assert nodes_silent(now=late) == [node.pk]
    assert node_unknown(node_id=node.pk, now=late)
    assert not node_unknown(node_id=node.pk, now=late)
    node_report(node_id=node.pk, now=late)
    assert _node(node).state == "cordoned"


def test_what_is_decided_of_a_silent_node_holds_when_it_is_heard(node, root_admin, now):
    node_unknown(node_id=node.pk, now=now)
    node_drain(node=_node(node), until=now + HOUR, words="", actor=root_admin, now=now)
    assert _node(node).state == "unknown"
    node_report(node_id=node.pk, now=now)
    assert _node(node).state == "draining"


def test_a_lab_on_a_silent_node_keeps_its_card_and_its_quota(running, node, now):
    node_unknown(node_id=node.pk, now=now)
    assert Lease.objects.filter(lab=running, closed_at=None).exists()
    assert Lab.objects.get(pk=running.pk).node_id == node.pk
    assert nodes_view()[0].closed


def test_a_lab_that_was_stopped_there_holds_its_card_until_the_node_says_that_it_is_gone(running, node, now):
    node_unknown(node_id=node.pk, now=now)
    Lab.objects.filter(pk=running.pk).update(state="stopping", target="stopped", deadline_at=now - HOUR)
    lab_overdue(lab=Lab.objects.get(pk=running.pk), now=now)
    assert Lease.objects.filter(lab=running, closed_at=None).exists()


def test_a_node_that_answers_is_not_given_up(running, node, root_admin, now):
    with pytest.raises(Refused, match="still answers"):
        node_gone(node=node, actor=root_admin, now=now)


def test_a_node_that_is_given_up_frees_what_its_labs_held(running, node, root_admin, alice, now):
    node_unknown(node_id=node.pk, now=now)
    assert node_gone(node=node, actor=root_admin, now=now) == 1
    lab = Lab.objects.get(pk=running.pk)
    assert (lab.state, lab.reason_code) == ("failed", "node_lost")
    assert not Lease.objects.filter(closed_at=None).exists()
    assert Notice.objects.filter(user=alice, kind="ended").exists()
    assert not nodes_all().exists() and not gpus_all().exists()
    assert node_gone(node=_node(node), actor=root_admin, now=now) == 0


def test_a_node_that_was_given_up_does_not_come_back_by_itself(node, root_admin, now):
    node_unknown(node_id=node.pk, now=now)
    node_gone(node=node, actor=root_admin, now=now)
    node_report(node_id=node.pk, now=now)
    assert _node(node).state == "gone"
    node_uncordon(node=_node(node), actor=root_admin, now=now)
    assert _node(node).state == "unknown"
    node_report(node_id=node.pk, now=now)
    assert _node(node).state == "ready"


def test_every_change_of_a_node_is_in_the_audit_log(node, root_admin, now):
    node_drain(node=node, until=now + HOUR, words="", actor=root_admin, now=now)
    node_drain_cancel(node=node, actor=root_admin, now=now)
    kinds = set(Event.objects.filter(subject=f"node:{node.pk}").values_list("kind", flat=True))
    assert kinds == {"node.draining", "node.ready"}
