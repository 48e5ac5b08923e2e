"""MIG slices in the fleet: rows of their own, by their own UUID, with the card that they are of."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from labs.fleet.models import Gpu
from labs.fleet.services import gpus_report

pytestmark = pytest.mark.django_db


def _card(uuid: str, **more: Any) -> dict[str, Any]:
    facts = {"index": 0, "model": "NVIDIA H200", "memory_mib": 143771, "compute_capability": "9.0", "fault": ""}
    return facts | {"uuid": uuid, "mig": False, "parent": "", "profile": "", "share": 1.0, "place": [], "pci": ""} | more


SLICED = [
    _card("GPU-00000000-test", mig=True),
    _card("MIG-one", parent="GPU-00000000-test", profile="3g.71gb", share=3 / 7, memory_mib=72704),
    _card("MIG-two", parent="GPU-00000000-test", profile="1g.18gb", share=1 / 7, memory_mib=18176),
]


def test_a_slice_is_a_row_with_its_card_its_profile_and_its_share(node: Any, now: Any) -> None:
    gpus_report(node_id=node.pk, cards=SLICED, simulated=False, now=now)
    card = Gpu.objects.get(pk="GPU-00000000-test")
    assert card.mig
    assert [(one.pk, one.profile, round(one.share, 3), str(one)) for one in card.slices.all()] == [
        ("MIG-one", "3g.71gb", 0.429, "NVIDIA H200 3g.71gb MIG-one"),
        ("MIG-two", "1g.18gb", 0.143, "NVIDIA H200 1g.18gb MIG-two"),
    ]


def test_a_slice_that_its_administrator_took_apart_gets_no_new_lab(node: Any, now: Any) -> None:
    gpus_report(node_id=node.pk, cards=SLICED, simulated=False, now=now)
    for _ in range(3):
        gpus_report(node_id=node.pk, cards=[_card("GPU-00000000-test")], simulated=False, now=now)
    assert set(Gpu.objects.filter(parent="GPU-00000000-test").values_list("health", flat=True)) == {"unknown"}
    assert not Gpu.objects.get(pk="GPU-00000000-test").mig


def test_a_cards_place_is_kept_and_moves_with_it(node: Any, now: Any) -> None:
    for place in (["numa0", "switch0", "nvlink0"], ["numa1", "switch1", "nvlink1"]):
        gpus_report(node_id=node.pk, cards=[_card("GPU-00000000-test", place=place)], simulated=False, now=now)
        assert Gpu.objects.get(pk="GPU-00000000-test").place == place


@pytest.mark.parametrize("share", [0, -0.5, 1.1])
def test_no_card_counts_for_nothing_or_for_more_than_itself(node: Any, share: float) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Gpu.objects.filter(pk="GPU-00000000-test").update(share=share)
