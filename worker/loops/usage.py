"""What each running lab uses: CPU, memory, shm, and the processes that are its own. Asks the engine, so it may be slow."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from labs.lifecycle import states
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_kills_seen, lab_torch_seen
from labs.telemetry.services import lab_usage_record
from worker.hands import Hands
from worker.runtimes.base import MIB, RuntimeFault

log = logging.getLogger(__name__)
#: One thread: an engine that hangs delays the use of labs, never the reading of cards.
pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="usage")
GPU_METRICS = ("uuid", "index", "gpu_pct", "memory_used_mib", "memory_total_mib", "power_w", "power_limit_w", "temperature_c")

#: Lab of each host pid on a card, as the engine said last. Only a cache: it is filled again by the next round.
owners_of_pids: dict[int, str] = {}


def tick(*, hands: Hands, cards: Mapping[str, Sequence[Mapping[str, Any]]], now: datetime) -> None:
    """Record one sample of every running lab of the node. `cards` are the readings of each lab's cards, by lab id."""
    pids: dict[int, str] = {}
    for lab in Lab.objects.filter(node_id=hands.node_id, state=states.RUNNING):
        try:
            pids |= _lab(lab, hands, cards.get(lab.pk, ()), now)
        except RuntimeFault as fault:
            log.warning("the use of lab %s is not known now: %s", lab.pk, fault.words)
    owners_of_pids.update(pids)
    for gone in owners_of_pids.keys() - pids.keys():
        del owners_of_pids[gone]


def _lab(lab: Lab, hands: Hands, cards: Sequence[Mapping[str, Any]], now: datetime) -> dict[int, str]:
    name = f"gpulab-{lab.pk}-{lab.attempt}"
    usage = hands.runtime.usage(name)
    if usage is None:
        return {}
    if usage.oom_kills:
        lab_kills_seen(lab_id=lab.pk, kills=usage.oom_kills, now=now)
    if usage.own_torch != lab.own_torch:
        lab_torch_seen(lab_id=lab.pk, own_torch=usage.own_torch, now=now)
    lab_usage_record(
        lab_id=lab.pk,
        cpu_ns=usage.cpu_ns,
        memory_mib=_mib(usage.memory_bytes),
        shm_mib=_mib(usage.shm_bytes),
        gpus=[{name: card[name] for name in GPU_METRICS} for card in cards],
        now=now,
    )
    return dict.fromkeys(hands.runtime.processes(name), lab.pk) if any(card["processes"] for card in cards) else {}


def _mib(size: int | None) -> int | None:
    return size // MIB if size is not None else None
