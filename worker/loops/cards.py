"""Whether the node's cards are well, from each reading: Xids, memory that fails, and what is on cards that nobody has."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings

from labs.fleet.sickness import Look
from labs.lifecycle import states
from labs.lifecycle.models import Lab
from labs.lifecycle.sickness import card_xid_seen, cards_look, lab_device_seen
from worker.hands import Hands
from worker.probes.base import CardXid
from worker.runtimes.base import RuntimeFault

log = logging.getLogger(__name__)
Card = Mapping[str, Any]


def tick(*, hands: Hands, cards: Sequence[Card], xids: Iterable[CardXid], leased: Collection[str], now: datetime) -> None:
    """Judge one reading. `xids` are the probe's, the kernel's come beside them; `leased` are the UUIDs of cards that labs have."""
    for xid in (*xids, *hands.kernel_xids()):
        log.warning("Xid %d of card %s", xid.code, xid.card)
        card_xid_seen(node_id=hands.node_id, card=xid.card, code=xid.code, now=now)
    cards_look(node_id=hands.node_id, looks=[_look(card, card["uuid"] in leased) for card in cards if not card["fault"]], now=now)


def _look(card: Card, leased: bool) -> Look:
    return Look(card["uuid"], card["memory_used_mib"], _strangers(card["processes"]), card["ecc_errors"], leased)


def _strangers(processes: Iterable[Card]) -> list[str]:
    """Processes that may not be on a card that no lab has: all but those that the administrator allowed by name."""
    return [f"process {one['name'] or 'without a name'} ({one['pid']})" for one in processes if one["name"] not in settings.CARD_PROCESSES]


def inside_tick(*, hands: Hands, now: datetime) -> None:
    """Can each lab of this node still open its GPUs? Once a minute: it asks inside the lab."""
    for lab in Lab.objects.filter(node_id=hands.node_id, state=states.RUNNING, target=Lab.Target.RUNNING, gpus__gt=0):
        try:
            shut = hands.runtime.device_shut(f"gpulab-{lab.pk}-{lab.attempt}")
        except RuntimeFault as fault:
            log.warning("lab %s could not be asked for its GPUs: %s", lab.pk, fault.words)
        else:
            lab_device_seen(lab=lab, shut=shut, now=now)
