"""Who sees what of a card."""

from typing import Any

import pytest

from labs.telemetry.audience import Audience, card_for

HOLDER = {"lab": "aaaaaaaaaaaa", "name": "resnet", "owner": 1, "owner_name": "Alice"}
OWN = {"pid": 10, "name": "python", "command": "python train.py --secret", "memory_mib": 5, "lab": "aaaaaaaaaaaa"}
FOREIGN = {"pid": 11, "name": "miner", "command": "miner --wallet x", "memory_mib": 5, "lab": ""}
CARD: dict[str, Any] = {"uuid": "GPU-a", "model": "NVIDIA H200", "gpu_pct": 5, "holder": HOLDER, "processes": [OWN, FOREIGN]}


def test_the_owner_sees_you_and_the_processes_of_their_own_lab_only():
    seen = card_for(CARD, Audience(1, is_admin=False))
    assert (seen["holder"], seen["mine"], seen["lab"]) == ("you (resnet)", True, "aaaaaaaaaaaa")
    assert seen["processes"] == [OWN]


@pytest.mark.parametrize("word", ["Alice", "resnet", "train.py", "miner", "aaaaaaaaaaaa"])
def test_somebody_else_learns_only_that_it_is_in_use(word: str):
    seen = card_for(CARD, Audience(2, is_admin=False))
    assert (seen["holder"], seen["mine"]) == ("in use", False)
    assert word not in str(seen)


def test_an_administrator_sees_the_name_and_every_process():
    seen = card_for(CARD, Audience(3, is_admin=True))
    assert seen["holder"] == "Alice (resnet)"
    assert seen["processes"] == [OWN, FOREIGN]


def test_a_free_card_has_no_holder():
    assert card_for(CARD | {"holder": None}, Audience(2, is_admin=False))["holder"] == ""
