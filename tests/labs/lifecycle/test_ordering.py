"""An administrator's hand in the queue."""

from typing import Any

import pytest

from labs.ledger.models import Event
from labs.lifecycle.models import Lab, QueueMove
from labs.lifecycle.ordering import queue_move, queue_move_undo
from labs.lifecycle.queueing import queue_view
from labs.people.errors import Refused
from tests.support.queue import run, tick


@pytest.fixture
def three(lab_of: Any, alice: Any, bob: Any, charlie: Any, root_admin: Any, now: Any) -> list[Lab]:
    """Three labs that wait for the two cards of a fourth."""
    run(lab_of(root_admin, gpus=2), ["GPU-00000000-test", "GPU-00000001-test"], now)
    return [lab_of(person, gpus=1) for person in (alice, bob, charlie)]


def _order(now: Any) -> list[str]:
    return [entry.lab.pk for entry in queue_view(now=now)]


def test_a_lab_that_is_moved_to_the_front_is_first_and_says_why(three: list[Lab], root_admin: Any, now: Any) -> None:
    before = _order(now)
    last = Lab.objects.get(pk=before[-1])
    queue_move(lab=last, first=True, reason=" Paper deadline ", actor=root_admin, now=now)
    entry = queue_view(now=now)[0]
    assert entry.lab == last and entry.move is not None and entry.move.reason == "Paper deadline"
    event = Event.objects.get(kind="queue.moved")
    assert event.words == "Moved to the front of the queue by an administrator: Paper deadline" and event.actor_id == root_admin.pk


def test_a_lab_that_is_moved_to_the_end_is_last(three: list[Lab], root_admin: Any, now: Any) -> None:
    first = Lab.objects.get(pk=_order(now)[0])
    queue_move(lab=first, first=False, reason="Can wait", actor=root_admin, now=now)
    assert _order(now)[-1] == first.pk


def test_a_later_move_goes_before_an_earlier_one(three: list[Lab], root_admin: Any, now: Any) -> None:
    for lab in three[:2]:
        queue_move(lab=lab, first=True, reason="Urgent", actor=root_admin, now=now)
    assert _order(now)[:2] == [three[1].pk, three[0].pk]


def test_undoing_gives_the_own_place_back_and_is_written_down(three: list[Lab], root_admin: Any, now: Any) -> None:
    before = _order(now)
    lab = Lab.objects.get(pk=before[-1])
    queue_move(lab=lab, first=True, reason="Urgent", actor=root_admin, now=now)
    assert queue_move_undo(lab=lab, actor=root_admin, now=now)
    assert not queue_move_undo(lab=lab, actor=root_admin, now=now)
    assert _order(now) == before and Event.objects.filter(kind="queue.moved").count() == 2


def test_a_second_move_replaces_the_first(three: list[Lab], root_admin: Any, now: Any) -> None:
    for first in (True, False):
        queue_move(lab=three[0], first=first, reason="Changed my mind", actor=root_admin, now=now)
    assert QueueMove.objects.filter(undone_at=None).count() == 1 and _order(now)[-1] == three[0].pk


def test_a_move_needs_a_reason(three: list[Lab], root_admin: Any, now: Any) -> None:
    with pytest.raises(Refused, match="Write why"):
        queue_move(lab=three[0], first=True, reason="  ", actor=root_admin, now=now)


def test_what_does_not_wait_is_not_moved(lab_of: Any, alice: Any, root_admin: Any, now: Any) -> None:
    lab = lab_of(alice)
    tick(now)
    with pytest.raises(Refused, match="does not wait"):
        queue_move(lab=lab, first=True, reason="Urgent", actor=root_admin, now=now)
