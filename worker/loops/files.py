"""File pages of workspaces on this node: opened when wished, closed when nobody uses them, swept when their trash is due.

A page is a small container of its owner's with a program of ours in it, which sees the workspace and nothing else.
"""

import http.client
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from django.conf import settings

from labs.files.models import Desk
from labs.files.queries import desk_ids, desk_image, desks_on, desks_stirring, exchanged
from labs.files.rules import REST, is_over
from labs.files.services import desk_answers, desk_closed, desk_sweep_due, desk_used
from labs.lifecycle.tokens import upstream_token
from worker.asking import Unanswered, ask, understood
from worker.hands import Hands
from worker.loops import storage
from worker.runtimes import base
from worker.runtimes.base import LabSpec, Observed, RuntimeFault
from worker.spec import House, LabFacts, desk_spec
from worker.starting import network_of

log = logging.getLogger(__name__)
pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="files")
#: What it gets: enough to pack a folder and to show a notebook.
CPUS, MEMORY_MIB, SHM_MIB, PIDS = 1, 512, 16, 128
WITHIN_S, LOOK_S, GRACE_S = 60.0, 0.05, 3.0
DEADLINE_S = 3
#: Until it is looked whether something is to be swept, where the program could not be asked.
UNKNOWN = timedelta(days=1)
SLOW = "Your files did not open in time. The machine may be busy: try again in a minute."


def tick(*, hands: Hands, now: datetime) -> None:
    """One look at every file page of the node that is open or due, and at containers that should not be there any more."""
    stirring = desks_stirring(node_id=hands.node_id, now=now)
    if not stirring and not desks_on(node_id=hands.node_id).filter(state_since__gt=now - timedelta(minutes=10)).exists():
        return
    pages = desk_ids(node_id=hands.node_id)
    seen = {one.name: one for one in hands.runtime.observe() if one.lab_id in pages}
    for desk in stirring:
        _look(desk, seen.get(desk.container), hands, now)
    _leftovers(list(seen.values()), hands)


def _look(desk: Desk, one: Observed | None, hands: Hands, now: datetime) -> None:
    if desk.state == Desk.State.CLOSED:
        desk_sweep_due(desk=desk, now=now)
        desk.refresh_from_db()
    if desk.state != Desk.State.CLOSED and (words := exchanged(owner_id=desk.owner_id)):
        _close_soon(desk, hands, words)
    elif not desk.owner.is_active:
        _close_soon(desk, hands, "")
    elif desk.state == Desk.State.OPENING:
        hands.once(pool, f"desk:{desk.pk}", lambda: start(desk=desk, hands=hands))
    elif one is None or not one.running:
        hands.once(pool, f"desk:{desk.pk}", lambda: close(desk=desk, hands=hands, words="It had ended by itself. Open it again."))
    elif one.jupyter and one.jupyter != (desk.host, desk.port):
        desk_answers(desk=desk, address=one.jupyter, now=now)
    elif now >= desk.wanted_until:
        _rest(desk, hands, now)


def _rest(desk: Desk, hands: Hands, now: datetime) -> None:
    """Nobody has asked for it lately: close it, unless it is in use."""
    said = status(desk)
    idle = said.get("idle_s")
    idle_s = idle if isinstance(idle, (int, float)) else REST.total_seconds()
    if is_over(idle_s=idle_s, wanted_until=desk.wanted_until, now=now):
        _close_soon(desk, hands, "")
    else:
        desk_used(desk=desk, until=now + timedelta(minutes=1), sweep_at=_moment(said.get("sweep_at")))


def start(*, desk: Desk, hands: Hands) -> bool:
    """Take it from opening to open, or say in words why not. True when it answers."""
    if not desks_on(node_id=hands.node_id).filter(pk=desk.pk, attempt=desk.attempt, state=Desk.State.OPENING).exists():
        return False
    try:
        spec = spec_of(desk=desk, hands=hands)
        observed = hands.runtime.start(spec)
        verification = hands.runtime.verify(spec)
    except RuntimeFault as fault:
        log.warning("%s: %s (%s)", desk, fault.words, fault.detail)
        return close(desk=desk, hands=hands, words=fault.words)
    if verification.differences:
        log.error("%s differ from what was asked: %s", desk, verification.differences)
        return close(desk=desk, hands=hands, words="The machine did not give it the limits that were asked for.")
    if observed.jupyter and _answers(observed.jupyter, desk.base_url):
        return desk_answers(desk=desk, address=observed.jupyter, now=hands.clock())
    return close(desk=desk, hands=hands, words=SLOW)


def spec_of(*, desk: Desk, hands: Hands) -> LabSpec:
    """The spec of its present attempt. RuntimeFault where no image is here to run it."""
    image = desk_image(node_id=hands.node_id, preferred=settings.LAB_IMAGE)
    if image is None:
        raise RuntimeFault("No image is on this machine yet to show files with.")
    network = network_of(node_id=hands.node_id, owner_id=desk.owner_id, now=hands.clock()) if hands.isolates else None
    facts = LabFacts(
        lab_id=desk.pk,
        attempt=desk.attempt,
        realm=desk.node.realm,
        image=image.reference,
        image_digest=image.digest or f"{image.repository}:{image.tag}",
        owner_id=desk.owner_id,
        uid=desk.owner.uid,
        gpu_uuids=(),
        cpus=CPUS,
        memory_mib=MEMORY_MIB,
        shm_mib=SHM_MIB,
        pids=PIDS,
        base_url=desk.base_url,
        network_name=network.name if network else "",
        network_subnet=network.subnet if network else "",
    )
    house = House(shared_data="", gateway_key="", isolates=hands.isolates)
    told = base.Desk(portal=settings.PORTAL_URL, node=desk.node.name, left=desk.left)
    return desk_spec(facts, house, upstream_token(lab_id=desk.pk, attempt=desk.attempt), told)


def _close_soon(desk: Desk, hands: Hands, words: str) -> None:
    hands.once(pool, f"desk:{desk.pk}", lambda: close(desk=desk, hands=hands, words=words))


def close(*, desk: Desk, hands: Hands, words: str) -> bool:
    """End its container and write down when its trash is due. What it wrote is measured. Always False: it is not open."""
    said = status(desk) if desk.port else {}
    sweep_at = _moment(said["sweep_at"]) if "sweep_at" in said else desk.sweep_at or hands.clock() + UNKNOWN
    hands.runtime.stop(desk.container, GRACE_S)
    if desk_closed(desk=desk, words=words, sweep_at=_later(sweep_at, hands.clock()), now=hands.clock()):
        storage.pool.submit(hands.alone, lambda: storage.measure(hands=hands, owner_id=desk.owner_id), "measuring a workspace")
    return False


def _later(at: datetime | None, now: datetime) -> datetime | None:
    """One that failed to be swept is tried again in an hour, not at once."""
    return max(at, now + timedelta(hours=1)) if at else None


def _leftovers(seen: list[Observed], hands: Hands) -> None:
    """What the record has left behind."""
    wanted = {desk.container for desk in desks_on(node_id=hands.node_id).exclude(state=Desk.State.CLOSED)}
    for one in seen:
        if one.name not in wanted:
            hands.once(pool, f"desk:{one.lab_id}", lambda name=one.name: hands.runtime.stop(name, 0))  # type: ignore[misc]


def status(desk: Desk) -> dict[str, object]:
    """What its program says of itself: `idle_s`, and `sweep_at` in seconds of the epoch; nothing when it does not answer."""
    token = upstream_token(lab_id=desk.pk, attempt=desk.attempt)
    headers = {"Authorization": f"token {token}"}
    try:
        _, text = ask(address=(desk.host, desk.port or 0), path=f"{desk.base_url}status", within=DEADLINE_S, headers=headers)
    except Unanswered:
        return {}
    said = understood(text)
    return said if isinstance(said, dict) else {}


def _answers(address: tuple[str, int], base_url: str) -> bool:
    until = time.monotonic() + WITHIN_S
    while time.monotonic() < until:
        with suppress(Unanswered):
            if ask(address=address, path=f"{base_url}api", within=DEADLINE_S)[0] == http.client.OK:
                return True
        time.sleep(LOOK_S)
    return False


def _moment(seconds: object) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, (int, float)) else None
