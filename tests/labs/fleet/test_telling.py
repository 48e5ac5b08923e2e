"""Administrators hear of lost nodes and sick cards, once an hour of each."""

from datetime import datetime, timedelta
from typing import Any

from labs.fleet.models import Gpu, Node
from labs.fleet.services import MISSES_TO_UNKNOWN, gpu_health_set, gpus_report, node_report, node_unknown
from labs.notices.models import Notice
from labs.people.models import User


def kinds() -> list[tuple[str, int]]:
    return list(Notice.objects.order_by("pk").values_list("kind", "user_id"))


def card(gpu: Gpu, fault: str) -> dict[str, Any]:
    names = ("uuid", "index", "model", "memory_mib", "compute_capability", "mig", "profile", "share", "place", "pci")
    return {name: getattr(gpu, name) for name in names} | {"fault": fault, "parent": ""}


def test_a_lost_node_is_told_to_administrators_once_an_hour(root_admin: User, alice: User, node: Node, now: datetime):
    at = now.replace(minute=10)
    for minutes in (0, 5, 60):
        assert node_unknown(node_id=node.pk, now=at + timedelta(minutes=minutes))
        node_report(node_id=node.pk, now=at)
    assert kinds() == [("node_lost", root_admin.pk)] * 2


def test_a_sick_card_is_told_to_administrators_when_it_is_out_and_not_at_the_first_miss(root_admin: User, alice: User, node: Node, now: datetime):
    for misses in range(1, MISSES_TO_UNKNOWN + 2):
        cards = [card(gpu, "fell off the bus" if gpu.index == 0 else "") for gpu in node.gpus.all()]
        gpus_report(node_id=node.pk, cards=cards, simulated=False, now=now)
        assert len(kinds()) == (misses >= MISSES_TO_UNKNOWN)
    notice = Notice.objects.get()
    assert (notice.kind, notice.user, notice.subject) == ("card_sick", root_admin, "GPU 0 of node n1 is sick")
    assert "fell off the bus" in notice.words


def test_what_an_administrator_takes_out_is_news_to_nobody(root_admin: User, node: Node, now: datetime):
    gpu_health_set(gpu=node.gpus.first(), health="drained", words="New fan", actor=root_admin, now=now)
    assert kinds() == []
