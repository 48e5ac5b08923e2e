"""Moving between states: compare and set, one writer, leases that close at the right moment, quota under the lock."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from labs.ledger.models import Event
from labs.lifecycle import states
from labs.lifecycle.holdings import gpu_hours_since, held_by
from labs.lifecycle.models import Lab, Lease
from labs.lifecycle.moves import lab_advance, lab_assign, lab_end, lab_gone, lab_ready, lab_restart, lab_stage
from labs.lifecycle.services import lab_stop, lab_take_gpu
from labs.people.services import person_disable
from labs.policy.services import override_set
from labs.usage.queries import gpu_hours_week

pytestmark = pytest.mark.django_db
CARDS = ["GPU-00000000-test", "GPU-00000001-test"]


def _assign(lab: Lab, now: Any, *cards: str) -> bool:
    return lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=cards, now=now)


def _run(lab: Lab, now: Any, *cards: str) -> Lab:
    assert _assign(lab, now, *cards)
    assert lab_ready(lab_id=lab.pk, attempt=lab.attempt, verified={"memory": "4 GiB"}, not_held=[], now=now)
    return Lab.objects.get(pk=lab.pk)


# ------------------------------------------------------------------ the state table


@pytest.mark.parametrize("was", list(states.WORDS))
@pytest.mark.parametrize("to", list(states.WORDS))
def test_a_move_that_is_not_in_the_table_is_an_error(lab_of: Any, alice: Any, now: Any, was: str, to: str) -> None:
    if states.may_move(was, to):
        return
    with pytest.raises(ValueError, match="never moves"):
        lab_advance(lab_id=lab_of(alice).pk, was=was, to=to, now=now)


def test_every_state_leads_to_an_end_and_ends_lead_nowhere() -> None:
    assert all(not states.MOVES[final] for final in states.FINAL)
    reached = {state: {state} for state in states.WORDS}
    for _ in states.WORDS:
        reached = {state: found | {to for at in found for to in states.MOVES[at]} for state, found in reached.items()}
    assert all(found & set(states.FINAL) for found in reached.values())


def test_every_moving_state_has_a_deadline() -> None:
    assert set(states.DEADLINES) == {states.OFFERED, states.STARTING, states.STOPPING}


def test_the_second_to_move_finds_that_somebody_else_did(lab_of: Any, alice: Any, now: Any) -> None:
    lab = lab_of(alice)
    assert _assign(lab, now) and not _assign(lab, now)
    assert not lab_advance(lab_id=lab.pk, was="queued", to="starting", now=now)
    assert Event.objects.filter(subject=lab.subject, kind="lab.starting").count() == 1


def test_a_move_tells_its_story_and_sets_its_deadline(lab_of: Any, alice: Any, now: Any) -> None:
    lab = lab_of(alice, gpus=1)
    _assign(lab, now, CARDS[0])
    lab.refresh_from_db()
    assert (lab.state_since, lab.deadline_at, lab.node_id) == (now, now + states.DEADLINES["starting"], "n1")
    assert Event.objects.get(subject=lab.subject, kind="lab.starting").words == "Placed on n1 with GPU-00000000."


# ------------------------------------------------------------------ leases


def test_a_card_is_leased_once_whatever_the_code_does(lab_of: Any, alice: Any, charlie: Any, now: Any) -> None:
    first, second = lab_of(alice, gpus=1), lab_of(charlie, gpus=1)
    assert _assign(first, now, CARDS[0])
    assert not _assign(second, now, CARDS[0])
    second.refresh_from_db()
    assert (second.state, second.node) == ("queued", None) and not Event.objects.filter(subject=second.subject, kind="lab.starting").exists()
    with pytest.raises(IntegrityError), transaction.atomic():
        Lease.objects.create(lab=second, gpu_id=CARDS[0], attempt=1, opened_at=now)


def test_a_lab_gets_exactly_as_many_cards_as_it_asked_for(lab_of: Any, alice: Any, now: Any) -> None:
    lab = lab_of(alice, gpus=1)
    assert not _assign(lab, now) and not _assign(lab, now, *CARDS)
    assert not Lease.objects.exists() and Lab.objects.get(pk=lab.pk).state == "queued"


def test_leases_close_when_the_container_is_gone_and_the_card_is_free_again(lab_of: Any, alice: Any, charlie: Any, now: Any) -> None:
    lab, other = _run(lab_of(alice, gpus=1), now, CARDS[0]), lab_of(charlie, gpus=1)
    lab_stop(lab=lab, actor=alice, now=now)
    assert not _assign(other, now, CARDS[0])
    gone = now + timedelta(seconds=3)
    assert lab_gone(lab_id=lab.pk, now=gone)
    assert Lease.objects.get(lab=lab).closed_at == gone and _assign(other, gone, CARDS[0])
    lab.refresh_from_db()
    assert (lab.state, lab.ended_at, lab.jupyter_port) == ("stopped", gone, None)


def test_hours_are_counted_from_leases(lab_of: Any, alice: Any, now: Any) -> None:
    _run(lab_of(alice, gpus=2), now - timedelta(hours=3), *CARDS)
    assert gpu_hours_week(user=alice, now=now) == pytest.approx(6.0)
    assert gpu_hours_since(user_ids=[alice.pk], since=now - timedelta(hours=1), now=now)[alice.pk] == pytest.approx(2.0)


# ------------------------------------------------------------------ quota under the lock


def test_quota_is_judged_again_when_the_lease_is_opened(lab_of: Any, bob: Any, now: Any) -> None:
    first, second = lab_of(bob, gpus=1), lab_of(bob, gpus=1)
    assert _assign(first, now, CARDS[0])
    assert not _assign(second, now, CARDS[1]), "a student's second GPU"
    assert Lease.objects.count() == 1 and held_by(user=bob, now=now).gpus == 1


def test_a_limit_that_was_lowered_meanwhile_holds(lab_of: Any, alice: Any, root_admin: Any, now: Any) -> None:
    lab = lab_of(alice, gpus=2)
    override_set(user=alice, values={"gpus": 1, "gpus_max": 1}, until=None, note="", actor=root_admin, now=now)
    assert not _assign(lab, now, *CARDS) and not Lease.objects.exists()


def test_a_disabled_person_gets_no_card(lab_of: Any, alice: Any, root_admin: Any, now: Any) -> None:
    lab = lab_of(alice, gpus=1)
    person_disable(user=alice, actor=root_admin, now=now)
    assert not _assign(lab, now, CARDS[0])


def test_a_lab_that_was_taken_out_of_the_queue_gets_no_card(lab_of: Any, alice: Any, now: Any) -> None:
    lab = lab_of(alice, gpus=1)
    lab_stop(lab=lab, actor=alice, now=now)
    assert not _assign(lab, now, CARDS[0]) and not Lease.objects.exists()


# ------------------------------------------------------------------ start, end, next attempt


def test_the_clock_begins_when_jupyter_answers(lab_of: Any, alice: Any, now: Any) -> None:
    lab = lab_of(alice, hours=2)
    _assign(lab, now)
    ready = now + timedelta(seconds=20)
    assert lab_ready(lab_id=lab.pk, attempt=1, verified={"memory": "4 GiB"}, not_held=["disk"], now=ready)
    lab.refresh_from_db()
    assert (lab.state, lab.started_at, lab.ends_at) == ("running", ready, ready + timedelta(hours=2))
    assert lab.verified == {"memory": "4 GiB"} and lab.not_held == ["disk"]


def test_news_of_an_earlier_attempt_changes_nothing(lab_of: Any, alice: Any, now: Any) -> None:
    lab = lab_of(alice)
    _assign(lab, now)
    Lab.objects.filter(pk=lab.pk).update(attempt=2)
    assert not lab_ready(lab_id=lab.pk, attempt=1, verified={}, not_held=[], now=now)
    assert not lab_stage(lab_id=lab.pk, attempt=1, stage="jupyter", words="x")
    assert Lab.objects.get(pk=lab.pk).state == "starting"


@pytest.mark.parametrize("code", sorted(states.ENDS))
def test_every_end_has_words_and_its_own_final_state(lab_of: Any, alice: Any, now: Any, code: str) -> None:
    lab = _run(lab_of(alice), now)
    assert lab_end(lab_id=lab.pk, code=code, now=now) and lab_gone(lab_id=lab.pk, now=now)
    lab.refresh_from_db()
    assert lab.state == ("failed" if states.ENDS[code].failed else "stopped") and lab.reason.startswith(states.ENDS[code].words)
    assert states.ENDS[code].advice or not states.ENDS[code].failed, "who did not want the end learns what to do next"


def test_the_first_reason_of_an_end_stays(lab_of: Any, alice: Any, now: Any) -> None:
    lab = _run(lab_of(alice), now)
    assert lab_end(lab_id=lab.pk, code="out_of_memory", now=now)
    assert not lab_stop(lab=Lab.objects.get(pk=lab.pk), actor=alice, now=now)
    lab_gone(lab_id=lab.pk, now=now)
    assert Lab.objects.get(pk=lab.pk).reason_code == "out_of_memory"


def _restarting(lab_of: Any, alice: Any, now: Any) -> Lab:
    lab = _run(lab_of(alice, gpus=1), now, CARDS[0])
    Lab.objects.filter(pk=lab.pk).update(next_gpus=1)
    assert _assign(lab, now, CARDS[1])
    return Lab.objects.get(pk=lab.pk)


def test_a_next_attempt_has_the_new_cards_and_gives_the_old_ones_back(lab_of: Any, alice: Any, now: Any) -> None:
    lab = _restarting(lab_of, alice, now)
    assert (lab.state, lab.attempt) == ("stopping", 1) and Lease.objects.filter(lab=lab, closed_at=None).count() == 2
    ends_at = lab.ends_at
    assert lab_restart(lab_id=lab.pk, now=now)
    lab.refresh_from_db()
    assert (lab.state, lab.attempt, lab.gpus, lab.next_gpus) == ("starting", 2, 1, None)
    assert [lease.gpu_id for lease in Lease.objects.filter(lab=lab, closed_at=None)] == [CARDS[1]]
    assert lab_ready(lab_id=lab.pk, attempt=2, verified={}, not_held=[], now=now + timedelta(minutes=1))
    assert Lab.objects.get(pk=lab.pk).ends_at == ends_at, "a restart keeps the old clock"


def test_a_stop_during_the_restart_ends_the_lab_and_frees_both_cards(lab_of: Any, alice: Any, now: Any) -> None:
    lab = _restarting(lab_of, alice, now)
    assert lab_stop(lab=lab, actor=alice, now=now)
    assert not lab_restart(lab_id=lab.pk, now=now)
    assert lab_gone(lab_id=lab.pk, now=now)
    assert not Lease.objects.filter(closed_at=None).exists() and Lab.objects.get(pk=lab.pk).state == "stopped"


def test_a_restart_that_comes_too_early_closes_no_lease(lab_of: Any, alice: Any, now: Any) -> None:
    lab = _run(lab_of(alice, gpus=1), now, CARDS[0])
    lab_take_gpu(lab=lab, gpus=2, gpu_model="", actor=alice, now=now)
    assert not lab_restart(lab_id=lab.pk, now=now)
    assert Lease.objects.filter(lab=lab, closed_at=None).count() == 1 and Lab.objects.get(pk=lab.pk).state == "running"
