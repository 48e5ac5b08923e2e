"""Is each lab of this node in use? Looks at its cards, CPU, Jupyter and SSH; warns where its owner reads it; stops what nobody uses."""

import http.client
import logging
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from labs.idleness.rules import Do, Signs
from labs.idleness.services import idle_look, idle_told
from labs.lifecycle import states
from labs.lifecycle.models import Lab
from labs.lifecycle.tokens import upstream_token
from labs.people.errors import Refused
from labs.snapshots.rules import IDLE
from labs.snapshots.services import snapshot_ask
from labs.telemetry.queries import lab_usage_recent
from worker.asking import Unanswered, ask, understood
from worker.hands import Hands
from worker.runtimes.base import RuntimeFault
from worker.sockets import connections_to
from worker.terminals import terminals_write

log = logging.getLogger(__name__)
#: What a lab did since the look before, not in the very moment.
SPAN = timedelta(seconds=60)
DEADLINE_S = 3


def tick(*, hands: Hands, now: datetime) -> None:
    """One look at every running lab of the node. Labs of a class end with it."""
    for lab in Lab.objects.select_related("owner").filter(node_id=hands.node_id, state=states.RUNNING, target=Lab.Target.RUNNING, meeting=None):
        looked = idle_look(lab=lab, signs=signs_of(lab=lab, now=now), now=now)
        if looked.do == Do.STOP and settings.SNAPSHOT_IDLE_GIB:
            with suppress(Refused):  # one is being made
                snapshot_ask(owner=lab.owner, node_id=hands.node_id, why=IDLE, actor=None, now=now)
        if looked.do == Do.WARN and lab_terminals_write(hands=hands, lab=lab, words=looked.words):
            idle_told(lab=lab, now=now)


def signs_of(*, lab: Lab, now: datetime) -> Signs:
    """What can be seen of a lab now."""
    samples = [one for one in lab_usage_recent(lab_id=lab.pk) if one["at"] >= (now - SPAN).timestamp()]
    kernels, terminals = _asked(lab, "api/kernels"), _asked(lab, "api/terminals")
    return Signs(
        gpus=lab.gpus,
        cpus=lab.cpus,
        gpu_pct=_mean([max((card["gpu_pct"] for card in one["gpus"] if card.get("gpu_pct") is not None), default=None) for one in samples]),
        cpu_pct=_mean([one["cpu_pct"] for one in samples]),
        jupyter=kernels is not None and terminals is not None,
        kernels=len(kernels or ()),
        kernels_busy=sum(one.get("execution_state") == "busy" for one in kernels or ()),
        kernel_at=_latest(kernels),
        terminals=len(terminals or ()),
        terminal_at=_latest(terminals),
        ssh=connections_to(lab.ssh_port) if lab.ssh_port else 0,
    )


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _latest(rows: list[dict[str, Any]] | None) -> datetime | None:
    return max((moment for one in rows or () if (moment := _moment(one.get("last_activity")))), default=None)


def _moment(said: object) -> datetime | None:
    """A moment as Jupyter writes it; None for whatever else is there."""
    with suppress(ValueError):
        found = datetime.fromisoformat(str(said))
        return found if found.tzinfo else None
    return None


def _asked(lab: Lab, path: str) -> list[dict[str, Any]] | None:
    """A list of the lab's own Jupyter; None where it does not answer, or with something else: a lab answers what its owner lets it."""
    token = upstream_token(lab_id=lab.pk, attempt=lab.attempt)
    address = (lab.jupyter_host, lab.jupyter_port or 0)
    try:
        status, said = ask(address=address, path=lab.base_url + path, within=DEADLINE_S, headers={"Authorization": f"token {token}"})
    except Unanswered:
        return None
    found = understood(said) if status == http.client.OK else None
    return found if isinstance(found, list) and all(isinstance(one, dict) for one in found) else None


def lab_terminals_write(*, hands: Hands, lab: Lab, words: str) -> int:
    """Write a line of words to every terminal of the lab; how many were reached."""
    try:
        return terminals_write(pids=hands.runtime.processes(f"gpulab-{lab.pk}-{lab.attempt}"), words=words)
    except RuntimeFault as fault:
        log.warning("the terminals of lab %s are not known now: %s", lab.pk, fault.words)
        return 0
