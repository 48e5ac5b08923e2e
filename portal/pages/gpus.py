"""What the cards do: all of them in a grid, the same on a wall's screen, and one with its past and its processes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from labs.fleet.models import Gpu, Node
from labs.fleet.queries import gpus_all, nodes_all
from labs.lifecycle.models import Lease
from labs.lifecycle.queries import cards_count, leases_open
from labs.telemetry.audience import Audience, card_for
from labs.telemetry.models import GpuMinute
from labs.telemetry.queries import history_of_day, latest
from portal.pages.access import PersonRequest, person_required

#: Whoever walks past a screen on a wall.
NOBODY = Audience(0, is_admin=False)


@dataclass(frozen=True, slots=True)
class CardView:
    """A card on a page: what the record says of it, and its newest reading as this person may see it."""

    gpu: Gpu
    reading: dict[str, Any]

    @property
    def total_mib(self) -> int:
        """Memory of the card."""
        return self.reading["memory_total_mib"] or self.gpu.memory_mib


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node with its cards; `fault` is what is wrong with its driver, `silent` that no reading came lately."""

    node: Node
    cards: list[CardView]
    fault: str
    silent: bool

    @property
    def simulated(self) -> bool:
        """Are these cards made up?"""
        return self.node.probe_kind == "simulated"


@require_safe
@person_required
def gpus(request: PersonRequest) -> HttpResponse:
    """Every card, a row a node."""
    return render(request, "gpus/gpus.html", _fleet(_audience(request), timezone.now()))


@require_safe
@person_required
def gpus_wall(request: PersonRequest) -> HttpResponse:
    """The same for a screen on a wall: nothing to click, readable from afar, and nobody is named there."""
    return render(request, "gpus/wall.html", _fleet(NOBODY, timezone.now()))


@require_safe
@person_required
def gpus_health(request: PersonRequest) -> HttpResponse:
    """The health of every card, swapped into a page that is open when one changes."""
    return render(request, "gpus/_healths.html", {"gpus": gpus_all()})


@require_safe
@person_required
def gpu(request: PersonRequest, uuid: str) -> HttpResponse:
    """One card: what it does now, its last day, who holds it, and the processes that this person may see."""
    row = get_object_or_404(Gpu.objects.select_related("node"), pk=uuid)
    now = timezone.now()
    sample = latest(now=now).get(row.node_id)
    view = _card(row, _by_uuid(sample), leases_open(), _audience(request))
    context = {
        "card": view,
        "node": _node(row.node, [view], sample),
        "day": _day(history_of_day(uuid=uuid, now=now), view.total_mib),
        "sees_processes": "processes" in view.reading,
    }
    return render(request, "gpus/gpu.html", context)


def _fleet(audience: Audience, now: datetime) -> dict[str, Any]:
    samples, leases = latest(now=now), leases_open()
    nodes = []
    for node in nodes_all():
        readings = _by_uuid(samples.get(node.pk))
        cards = [_card(row, readings, leases, audience) for row in node.gpus.all()]
        nodes.append(_node(node, cards, samples.get(node.pk)))
    count = cards_count(units=[card.gpu for node in nodes for card in node.cards], leased=leases)
    return {"nodes": nodes, "count": count, "simulated": any(node.simulated and node.cards for node in nodes)}


def _audience(request: PersonRequest) -> Audience:
    return Audience(request.user.pk, request.user.is_administrator)


def _node(node: Node, cards: list[CardView], sample: dict[str, Any] | None) -> NodeView:
    return NodeView(node=node, cards=cards, fault=sample["fault"] if sample else "", silent=sample is None)


def _by_uuid(sample: dict[str, Any] | None) -> dict[str, dict[str, Any]]:
    return {card["uuid"]: card for card in sample["cards"]} if sample else {}


def _card(row: Gpu, readings: dict[str, dict[str, Any]], leases: dict[str, Lease], audience: Audience) -> CardView:
    """Who holds it is asked of the record: a reading may be seconds old."""
    lease = leases.get(row.pk)
    holder = {"lab": lease.lab_id, "name": lease.lab.name, "owner": lease.lab.owner_id, "owner_name": str(lease.lab.owner)} if lease else None
    return CardView(row, card_for(readings.get(row.pk, {"uuid": row.pk}) | {"holder": holder, "mig": row.mig}, audience))


def _day(minutes: Sequence[GpuMinute], total_mib: int) -> dict[str, list[Any]]:
    """The last day in columns, for the chart."""
    return {
        "at": [one.minute.timestamp() for one in minutes],
        "gpu": [one.gpu_pct_avg for one in minutes],
        "memory": [round(100 * one.memory_mib_max / total_mib, 1) if one.memory_mib_max is not None and total_mib else None for one in minutes],
    }
