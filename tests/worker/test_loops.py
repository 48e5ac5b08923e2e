"""The loops over a runtime in memory: from a wish to a running lab and back, by the clock alone."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from labs.ledger.models import Event
from labs.lifecycle.models import Lab, Lease
from labs.lifecycle.moves import lab_torch_seen
from labs.lifecycle.services import lab_stop, lab_take_gpu
from labs.people.services import person_disable
from tests.support.hands import Round, round_of  # noqa: F401  (fixture)
from tests.support.waiting import wait_for
from worker.loops import reconcile, schedule, usage
from worker.runtimes.base import RuntimeFault, Usage
from worker.starting import lab_start

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_lab_runs_when_no_message_was_ever_delivered(lab_of, alice, round_of: Callable[..., Round]):
    lab = lab_of(alice, gpus=1)
    house = round_of()
    house.until(lab, "running")
    assert Lease.objects.filter(lab=lab, closed_at=None).count() == 1
    assert house.runtime.specs[lab.pk].gpu_uuids == tuple(Lease.objects.filter(lab=lab).values_list("gpu_id", flat=True))


def test_a_lab_without_gpus_sees_none(lab_of, alice, round_of):
    lab = lab_of(alice)
    house = round_of()
    house.until(lab, "running")
    assert house.runtime.specs[lab.pk].environment["NVIDIA_VISIBLE_DEVICES"] == "void"


def test_a_lease_closes_only_when_the_engine_confirms_that_the_container_is_gone(lab_of, alice, now, round_of):
    lab = lab_of(alice, gpus=1)
    house = round_of()
    house.until(lab, "running")
    lab_stop(lab=Lab.objects.get(pk=lab.pk), actor=alice, now=now)
    assert Lease.objects.get(lab=lab).closed_at is None
    house.until(lab, "stopped")
    assert Lease.objects.get(lab=lab).closed_at is not None
    assert house.runtime.observe() == []


def test_a_third_lab_waits_for_the_second_ones_card(lab_of, alice, bob, charlie, now, round_of):
    labs = [lab_of(person, gpus=1) for person in (alice, bob, charlie)]
    house = round_of()
    wait_for(lambda: house.tick() or Lab.objects.filter(state="running").count() == 2, what="two labs run")
    house.tick()
    first, third = Lab.objects.filter(state="running").first(), Lab.objects.get(state="queued")
    assert {first, third} < set(labs)
    lab_stop(lab=first, actor=first.owner, now=now)
    house.until(third, "running")


def test_taking_a_gpu_keeps_the_lab_running_until_the_card_is_leased_and_begins_a_next_attempt(lab_of, alice, node, now, round_of):
    lab = lab_of(alice)
    house = round_of()
    house.until(lab, "running")
    lab_take_gpu(lab=Lab.objects.get(pk=lab.pk), gpus=1, gpu_model="", actor=alice, now=now)
    house.until(lab, "running", attempt=2)
    again = Lab.objects.get(pk=lab.pk)
    assert (again.gpus, again.next_gpus) == (1, None)
    assert len(house.runtime.specs[lab.pk].gpu_uuids) == 1
    assert house.runtime.specs[lab.pk].workspace == f"gpulab-{node.realm}-ws-{alice.pk}"


def test_a_disabled_persons_lab_is_stopped(lab_of, alice, root_admin, now, round_of):
    lab = lab_of(alice)
    house = round_of()
    house.until(lab, "running")
    person_disable(user=alice, actor=root_admin, now=now)
    house.until(lab, "stopped")
    assert Lab.objects.get(pk=lab.pk).reason_code == "person_disabled"


def test_a_lab_whose_time_is_up_is_stopped_in_words(lab_of, alice, now, round_of):
    lab = lab_of(alice, hours=1)
    house = round_of()
    house.until(lab, "running")
    house.now += timedelta(hours=2)
    house.until(lab, "stopped")
    assert "time was up" in Lab.objects.get(pk=lab.pk).reason


def test_an_engine_that_keeps_refusing_ends_the_lab_after_three_tries(lab_of, alice, round_of):
    lab = lab_of(alice)
    house = round_of(refuse="no space left on device")
    house.until(lab, "failed")
    ended = Lab.objects.get(pk=lab.pk)
    assert ended.tries == 3
    assert "no space left" in ended.reason


def test_limits_that_differ_from_what_was_asked_end_the_lab(lab_of, alice, round_of):
    lab = lab_of(alice)
    house = round_of(differ=("memory", "4096 MiB", "unlimited"))
    house.until(lab, "failed")
    assert "asked 4096 MiB, found unlimited" in Lab.objects.get(pk=lab.pk).reason


def test_a_lab_waits_with_the_images_progress_and_holds_no_gpu(lab_of, alice, node, now, round_of):
    from labs.fleet.services import node_image_set
    from labs.lifecycle.queueing import wait_of

    lab = lab_of(alice, gpus=1)
    node_image_set(node_id=node.pk, image_id=lab.image_id, state="pulling", percent=62, words="layer 3 of 5", now=now)
    round_of().tick()
    assert not Lease.objects.exists()
    entry = wait_of(lab=lab, now=now)
    assert entry is not None
    assert "62%" in entry.reasons[0]


def test_a_kernel_killed_for_memory_leaves_the_lab_running_and_is_told_once(lab_of, alice, round_of, monkeypatch):
    lab = lab_of(alice)
    house = round_of()
    house.until(lab, "running")
    monkeypatch.setattr(house.runtime, "usage", lambda name: Usage(0, 0, 0, oom_kills=1))
    usage.tick(hands=house.hands, cards={}, now=house.now)
    usage.tick(hands=house.hands, cards={}, now=house.now)
    row = Lab.objects.get(pk=lab.pk)
    assert row.state == "running"
    assert [notice["code"] for notice in row.notices] == ["out_of_memory"]
    assert "4 GiB" in row.notices[0]["words"]


def test_a_main_process_killed_for_memory_ends_the_lab_in_words(lab_of, alice, round_of):
    lab = lab_of(alice)
    house = round_of()
    house.until(lab, "running")
    house.runtime.exits(f"gpulab-{lab.pk}-1", code=137, oom=True)
    house.until(lab, "failed")
    assert "more memory" in Lab.objects.get(pk=lab.pk).reason


def test_the_log_of_a_running_lab_is_read_when_somebody_looks(lab_of, alice, round_of):
    lab = lab_of(alice)
    house = round_of()
    house.until(lab, "running")
    reconcile.log_read(lab_id=lab.pk, hands=house.hands)
    assert "jupyter is ready" in Lab.objects.get(pk=lab.pk).log_tail


def test_a_log_that_cannot_be_read_holds_up_no_end(lab_of, alice, round_of, monkeypatch):
    round_ = round_of()
    lab = lab_of(alice)
    round_.until(lab, "running")

    def unreadable(name: str, tail: int) -> str:
        raise RuntimeFault("The log could not be read.")

    monkeypatch.setattr(round_.runtime, "logs", unreadable)
    lab_stop(lab=Lab.objects.get(pk=lab.pk), actor=alice, now=round_.now)
    round_.until(lab, "stopped")
    assert Lab.objects.get(pk=lab.pk).reason_code == "asked"
    assert round_.runtime.observe() == []


def test_a_version_of_any_length_is_noted_once(lab_of, alice, round_of):
    round_ = round_of()
    lab = lab_of(alice)
    round_.until(lab, "running")
    for _ in range(3):
        lab_torch_seen(lab_id=lab.pk, own_torch="2" * 60, now=round_.now)
    assert Event.objects.filter(kind="lab.torch").count() == 1


def test_another_torch_over_the_images_own_is_noted_and_forgotten_when_it_is_gone(lab_of, alice, round_of, monkeypatch):
    lab = lab_of(alice)
    house = round_of()
    house.until(lab, "running")
    for found in ("2.1.0", ""):
        monkeypatch.setattr(house.runtime, "usage", lambda name, found=found: Usage(0, 0, 0, 0, own_torch=found))
        usage.tick(hands=house.hands, cards={}, now=house.now)
        assert Lab.objects.get(pk=lab.pk).own_torch == found


def test_a_lab_that_becomes_ready_while_the_engine_is_looked_at_is_not_taken_for_a_removed_one(lab_of, alice, round_of, monkeypatch):
    lab = lab_of(alice)
    house = round_of()
    schedule.tick(now=house.now)
    look = house.runtime.observe

    def slow_look():
        monkeypatch.setattr(house.runtime, "observe", look)
        seen = look()
        lab_start(lab_id=lab.pk, hands=house.hands)
        return seen

    monkeypatch.setattr(house.runtime, "observe", slow_look)
    reconcile.tick(hands=house.hands, now=house.now)
    house.tick()
    assert Lab.objects.get(pk=lab.pk).state == "running" and [one.lab_id for one in house.runtime.observe()] == [lab.pk]


def test_a_lab_that_is_placed_while_the_engine_is_looked_at_is_not_taken_for_a_leftover(lab_of, alice, round_of, monkeypatch):
    lab = lab_of(alice)
    house = round_of()
    look = house.runtime.observe

    def slow_look():
        monkeypatch.setattr(house.runtime, "observe", look)
        schedule.tick(now=house.now)
        lab_start(lab_id=lab.pk, hands=house.hands)
        return look()

    monkeypatch.setattr(house.runtime, "observe", slow_look)
    reconcile.tick(hands=house.hands, now=house.now)
    house.tick()
    assert Lab.objects.get(pk=lab.pk).state == "running" and [one.lab_id for one in house.runtime.observe()] == [lab.pk]
