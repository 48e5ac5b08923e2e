"""Labs that ask before they start: what is held, for whom, for how long, and what becomes of it."""

from datetime import timedelta
from typing import Any

import pytest

from labs.ledger.models import Event
from labs.lifecycle import states
from labs.lifecycle.claims import lab_ask_first_set, lab_claim, offers_lapse
from labs.lifecycle.holdings import held_by
from labs.lifecycle.models import Lab, Lease
from labs.lifecycle.moves import lab_assign
from labs.lifecycle.queueing import queue_view
from labs.lifecycle.services import lab_stop
from labs.notices.models import Notice
from labs.people.errors import Refused
from tests.support.queue import tick

TEN = timedelta(minutes=10)


def _lab(lab: Any) -> Lab:
    return Lab.objects.get(pk=lab.pk)


@pytest.fixture
def offered(lab_of: Any, alice: Any, node: Any, now: Any) -> Lab:
    """A lab of alice's whose turn has come: two cards are held for her."""
    lab = lab_of(alice, gpus=2, ask_first=True)
    tick(now)
    return _lab(lab)


def test_the_turn_of_a_lab_that_asks_first_holds_its_cards_and_starts_nothing(offered: Lab, alice: Any, now: Any) -> None:
    assert (offered.state, offered.node_id, offered.deadline_at) == (states.OFFERED, "n1", now + TEN)
    assert Lease.objects.filter(lab=offered, closed_at=None).count() == 2
    assert held_by(user=alice, now=now).gpus == 2
    assert not queue_view(now=now)


def test_its_owner_is_told_with_a_link_that_is_of_no_use_afterwards(offered: Lab, alice: Any, now: Any) -> None:
    notice = Notice.objects.get(user=alice, kind="claim")
    assert notice.url == f"/labs/{offered.pk}/" and notice.until == now + TEN
    assert "2 GPUs on n1 are held for your lab" in notice.words


def test_nobody_else_gets_the_held_cards(offered: Lab, charlie: Any, lab_of: Any, now: Any) -> None:
    other = lab_of(charlie, gpus=1)
    tick(now + timedelta(minutes=1))
    assert _lab(other).state == states.QUEUED
    held = list(Lease.objects.filter(lab=offered).values_list("gpu_id", flat=True))
    assert not lab_assign(lab_id=other.pk, node_id="n1", gpu_uuids=held[:1], now=now)


def test_what_is_held_for_a_disabled_person_is_free_in_the_next_round(offered: Lab, alice: Any, now: Any) -> None:
    alice.is_active = False
    alice.save(update_fields=["is_active"])
    tick(now + timedelta(seconds=5))
    assert (_lab(offered).state, _lab(offered).reason_code) == (states.STOPPED, "person_disabled")
    assert not Lease.objects.filter(lab=offered, closed_at=None).exists()


def test_claiming_starts_it_with_the_cards_that_were_held(offered: Lab, alice: Any, now: Any) -> None:
    assert lab_claim(lab=offered, actor=alice, now=now + timedelta(minutes=9))
    assert _lab(offered).state == states.STARTING
    assert Lease.objects.filter(lab=offered, closed_at=None, attempt=1).count() == 2
    assert Event.objects.filter(subject=offered.subject, kind="lab.starting", actor_id=alice.pk).exists()


def test_a_second_claim_changes_nothing(offered: Lab, alice: Any, now: Any) -> None:
    assert lab_claim(lab=offered, actor=alice, now=now)
    events = Event.objects.count()
    assert not lab_claim(lab=offered, actor=alice, now=now)
    assert Event.objects.count() == events


def test_what_is_not_claimed_in_ten_minutes_goes_to_the_next(offered: Lab, charlie: Any, lab_of: Any, now: Any) -> None:
    other = lab_of(charlie, gpus=2)
    tick(now + TEN)
    assert (_lab(offered).state, _lab(offered).reason_code) == (states.STOPPED, "not_claimed")
    assert _lab(other).state == states.STARTING
    assert not Lease.objects.filter(lab=offered, closed_at=None).exists()


def test_a_claim_that_comes_too_late_is_told_so(offered: Lab, alice: Any, now: Any) -> None:
    with pytest.raises(Refused, match="ten minutes are over"):
        lab_claim(lab=offered, actor=alice, now=now + TEN)
    offers_lapse(now=now + TEN)
    with pytest.raises(Refused, match="went to the next"):
        lab_claim(lab=offered, actor=alice, now=now + TEN)
    assert _lab(offered).state == states.STOPPED


def test_a_node_that_goes_away_gives_the_place_in_the_queue_back(offered: Lab, node: Any, now: Any) -> None:
    type(node).objects.filter(pk=node.pk).update(state="cordoned")
    assert offers_lapse(now=now) == 1
    lab = _lab(offered)
    assert (lab.state, lab.node_id, lab.requested_at) == (states.QUEUED, None, offered.requested_at)
    assert not Lease.objects.filter(lab=lab, closed_at=None).exists()


def test_a_held_card_that_falls_ill_is_not_handed_over(offered: Lab, node: Any, now: Any) -> None:
    node.gpus.filter(index=1).update(health="unknown")
    assert offers_lapse(now=now) == 1 and _lab(offered).state == states.QUEUED


def test_leaving_the_queue_frees_what_is_held_at_once(offered: Lab, alice: Any, now: Any) -> None:
    assert lab_stop(lab=offered, actor=alice, now=now)
    assert (_lab(offered).state, _lab(offered).reason_code) == (states.STOPPED, "cancelled")
    assert not Lease.objects.filter(lab=offered, closed_at=None).exists()


def test_a_queued_lab_can_be_told_to_ask_and_to_start_by_itself_after_all(lab_of: Any, alice: Any, now: Any) -> None:
    lab = lab_of(alice)
    assert lab_ask_first_set(lab=lab, ask_first=True, actor=alice, now=now)
    assert not lab_ask_first_set(lab=lab, ask_first=True, actor=alice, now=now)
    assert lab_ask_first_set(lab=lab, ask_first=False, actor=alice, now=now)
    tick(now)
    assert _lab(lab).state == states.STARTING
    with pytest.raises(Refused, match="does not wait"):
        lab_ask_first_set(lab=lab, ask_first=True, actor=alice, now=now)


def test_an_offer_counts_against_the_quota_like_a_lab(lab_of: Any, alice: Any, now: Any, node: Any) -> None:
    for index in range(2, 8):
        node.gpus.create(uuid=f"GPU-0000000{index}-test", index=index, model="NVIDIA H200", memory_mib=143771, compute_capability="9.0")
    first = lab_of(alice, gpus=4, ask_first=True)
    tick(now)
    assert _lab(first).state == states.OFFERED
    second = lab_of(alice, gpus=1)
    tick(now)
    assert _lab(second).state == states.QUEUED  # alice's cap is 4
