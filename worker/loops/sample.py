"""Read the cards every two seconds: health to the fleet, readings to telemetry, and each lab's use beside them."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from labs.fleet.models import Gpu, Node
from labs.fleet.services import gpus_report, node_report
from labs.lifecycle.models import Lease
from labs.lifecycle.queries import leases_open
from labs.telemetry.services import readings_record
from worker.hands import Hands
from worker.loops import cards as watch
from worker.loops import usage
from worker.probes.base import GpuReading, NodeReading, ProbeFault

log = logging.getLogger(__name__)
Card = dict[str, Any]


def tick(*, hands: Hands, now: datetime) -> None:
    """One sample. A driver that fails is a sample too: every card of the node with that fault."""
    try:
        reading, fault = hands.probe.read(), ""
    except ProbeFault as error:
        reading, fault = NodeReading(hands.probe.kind, driver="", cuda="", gpus=()), error.words
    simulated = reading.kind == "simulated"
    _node_tell(hands, reading, fault, now)
    cards = _faulty_cards(hands.node_id, fault) if fault else [asdict(one) for one in reading.gpus]
    gpus_report(node_id=hands.node_id, cards=[_identity(card) for card in cards], simulated=simulated, now=now)
    leases = leases_open()
    watch.tick(hands=hands, cards=[] if simulated else cards, xids=reading.xids, leased=leases, now=now)
    whole = [_with_holder(card, leases.get(card["uuid"])) for card in cards]
    readings_record(node_id=hands.node_id, readings=whole, now=now, fault=fault, simulated=simulated)
    held = _by_lab(whole)
    hands.once(usage.pool, "usage", lambda: usage.tick(hands=hands, cards=held, now=now))


def _node_tell(hands: Hands, reading: NodeReading, fault: str, now: datetime) -> None:
    """Write down what kind of probe there is and how it does, when that changed: its heart is heard elsewhere."""
    facts = {"probe_kind": reading.kind, "probe_words": fault or hands.probe_words}
    if not fault:
        facts |= {"driver": reading.driver, "cuda": reading.cuda}
    if not Node.objects.filter(pk=hands.node_id, **facts).exists():
        node_report(node_id=hands.node_id, now=now, **facts)
        if fault:
            log.warning("probe: %s", fault)


def _faulty_cards(node_id: str, fault: str) -> list[Card]:
    """The cards that the record knows, each with the driver's fault."""
    return [
        asdict(
            GpuReading(
                uuid=gpu.uuid,
                index=gpu.index,
                model=gpu.model,
                memory_total_mib=gpu.memory_mib,
                compute_capability=gpu.compute_capability,
                mig=gpu.mig,
                parent=gpu.parent_id or "",
                profile=gpu.profile,
                share=gpu.share,
                place=tuple(gpu.place),
                pci=gpu.pci,
                fault=fault,
            )
        )
        for gpu in Gpu.objects.filter(node_id=node_id)
    ]


def _identity(card: Mapping[str, Any]) -> Card:
    """What the fleet keeps of a card."""
    kept = {name: card[name] for name in ("uuid", "index", "model", "compute_capability", "fault", "mig", "parent", "profile", "share", "pci")}
    return kept | {"memory_mib": card["memory_total_mib"] or 0, "place": list(card["place"])}


def _with_holder(card: Card, lease: Lease | None) -> Card:
    """The card with who holds it, and for each of its processes the lab that it is of (empty: of none of ours)."""
    processes = [process | {"lab": usage.owners_of_pids.get(process["pid"], "")} for process in card["processes"]]
    holder = {"lab": lease.lab_id, "name": lease.lab.name, "owner": lease.lab.owner_id, "owner_name": str(lease.lab.owner)} if lease else None
    return card | {"processes": processes, "holder": holder}


def _by_lab(cards: Sequence[Card]) -> dict[str, list[Card]]:
    labs: dict[str, list[Card]] = {}
    for card in cards:
        if card["holder"]:
            labs.setdefault(card["holder"]["lab"], []).append(card)
    return labs
