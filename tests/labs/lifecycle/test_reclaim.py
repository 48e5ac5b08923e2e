"""Taking cards back: a notice, five minutes, the end, and the cards for nobody but the lab that they were taken back for."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from labs.fleet.models import Gpu
from labs.ledger.models import Event
from labs.lifecycle import states
from labs.lifecycle.guarantees import Holding, beyond_guarantee
from labs.lifecycle.models import Keep, Lab, Lease, Reclaim
from labs.lifecycle.moves import lab_assign, lab_gone, lab_ready
from labs.lifecycle.occupancy import nodes_view
from labs.lifecycle.overquota import over_quota_settle
from labs.lifecycle.reclaims import lab_requeue_set, reclaim_begin, reclaim_of, reclaims_review, reclaims_to_tell
from labs.lifecycle.services import lab_stop, lab_take_gpu
from labs.lifecycle.waiting import snapshot_load
from labs.notices.models import Notice
from labs.people.services import person_disable
from labs.policy.services import override_set

pytestmark = pytest.mark.django_db
CARDS = [f"GPU-0000000{n}-test" for n in range(4)]
NOTICE, HOUR = timedelta(minutes=5), timedelta(hours=1)


@pytest.fixture
def four(node: Any) -> Any:
    """A node with four cards."""
    Gpu.objects.bulk_create(Gpu(uuid=CARDS[n], node=node, index=n, model="NVIDIA H200", memory_mib=143771) for n in (2, 3))
    return node


def _run(lab: Lab, now: Any, *cards: str) -> Lab:
    assert lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=cards, now=now)
    assert lab_ready(lab_id=lab.pk, attempt=lab.attempt, verified={}, not_held=[], now=now)
    return Lab.objects.get(pk=lab.pk)


@pytest.fixture
def taken(four: Any, lab_of: Any, alice: Any, charlie: Any, now: Any) -> tuple[Lab, Lab]:
    """alice runs two labs of two cards each, the younger one over quota; charlie asks for one card."""
    _run(lab_of(alice, gpus=2, hours=8), now - 2 * HOUR, *CARDS[:2])
    over = _run(lab_of(alice, gpus=2, hours=8), now - HOUR, *CARDS[2:])
    asker = lab_of(charlie, gpus=1)
    assert reclaim_begin(lab_id=over.pk, taken_for=asker.pk, now=now)
    return Lab.objects.get(pk=over.pk), asker


def _end(lab: Lab, now: Any) -> Lab:
    assert lab_gone(lab_id=lab.pk, now=now)
    return Lab.objects.get(pk=lab.pk)


# ------------------------------------------------------------------ over quota


def _holding(name: str, share: float, at: Any, over: bool = False) -> Holding:
    return Holding(name, share, at, over)


def test_what_came_first_is_inside_and_what_does_not_fit_beside_it_is_beyond(now: Any) -> None:
    rows = [_holding("young", 1, now), _holding("old", 1, now - HOUR), _holding("large", 2, now - HOUR / 2)]
    assert beyond_guarantee(rows, 2) == {"large"}


def test_who_is_inside_stays_inside_when_an_older_one_beyond_would_fit_now(now: Any) -> None:
    rows = [_holding("old", 2, now - HOUR, over=True), _holding("young", 1, now)]
    assert beyond_guarantee(rows, 2) == {"old"}


def test_a_smaller_guarantee_puts_the_youngest_beyond(now: Any) -> None:
    rows = [_holding("old", 1, now - HOUR), _holding("young", 1, now)]
    assert beyond_guarantee(rows, 1) == {"young"} and beyond_guarantee(rows, 2) == frozenset() and beyond_guarantee(rows, 0) == {"old", "young"}


def test_seven_sevenths_are_one_card(now: Any) -> None:
    assert not beyond_guarantee([_holding(str(n), 1 / 7, now) for n in range(7)], 1)


def test_a_lab_above_the_guarantee_is_marked_and_says_so(four: Any, lab_of: Any, alice: Any, now: Any) -> None:
    inside, over = _run(lab_of(alice, gpus=2), now, *CARDS[:2]), _run(lab_of(alice, gpus=1), now, CARDS[2])
    assert (inside.over_quota, over.over_quota) == (False, True)
    assert "It runs over quota" in Event.objects.get(subject=over.subject, kind="lab.starting").words


def test_nothing_passes_the_cap(four: Any, lab_of: Any, bob: Any, now: Any) -> None:
    _run(lab_of(bob, gpus=1), now, CARDS[0])
    assert not lab_assign(lab_id=lab_of(bob, gpus=1).pk, node_id="n1", gpu_uuids=[CARDS[1]], now=now)


def test_who_does_not_borrow_waits_for_the_guarantee(four: Any, lab_of: Any, alice: Any, now: Any) -> None:
    _run(lab_of(alice, gpus=2), now, *CARDS[:2])
    proud = lab_of(alice, gpus=1, may_borrow=False)
    assert not lab_assign(lab_id=proud.pk, node_id="n1", gpu_uuids=[CARDS[2]], now=now)


def test_when_an_older_lab_ends_the_younger_one_comes_inside(four: Any, lab_of: Any, alice: Any, now: Any) -> None:
    old, young = _run(lab_of(alice, gpus=2), now, *CARDS[:2]), _run(lab_of(alice, gpus=2), now, *CARDS[2:])
    lab_stop(lab=old, actor=alice, now=now)
    assert over_quota_settle(now=now) == 0, "its cards are held until the engine confirms"
    _end(old, now)
    assert over_quota_settle(now=now) == 1 and over_quota_settle(now=now) == 0
    assert not Lab.objects.get(pk=young.pk).over_quota
    assert "inside" in Event.objects.get(subject=young.subject, kind="lab.over_quota").words


def test_a_guarantee_that_shrinks_makes_the_youngest_reclaimable_and_kills_nothing(four: Any, lab_of: Any, alice: Any, root_admin: Any, now: Any) -> None:
    old, young = _run(lab_of(alice, gpus=1), now - HOUR, CARDS[0]), _run(lab_of(alice, gpus=1), now, CARDS[1])
    override_set(user=alice, values={"gpus": 1}, until=None, note="", actor=root_admin, now=now)
    over_quota_settle(now=now)
    assert [Lab.objects.get(pk=lab.pk).over_quota for lab in (old, young)] == [False, True]
    assert Lab.objects.get(pk=young.pk).state == "running"


def test_taking_cards_above_the_guarantee_marks_the_next_attempt(four: Any, lab_of: Any, alice: Any, now: Any) -> None:
    lab = _run(lab_of(alice), now)
    lab_take_gpu(lab=lab, gpus=3, gpu_model="", actor=alice, now=now)
    assert lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=CARDS[:3], now=now)
    assert Lab.objects.get(pk=lab.pk).over_quota


# ------------------------------------------------------------------ notice


def test_a_notice_is_on_the_page_in_the_mail_in_the_books_and_for_the_hands_to_tell(taken: Any, alice: Any, now: Any) -> None:
    over, asker = taken
    row = reclaim_of(lab=over)
    assert row is not None and (row.ends_at, row.taken_for_id) == (now + NOTICE, asker.pk)
    assert over.notices[-1]["code"] == "reclaim" and f"stopped at {row.ends_at:%H:%M}" in over.notices[-1]["words"]
    assert (over.state, over.target) == ("running", "running")
    assert Notice.objects.get(user=alice, kind="reclaim").until == row.ends_at
    assert [one.lab_id for one in reclaims_to_tell(node_id="n1")] == [over.pk] and not reclaims_to_tell(node_id="n2")
    assert Event.objects.filter(subject=over.subject, kind="lab.notice.reclaim").count() == 1


def test_nobody_reads_for_whom_the_cards_are(taken: Any) -> None:
    over, asker = taken
    told = over.notices[-1]["words"] + Notice.objects.get(kind="reclaim").words
    assert "charlie" not in told.lower() and asker.pk not in told


def test_a_second_notice_for_the_same_lab_is_none(taken: Any, lab_of: Any, bob: Any, now: Any) -> None:
    over, asker = taken
    assert not reclaim_begin(lab_id=over.pk, taken_for=asker.pk, now=now)
    assert not reclaim_begin(lab_id=over.pk, taken_for=lab_of(bob, gpus=1).pk, now=now)
    assert (Reclaim.objects.count(), Notice.objects.filter(kind="reclaim").count(), Keep.objects.count()) == (1, 1, 2)
    with pytest.raises(IntegrityError), transaction.atomic():
        Reclaim.objects.create(lab=over, attempt=1, taken_for=asker, noticed_at=now, ends_at=now)


def test_a_lab_inside_its_guarantee_is_never_taken(four: Any, lab_of: Any, alice: Any, charlie: Any, now: Any) -> None:
    inside, asker = _run(lab_of(alice, gpus=2), now, *CARDS[:2]), lab_of(charlie, gpus=4)
    assert not reclaim_begin(lab_id=inside.pk, taken_for=asker.pk, now=now) and not Reclaim.objects.exists()


def test_a_budget_that_ran_out_makes_a_lab_reclaimable_and_does_not_end_it(four: Any, lab_of: Any, bob: Any, charlie: Any, now: Any) -> None:
    lab, asker = _run(lab_of(bob, gpus=1, hours=12), now - 41 * HOUR, CARDS[0]), lab_of(charlie, gpus=1)
    [running] = snapshot_load(now=now).running
    assert (running.over_budget, running.over_quota, lab.state) == (True, False, "running")
    assert reclaim_begin(lab_id=lab.pk, taken_for=asker.pk, now=now)


def test_a_lab_that_ends_already_or_an_asker_that_left_makes_no_notice(four: Any, lab_of: Any, alice: Any, charlie: Any, now: Any) -> None:
    _run(lab_of(alice, gpus=2), now, *CARDS[:2])
    over, asker = _run(lab_of(alice, gpus=2), now, *CARDS[2:]), lab_of(charlie, gpus=1)
    lab_stop(lab=asker, actor=charlie, now=now)
    assert not reclaim_begin(lab_id=over.pk, taken_for=asker.pk, now=now)
    lab_stop(lab=over, actor=alice, now=now)
    assert not reclaim_begin(lab_id=over.pk, taken_for=lab_of(charlie, gpus=1).pk, now=now)
    assert not Keep.objects.exists()


# ------------------------------------------------------------------ the end, and the cards


def test_after_the_notice_the_lab_ends_for_that_reason_and_its_files_stay(taken: Any, now: Any) -> None:
    over, _ = taken
    assert reclaims_review(now=now + NOTICE - timedelta(seconds=1)) == 0
    assert reclaims_review(now=now + NOTICE) == 1 and reclaims_review(now=now + NOTICE) == 0
    ended = _end(over, now + NOTICE)
    assert (ended.state, ended.reason_code) == ("stopped", "preempted") and "taken back" in ended.reason
    assert states.ENDS["preempted"].advice
    assert Reclaim.objects.get().outcome == "taken" and not Lease.objects.filter(lab=over, closed_at=None).exists()


def test_no_third_lab_slips_in(taken: Any, lab_of: Any, bob: Any, now: Any) -> None:
    over, asker = taken
    reclaims_review(now=now + NOTICE)
    _end(over, now + NOTICE)
    third = lab_of(bob, gpus=1)
    assert not lab_assign(lab_id=third.pk, node_id="n1", gpu_uuids=[CARDS[2]], now=now + NOTICE)
    assert {card.kept_for for card in nodes_view()[0].cards if card.free} == {asker.pk}
    assert lab_assign(lab_id=asker.pk, node_id="n1", gpu_uuids=[CARDS[2]], now=now + NOTICE)
    assert lab_assign(lab_id=third.pk, node_id="n1", gpu_uuids=[CARDS[3]], now=now + NOTICE), "the asker has what it needs"


def test_cards_that_nobody_took_are_everybodys_again(taken: Any, lab_of: Any, bob: Any, now: Any) -> None:
    over, _ = taken
    reclaims_review(now=now + NOTICE)
    _end(over, now + NOTICE)
    later = now + NOTICE + timedelta(minutes=10)
    assert reclaims_review(now=later) == 2 and not Keep.objects.filter(closed_at=None).exists()
    assert lab_assign(lab_id=lab_of(bob, gpus=1).pk, node_id="n1", gpu_uuids=[CARDS[2]], now=later)


def test_an_asker_that_no_longer_waits_calls_it_off_and_the_lab_goes_on(taken: Any, charlie: Any, now: Any) -> None:
    over, asker = taken
    Reclaim.objects.update(told_at=now)
    lab_stop(lab=asker, actor=charlie, now=now)
    reclaims_review(now=now + NOTICE)
    goes_on = Lab.objects.get(pk=over.pk)
    assert (goes_on.state, goes_on.target, goes_on.notices[-1]["code"]) == ("running", "running", "reclaim_off")
    assert Reclaim.objects.get().outcome == "called_off" and not Keep.objects.filter(closed_at=None).exists()
    assert [one.lab_id for one in reclaims_to_tell(node_id="n1")] == [over.pk], "its programs are told that it is off"


@pytest.mark.parametrize("values", [{"gpus": 0}, {"gpus_max": 0, "gpus": 0}, {"gpu_hours_week": 0}])
def test_an_asker_whose_quota_does_not_allow_it_any_more_calls_it_off(taken: Any, charlie: Any, root_admin: Any, now: Any, values: Any) -> None:
    over, _ = taken
    reclaims_review(now=now)
    assert Reclaim.objects.get().closed_at is None, "so far it may"
    override_set(user=charlie, values=values, until=None, note="", actor=root_admin, now=now)
    reclaims_review(now=now)
    goes_on = Lab.objects.get(pk=over.pk)
    assert (goes_on.state, Reclaim.objects.get().outcome) == ("running", "called_off") and "no claim" in goes_on.notices[-1]["words"]


def test_an_asker_that_got_its_guarantee_elsewhere_calls_it_off(taken: Any, lab_of: Any, charlie: Any, now: Any) -> None:
    over, _ = taken
    more = [f"GPU-more-{n}-test" for n in range(2)]
    Gpu.objects.bulk_create(Gpu(uuid=uuid, node_id="n1", index=5 + n, model="NVIDIA H200") for n, uuid in enumerate(more))
    _run(lab_of(charlie, gpus=2), now, *more)
    assert reclaims_review(now=now + NOTICE) == 0
    assert (Lab.objects.get(pk=over.pk).target, Reclaim.objects.get().outcome) == ("running", "called_off")


def test_a_running_lab_that_asks_for_gpus_may_claim_them(taken: Any, lab_of: Any, charlie: Any, now: Any) -> None:
    over, asker = taken
    lab_stop(lab=asker, actor=charlie, now=now)
    reclaims_review(now=now)
    runs = _run(lab_of(charlie, gpus=0), now)
    lab_take_gpu(lab=runs, gpus=1, gpu_model="", actor=charlie, now=now)
    assert reclaim_begin(lab_id=over.pk, taken_for=runs.pk, now=now)
    assert reclaims_review(now=now + NOTICE) == 1
    assert Lab.objects.get(pk=over.pk).target == "stopped"


def test_a_lab_that_comes_inside_its_guarantee_meanwhile_is_not_taken(taken: Any, alice: Any, now: Any) -> None:
    over, _ = taken
    older = Lab.objects.exclude(pk=over.pk).get(owner=alice)
    lab_stop(lab=older, actor=alice, now=now)
    _end(older, now)
    over_quota_settle(now=now)
    reclaims_review(now=now + NOTICE)
    goes_on = Lab.objects.get(pk=over.pk)
    assert (goes_on.state, Reclaim.objects.get().outcome) == ("running", "called_off") and "inside" in goes_on.notices[-1]["words"]
    assert not Keep.objects.filter(closed_at=None).exists()


def test_a_stop_under_notice_is_the_owners_own(taken: Any, alice: Any, now: Any) -> None:
    over, _ = taken
    assert lab_stop(lab=over, actor=alice, now=now)
    assert reclaims_review(now=now + NOTICE) == 0
    ended = _end(over, now + NOTICE)
    assert ended.reason_code == "asked" and Reclaim.objects.get().outcome == "ended"
    assert not Lab.objects.filter(requeued_from=over).exists()


def test_a_lab_under_notice_does_not_take_other_cards(taken: Any, alice: Any, root_admin: Any, now: Any) -> None:
    over, _ = taken
    override_set(user=alice, values={"gpus_max": 8}, until=None, note="", actor=root_admin, now=now)
    Gpu.objects.create(uuid="GPU-more-test", node_id="n1", index=5, model="NVIDIA H200")
    lab_take_gpu(lab=over, gpus=1, gpu_model="", actor=alice, now=now)
    assert not lab_assign(lab_id=over.pk, node_id="n1", gpu_uuids=["GPU-more-test"], now=now)


# ------------------------------------------------------------------ again


def test_the_lab_is_queued_again_under_its_name_for_the_time_that_it_had_left(taken: Any, now: Any) -> None:
    over, _ = taken
    reclaims_review(now=now + NOTICE)
    ended = _end(over, now + NOTICE)
    again = Lab.objects.get(requeued_from=ended)
    assert (again.state, again.name, again.gpus, again.hours, again.requested_at) == ("queued", over.name, 2, 7, now + NOTICE)
    assert again.pk in {one.lab_id for one in snapshot_load(now=now + NOTICE).waiting}
    assert "Queued again" in Event.objects.get(subject=again.subject, kind="lab.queued").words


def test_what_it_waited_before_its_cards_were_taken_back_counts_on(four: Any, lab_of: Any, alice: Any, charlie: Any, now: Any) -> None:
    lab, asker = lab_of(alice, gpus=2, hours=8), lab_of(charlie, gpus=1)
    Lab.objects.filter(pk=lab.pk).update(requested_at=now - 31 * HOUR)
    _run(Lab.objects.get(pk=lab.pk), now - HOUR, *CARDS[2:])
    Lab.objects.filter(pk=lab.pk).update(over_quota=True)
    assert reclaim_begin(lab_id=lab.pk, taken_for=asker.pk, now=now)
    back = now + NOTICE
    reclaims_review(now=back)
    again = Lab.objects.get(requeued_from=_end(lab, back))
    assert (again.requested_at, again.waits_since) == (back, back - 30 * HOUR)
    assert next(one.since for one in snapshot_load(now=back).waiting if one.lab_id == again.pk) == back - 30 * HOUR
    _run(again, back + HOUR, *CARDS[:2])
    assert next(one.waited_s for one in snapshot_load(now=back + HOUR).running if one.lab_id == again.pk) == 31 * 3600
    Lab.objects.filter(pk=again.pk).update(over_quota=True)
    third = lab_of(charlie, gpus=1)
    assert reclaim_begin(lab_id=again.pk, taken_for=third.pk, now=back + 2 * HOUR)
    reclaims_review(now=back + 2 * HOUR + NOTICE)
    assert Lab.objects.get(requeued_from=_end(again, back + 2 * HOUR + NOTICE)).waits_since == back + 2 * HOUR + NOTICE - 31 * HOUR


def test_who_does_not_want_it_is_not_queued_again(taken: Any, alice: Any, now: Any) -> None:
    over, _ = taken
    assert lab_requeue_set(lab=over, requeue=False, actor=alice, now=now) and not lab_requeue_set(lab=over, requeue=False, actor=alice, now=now)
    reclaims_review(now=now + NOTICE)
    _end(over, now + NOTICE)
    assert not Lab.objects.filter(requeued_from=over).exists()


def test_a_disabled_persons_lab_is_not_queued_again(taken: Any, alice: Any, root_admin: Any, now: Any) -> None:
    over, _ = taken
    reclaims_review(now=now + NOTICE)
    person_disable(user=alice, actor=root_admin, now=now)
    _end(over, now + NOTICE)
    assert not Lab.objects.filter(requeued_from=over).exists()
