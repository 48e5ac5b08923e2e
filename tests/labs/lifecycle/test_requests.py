"""What people wish for: granted, queued with a reason, or refused in words that change nothing."""

from datetime import timedelta
from typing import Any

import pytest

from labs.catalogue.models import Image
from labs.fleet.models import Gpu, Node
from labs.ledger.models import Event
from labs.lifecycle.models import Lab, Lease
from labs.lifecycle.moves import lab_assign, lab_end, lab_ready
from labs.lifecycle.queries import lab_for_owner, lab_for_viewer, wish_preview
from labs.lifecycle.queueing import queue_view, wait_of
from labs.lifecycle.services import (
    lab_extend,
    lab_request,
    lab_stop,
    lab_take_gpu,
    lab_take_gpu_cancel,
    lab_token_create,
    lab_token_revoke,
)
from labs.lifecycle.waiting import snapshot_load
from labs.lifecycle.wishes import Wish
from labs.people.errors import Refused
from labs.policy.services import override_set, role_limits_update

pytestmark = pytest.mark.django_db
CARDS = ["GPU-00000000-test", "GPU-00000001-test"]


def _run(lab: Lab, now: Any, *cards: str) -> Lab:
    assert lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=cards, now=now)
    assert lab_ready(lab_id=lab.pk, attempt=lab.attempt, verified={}, not_held=[], now=now)
    return Lab.objects.get(pk=lab.pk)


# ------------------------------------------------------------------ asking


@pytest.mark.parametrize(("health", "words"), [("unknown", "2 GPUs not answering"), ("held", "2 GPUs held back")])
def test_a_lab_waits_for_cards_that_come_back_and_is_told_so(lab_of: Any, alice: Any, now: Any, health: str, words: str) -> None:
    Gpu.objects.update(health=health)
    lab = lab_of(alice, gpus=1)
    assert lab.state == "queued" and words in " ".join(wait_of(lab=lab, now=now).reasons)
    Gpu.objects.update(health="ok")
    assert words not in " ".join(wait_of(lab=lab, now=now).reasons)


def test_a_lab_does_not_wait_for_cards_that_were_taken_out(lab_of: Any, alice: Any) -> None:
    Gpu.objects.update(health="retired")
    with pytest.raises(Refused, match="the most that one node has"):
        lab_of(alice, gpus=1)


def test_a_wish_becomes_a_waiting_lab_and_an_event(lab_of: Any, alice: Any) -> None:
    lab = lab_of(alice, gpus=1, memory_gib=8)
    assert (lab.state, lab.target, lab.name, lab.shm_mib, lab.pids) == ("queued", "running", "lab", 4096, 8192)
    event = Event.objects.get(subject=lab.subject)
    assert event.kind == "lab.queued" and event.actor_id == alice.pk and "1 GPU" in event.words


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"gpus": 5}, "gpus"),
        ({"cpus": 33}, "cpus"),
        ({"memory_gib": 129}, "memory_gib"),
        ({"hours": 73}, "hours"),
        ({"shm_gib": 33, "memory_gib": 64}, "shm_gib"),
        ({"shm_gib": 5}, "shm_gib"),
        ({"image_id": 0}, "image"),
        ({"name": "No Good"}, "name"),
        ({"gpus": 1, "gpu_model": "V100"}, "gpus"),
        ({"gpus": 3}, "gpus"),
    ],
    ids=str,
)
def test_what_can_never_be_is_refused_by_its_field_and_makes_nothing(lab_of: Any, alice: Any, wish: Any, field: str) -> None:
    with pytest.raises(Refused) as refused:
        lab_of(alice, **wish)
    assert refused.value.field == field and len(refused.value.words) > 10
    assert not Lab.objects.exists() and not Event.objects.filter(kind="lab.queued").exists()


@pytest.mark.parametrize(
    "wish", [{"gpus": -1}, {"cpus": 0}, {"memory_gib": 0}, {"hours": 0}, {"shm_gib": -1}, {"shm_gib": 0}, {"hours": 10**9}, {"gpus": 10**30}], ids=str
)
def test_a_size_that_is_none_is_refused(lab_of: Any, alice: Any, wish: Any) -> None:
    with pytest.raises(Refused):
        lab_of(alice, **wish)
    assert not Lab.objects.exists()


@pytest.mark.parametrize("name", ["A", "1a", "-a", "a-", "a b", "ä", "a\n", "a\0", "a" * 33, "../x", "实验"], ids=ascii)
def test_a_name_is_small_letters_digits_and_hyphens(lab_of: Any, alice: Any, name: str) -> None:
    with pytest.raises(Refused) as refused:
        lab_of(alice, name=name)
    assert refused.value.field == "name" and not Lab.objects.exists()


def test_a_name_is_taken_while_its_lab_lives_and_free_afterwards(lab_of: Any, alice: Any, charlie: Any, now: Any) -> None:
    first = lab_of(alice, name="train")
    assert lab_of(charlie, name="train").owner == charlie
    with pytest.raises(Refused) as refused:
        lab_of(alice, name="train")
    assert refused.value.code == "name_taken"
    lab_stop(lab=first, actor=alice, now=now)
    assert lab_of(alice, name="train").pk != first.pk


def test_labs_without_a_name_are_numbered(lab_of: Any, alice: Any) -> None:
    assert [lab_of(alice).name for _ in range(3)] == ["lab", "lab-2", "lab-3"]


def test_shared_memory_is_half_of_the_memory_within_the_limit(lab_of: Any, alice: Any) -> None:
    assert lab_of(alice, memory_gib=100).shm_mib == 32 * 1024
    assert lab_of(alice, memory_gib=1).shm_mib == 1024
    with pytest.raises(Refused, match="1 GiB of shared memory"):
        lab_of(alice, shm_gib=0)


def test_more_than_may_wait_at_once_is_refused(lab_of: Any, bob: Any) -> None:
    for _ in range(3):
        lab_of(bob)
    with pytest.raises(Refused, match="3 labs waiting already"):
        lab_of(bob)
    assert Lab.objects.count() == 3


def test_a_lowered_limit_holds_from_the_next_request_on(lab_of: Any, alice: Any, root_admin: Any, now: Any) -> None:
    role_limits_update(role="researcher", values={"gpus": 0, "gpus_max": 0}, actor=root_admin, now=now)
    with pytest.raises(Refused, match="your limit is 0"):
        lab_of(alice, gpus=1)
    override_set(user=alice, values={"gpus_max": 1}, until=None, note="thesis", actor=root_admin, now=now)
    assert lab_of(alice, gpus=1).gpus == 1


def test_a_retired_image_starts_nothing(lab_of: Any, alice: Any, image: Image) -> None:
    image.is_active = False
    image.save()
    with pytest.raises(Refused, match="no such image"):
        lab_of(alice)


def test_the_same_key_makes_one_lab_and_anothers_same_key_another(alice: Any, charlie: Any, node: Any, image: Any, now: Any) -> None:
    wish = Wish(image_id=image.pk, gpus=0, cpus=1, memory_gib=1, hours=1)
    made = [lab_request(owner=owner, wish=wish, now=now, actor=owner, idempotency_key="k").pk for owner in (alice, alice, charlie)]
    assert made[0] == made[1] != made[2] and Event.objects.filter(kind="lab.queued").count() == 2


# ------------------------------------------------------------------ waiting


def test_what_exceeds_only_what_is_left_waits_with_that_reason(lab_of: Any, bob: Any, now: Any) -> None:
    _run(lab_of(bob, gpus=1), now, CARDS[0])
    second = lab_of(bob, gpus=1)
    entry = wait_of(lab=second, now=now)
    assert entry is not None and entry.reasons == ("You hold 1 of your 1 GPU, so 0 are left and this needs 1.",)


def test_the_queue_gives_places_and_reasons_in_the_order_of_asking(lab_of: Any, alice: Any, bob: Any, charlie: Any, now: Any) -> None:
    _run(lab_of(charlie, gpus=2), now, *CARDS)
    first, second = lab_of(alice, gpus=2), lab_of(bob, gpus=1)
    assert [(entry.lab.pk, entry.place) for entry in queue_view(now=now)] in ([(first.pk, 1), (second.pk, 2)], [(second.pk, 1), (first.pk, 2)])
    assert all(entry.reasons for entry in queue_view(now=now))


def test_a_preview_says_what_the_click_would_do_and_does_nothing(alice: Any, bob: Any, node: Node, image: Any, lab_of: Any, now: Any) -> None:
    wish = Wish(image_id=image.pk, gpus=1, cpus=1, memory_gib=4, hours=1)
    assert wish_preview(user=bob, wish=wish, now=now).answer == "now"
    never = wish_preview(user=bob, wish=Wish(image_id=image.pk, gpus=2, cpus=1, memory_gib=4, hours=1), now=now)
    assert (never.answer, never.field) == ("never", "gpus")
    _run(lab_of(alice, gpus=2), now, *CARDS)
    later = wish_preview(user=bob, wish=wish, now=now)
    assert later.answer == "later" and later.reasons == ("Needs 1 GPU on one node; 0 free now.",) and later.place == 1
    assert Lab.objects.count() == 1


# ------------------------------------------------------------------ stop and extend


def test_stopping_a_waiting_lab_takes_it_out_of_the_queue(lab_of: Any, alice: Any, now: Any) -> None:
    lab = lab_of(alice)
    assert lab_stop(lab=lab, actor=alice, now=now)
    lab.refresh_from_db()
    assert (lab.state, lab.reason_code) == ("stopped", "cancelled") and lab.ended_at == now


def test_a_lab_that_starts_between_its_page_and_its_stop_was_stopped_not_taken_out_of_the_queue(lab_of: Any, alice: Any, now: Any) -> None:
    shown = lab_of(alice, gpus=1)
    _run(Lab.objects.get(pk=shown.pk), now, CARDS[0])
    assert shown.state == "queued" and lab_stop(lab=shown, actor=alice, now=now)
    shown.refresh_from_db()
    assert (shown.state, shown.reason_code, shown.reason) == ("stopping", "asked", "You stopped it.")


def test_stopping_a_running_lab_keeps_its_lease_until_the_engine_confirms(lab_of: Any, alice: Any, now: Any) -> None:
    lab = _run(lab_of(alice, gpus=1), now, CARDS[0])
    assert lab_stop(lab=lab, actor=alice, now=now) and not lab_stop(lab=lab, actor=alice, now=now)
    lab.refresh_from_db()
    assert (lab.state, lab.target, lab.reason) == ("stopping", "stopped", "You stopped it.")
    assert Lease.objects.filter(lab=lab, closed_at=None).exists()


def test_an_administrators_stop_is_named_as_such(lab_of: Any, alice: Any, root_admin: Any, now: Any) -> None:
    lab = _run(lab_of(alice), now)
    lab_stop(lab=lab, actor=root_admin, now=now)
    lab.refresh_from_db()
    assert lab.reason == "An administrator stopped it."
    assert Event.objects.filter(subject=lab.subject, kind="lab.stopping", actor_id=root_admin.pk).exists()


def test_an_extension_counts_from_now_and_ends_at_the_roles_hours(lab_of: Any, alice: Any, now: Any) -> None:
    lab = _run(lab_of(alice, hours=1), now)
    later = now + timedelta(minutes=30)
    assert lab_extend(lab=lab, hours=2, actor=alice, now=later).ends_at == later + timedelta(hours=2)
    for hours in (0, -1, 73, 10**9):
        with pytest.raises(Refused):
            lab_extend(lab=lab, hours=hours, actor=alice, now=later)
    with pytest.raises(Refused, match="longer than that already"):
        lab_extend(lab=lab, hours=1, actor=alice, now=later)
    assert Lab.objects.get(pk=lab.pk).ends_at == later + timedelta(hours=2)


def test_only_a_running_lab_is_extended(lab_of: Any, alice: Any, now: Any) -> None:
    lab = lab_of(alice)
    with pytest.raises(Refused) as refused:
        lab_extend(lab=lab, hours=2, actor=alice, now=now)
    assert refused.value.code == "state"


# ------------------------------------------------------------------ take a GPU


def test_taking_a_gpu_waits_in_the_queue_while_the_lab_runs_on(lab_of: Any, alice: Any, charlie: Any, now: Any) -> None:
    _run(lab_of(charlie, gpus=2), now, *CARDS)
    lab = _run(lab_of(alice), now)
    lab_take_gpu(lab=lab, gpus=1, gpu_model="", actor=alice, now=now)
    entry = wait_of(lab=lab, now=now)
    lab.refresh_from_db()
    assert (lab.state, lab.next_gpus, lab.attempt) == ("running", 1, 1) and entry is not None and "0 free now" in entry.reasons[0]


def test_what_a_lab_ran_before_it_asked_for_a_gpu_is_no_wait(lab_of: Any, alice: Any, charlie: Any, now: Any) -> None:
    _run(lab_of(charlie, gpus=2), now, *CARDS)
    old = lab_of(alice)
    Lab.objects.filter(pk=old.pk).update(requested_at=now - timedelta(hours=20))
    lab = _run(Lab.objects.get(pk=old.pk), now - timedelta(hours=20))
    lab_take_gpu(lab=lab, gpus=1, gpu_model="", actor=alice, now=now)
    snapshot = snapshot_load(now=now)
    assert next(one.since for one in snapshot.waiting if one.lab_id == lab.pk) == now
    assert next(one.waited_s for one in snapshot.running if one.lab_id == lab.pk) == 0
    assert lab_take_gpu_cancel(lab=lab, actor=alice, now=now)
    assert Lab.objects.get(pk=lab.pk).waits_since == now - timedelta(hours=20), "what it had waited at first is known again"


def test_taking_more_than_the_cap_or_than_its_own_node_has_is_refused(lab_of: Any, alice: Any, now: Any) -> None:
    big = Node.objects.create(pk="n2", name="n2", runtime="docker", cpus=64, memory_mib=2**19, heartbeat_at=now, gpu_ready=True)
    Gpu.objects.bulk_create(Gpu(uuid=f"GPU-n2-{n}", node=big, index=n, model="NVIDIA H200") for n in range(4))
    lab = _run(lab_of(alice), now)
    with pytest.raises(Refused, match="your limit is 4"):
        lab_take_gpu(lab=lab, gpus=5, gpu_model="", actor=alice, now=now)
    with pytest.raises(Refused, match="No node has 3 GPUs"):
        lab_take_gpu(lab=lab, gpus=3, gpu_model="", actor=alice, now=now)
    assert Lab.objects.get(pk=lab.pk).next_gpus is None


def test_a_taken_gpu_can_be_left_again_before_it_came(lab_of: Any, alice: Any, now: Any) -> None:
    lab = _run(lab_of(alice), now)
    lab_take_gpu(lab=lab, gpus=1, gpu_model="", actor=alice, now=now)
    with pytest.raises(Refused):
        lab_take_gpu(lab=lab, gpus=2, gpu_model="", actor=alice, now=now)
    assert lab_take_gpu_cancel(lab=lab, actor=alice, now=now) and not lab_take_gpu_cancel(lab=lab, actor=alice, now=now)
    assert Lab.objects.get(pk=lab.pk).next_gpus is None


@pytest.mark.parametrize("gpus", [0, -1])
def test_taking_no_gpu_is_no_wish(lab_of: Any, alice: Any, now: Any, gpus: int) -> None:
    with pytest.raises(Refused):
        lab_take_gpu(lab=_run(lab_of(alice), now), gpus=gpus, gpu_model="", actor=alice, now=now)


# ------------------------------------------------------------------ who may


def test_a_lab_exists_for_its_owner_and_administrators_only(lab_of: Any, alice: Any, bob: Any, charlie: Any, root_admin: Any) -> None:
    lab = lab_of(alice)
    assert lab_for_owner(user=alice, lab_id=lab.pk) == lab_for_viewer(user=root_admin, lab_id=lab.pk) == lab
    for stranger in (bob, charlie):
        with pytest.raises(Lab.DoesNotExist):
            lab_for_viewer(user=stranger, lab_id=lab.pk)
    with pytest.raises(Lab.DoesNotExist):
        lab_for_owner(user=root_admin, lab_id=lab.pk)


def test_a_labs_token_is_its_owners_to_make_and_is_kept_as_a_digest(lab_of: Any, alice: Any, root_admin: Any, now: Any) -> None:
    lab = lab_of(alice)
    token, secret = lab_token_create(lab=lab, name="vs code", actor=alice, now=now)
    assert secret.startswith("gpl_") and secret not in str(lab.tokens.values().get())
    with pytest.raises(Refused, match="Only its owner"):
        lab_token_create(lab=lab, name="x", actor=root_admin, now=now)
    lab_token_revoke(lab=lab, token_id=token.pk, actor=alice, now=now)
    assert lab.tokens.get().revoked_at == now
    lab_end(lab_id=lab.pk, code="cancelled", now=now)
    with pytest.raises(Refused, match="has ended"):
        lab_token_create(lab=Lab.objects.get(pk=lab.pk), name="x", actor=alice, now=now)
