"""Cards taken back in the whole house by the clock alone: over quota, two minutes of waiting, five of notice, and the asker runs."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from labs.fleet.models import Gpu, Node
from labs.lifecycle.models import Keep, Lab, Lease, Reclaim
from labs.lifecycle.services import lab_stop
from tests.support.hands import Round, round_of  # noqa: F401  (fixture)
from worker.loops import warn
from worker.runtimes.base import Notice, RuntimeFault

pytestmark = pytest.mark.django_db(transaction=True)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def full(node: Any, lab_of: Any, alice: Any, round_of: Callable[..., Round]) -> tuple[Round, Lab, Lab]:
    """Three cards; alice holds all of them for an hour now, two inside her guarantee and one beyond it."""
    Gpu.objects.create(uuid="GPU-00000002-test", node=node, index=2, model="NVIDIA H200", memory_mib=143771)
    house = round_of()
    inside, over = lab_of(alice, gpus=2, hours=8), lab_of(alice, gpus=1, hours=8)
    for lab in (inside, over):
        house.until(lab, "running")
    _later(house, timedelta(hours=1))
    return house, Lab.objects.get(pk=inside.pk), Lab.objects.get(pk=over.pk)


def _later(house: Round, step: timedelta) -> None:
    """Time passes, and the node is heard from."""
    house.now += step
    Node.objects.update(heartbeat_at=house.now)
    house.tick()


def _asks(house: Round, lab_of: Any, owner: Any, **wish: Any) -> Lab:
    lab = lab_of(owner, **wish)
    Lab.objects.filter(pk=lab.pk).update(requested_at=house.now, state_since=house.now)
    return lab


def test_a_lab_inside_its_quota_gets_the_card_that_was_lent(full: Any, lab_of: Any, charlie: Any) -> None:
    house, inside, over = full
    assert (inside.over_quota, over.over_quota) == (False, True)
    asker = _asks(house, lab_of, charlie, gpus=1)
    _later(house, MINUTE)
    assert not Reclaim.objects.exists(), "it has not waited for two minutes"
    _later(house, 2 * MINUTE)
    assert Reclaim.objects.get().lab_id == over.pk
    warn.tick(hands=house.hands, now=house.now)
    [(name, notice)] = house.runtime.told
    assert (name, notice.code) == (f"gpulab-{over.pk}-1", "reclaim") and "Save your work" in notice.words
    _later(house, 4 * MINUTE)
    assert Lab.objects.get(pk=over.pk).state == "running" and Reclaim.objects.count() == 1
    _later(house, 2 * MINUTE)
    house.until(asker, "running")
    ended = Lab.objects.get(pk=over.pk)
    assert (ended.state, ended.reason_code) == ("stopped", "preempted")
    assert Lab.objects.get(requeued_from=ended).state == "queued"
    assert Lab.objects.get(pk=inside.pk).state == "running" and not Keep.objects.filter(closed_at=None).exists()
    assert Lease.objects.filter(closed_at=None).count() == 3


def test_two_askers_never_take_back_the_same_card(full: Any, lab_of: Any, bob: Any, charlie: Any) -> None:
    house, _, over = full
    for person in (bob, charlie):
        _asks(house, lab_of, person, gpus=1)
    for _ in range(4):
        _later(house, 2 * MINUTE)
    assert [row.lab_id for row in Reclaim.objects.all()] == [over.pk]


def test_programs_are_told_once_and_told_again_that_it_is_off(full: Any, lab_of: Any, charlie: Any) -> None:
    house, _, over = full
    asker = _asks(house, lab_of, charlie, gpus=1)
    _later(house, 3 * MINUTE)
    for _ in range(2):
        warn.tick(hands=house.hands, now=house.now)
    lab_stop(lab=asker, actor=charlie, now=house.now)
    _later(house, MINUTE)
    for _ in range(2):
        warn.tick(hands=house.hands, now=house.now)
    assert [(name, notice is None) for name, notice in house.runtime.told] == [(f"gpulab-{over.pk}-1", False), (f"gpulab-{over.pk}-1", True)]
    assert Lab.objects.get(pk=over.pk).state == "running"


def test_a_lab_that_could_not_be_told_is_told_at_the_next_round(full: Any, lab_of: Any, charlie: Any, monkeypatch: Any) -> None:
    house, _, _ = full
    _asks(house, lab_of, charlie, gpus=1)
    _later(house, 3 * MINUTE)

    def refused(name: str, notice: Notice | None) -> int:
        raise RuntimeFault("The engine does not answer.")

    with monkeypatch.context() as patch:
        patch.setattr(house.runtime, "tell", refused)
        assert warn.tick(hands=house.hands, now=house.now) == 0
    assert warn.tick(hands=house.hands, now=house.now) == 1


def test_a_slice_is_handed_over_by_its_own_uuid(node: Any, lab_of: Any, alice: Any, round_of: Callable[..., Round]) -> None:
    Gpu.objects.filter(pk="GPU-00000000-test").update(mig=True)
    Gpu.objects.create(uuid="MIG-one", node=node, index=0, model="NVIDIA H200", parent_id="GPU-00000000-test", profile="1g.18gb", share=1 / 7)
    lab = lab_of(alice, wants_slice="any")
    house = round_of()
    house.until(lab, "running")
    assert house.runtime.specs[lab.pk].gpu_uuids == ("MIG-one",)
