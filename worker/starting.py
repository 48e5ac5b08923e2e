"""Starting one lab: container, limits read back, Jupyter answering. Idempotent: every step may be the second of its kind."""

import http.client
import logging
import time
from contextlib import suppress
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Max

from labs.bus.doorbell import node_queue, ring
from labs.catalogue.queries import may_use
from labs.lifecycle import states
from labs.lifecycle.models import Lab, PersonNetwork
from labs.lifecycle.moves import lab_end, lab_ready, lab_retry, lab_stage
from labs.lifecycle.queries import gpus_of
from labs.lifecycle.tokens import gateway_public_key, upstream_token
from labs.starters.queries import starts_wanted
from worker.asking import Unanswered, ask
from worker.beside import data_of, models_of, teams_of
from worker.hands import Hands
from worker.runtimes.base import LabSpec, Observed, RuntimeFault
from worker.spec import House, LabFacts, lab_spec

log = logging.getLogger(__name__)
MOST_TRIES = 3
READY_POLL_S = 0.03
#: How often a starting lab is looked at in the record and the engine while Jupyter boots.
LOOK_S = 1.0


def lab_start(*, lab_id: str, hands: Hands) -> None:
    """Take a starting lab to running, or to its end with a reason. Returns early when somebody else moved it."""
    lab = Lab.objects.select_related("owner", "image", "node").get(pk=lab_id)
    if lab.state != states.STARTING or lab.node_id != hands.node_id or lab.target != Lab.Target.RUNNING:
        return
    if lab.started_at is None and not may_use(lab.image, lab.owner):
        lab_end(lab_id=lab_id, code="image_withdrawn", now=hands.clock())
        return
    spec = spec_of(lab=lab, isolates=hands.isolates, now=hands.clock())
    try:
        observed = hands.runtime.start(spec)
        if not lab_stage(lab_id=lab_id, attempt=lab.attempt, stage="container", words="Container started", **addresses(observed)):
            return
        verification = hands.runtime.verify(spec)
    except RuntimeFault as fault:
        _failed(lab, fault, hands.clock())
        return
    if verification.differences:
        words = "; ".join(f"{one.what} {one.where}: asked {one.asked}, found {one.found}" for one in verification.differences)
        lab_end(lab_id=lab_id, code="limits_differ", now=hands.clock(), detail=words)
        return
    if spec.command:
        hands.runtime.job_begin(spec.name)
    else:
        lab_stage(lab_id=lab_id, attempt=lab.attempt, stage="jupyter", words="Limits verified, Jupyter is starting")
    if spec.command or _answers(spec, observed, hands):
        found, not_held = dict(verification.found), list(verification.not_held)
        lab_ready(lab_id=lab_id, attempt=lab.attempt, verified=found, not_held=not_held, now=hands.clock())
        if starts_wanted(node_id=hands.node_id):
            ring("worker.starters", queue=node_queue(hands.node_id))


def spec_of(*, lab: Lab, isolates: bool, now: datetime) -> LabSpec:
    """The spec of the lab's present attempt."""
    network = network_of(node_id=str(lab.node_id), owner_id=lab.owner_id, now=now) if isolates else None
    facts = LabFacts(
        lab_id=lab.pk,
        attempt=lab.attempt,
        realm=lab.node.realm if lab.node else "",
        image=lab.image.reference,
        image_digest=lab.image.digest or f"{lab.image.repository}:{lab.image.tag}",
        owner_id=lab.owner_id,
        uid=lab.owner.uid,
        # A simulated card is leased like any other, so that everything can be tried; there is no device to hand over.
        gpu_uuids=tuple(gpu.uuid for gpu in gpus_of(lab=lab) if not gpu.simulated),
        cpus=lab.cpus,
        memory_mib=lab.memory_mib,
        shm_mib=lab.shm_mib,
        pids=lab.pids,
        base_url=lab.base_url,
        network_name=network.name if network else "",
        network_subnet=network.subnet if network else "",
        command=tuple(lab.command),
        folder=lab.folder,
        output=lab.output_folder,
        teams=teams_of(owner=lab.owner),
        data=data_of(owner=lab.owner, node_id=str(lab.node_id), realm=lab.node.realm, wanted=lab.data) if lab.node else (),
    )
    shared = str(settings.SHARED_DATA) if settings.SHARED_DATA.is_dir() else ""
    house = House(
        shared_data=shared,
        gateway_key=gateway_public_key(),
        isolates=isolates,
        scratch_mib=settings.SCRATCH_GIB * 1024,
        models=models_of(isolates=isolates)[0],
        team_gid=settings.UID_BASE + settings.UID_COUNT,
    )
    return lab_spec(facts, house, upstream_token(lab_id=lab.pk, attempt=lab.attempt))


def network_of(*, node_id: str, owner_id: int, now: datetime) -> PersonNetwork:
    """The person's slot in the node's range; the lowest free one is taken, and the constraint settles a race."""
    rows = PersonNetwork.objects.select_related("node").filter(node_id=node_id, owner_id=owner_id)
    while (found := rows.first()) is None:
        with suppress(IntegrityError), transaction.atomic():
            PersonNetwork.objects.create(node_id=node_id, owner_id=owner_id, slot=_slot_free(node_id), created_at=now)
    return found


def _slot_free(node_id: str) -> int:
    taken = set(PersonNetwork.objects.filter(node_id=node_id).values_list("slot", flat=True))
    top = PersonNetwork.objects.filter(node_id=node_id).aggregate(top=Max("slot"))["top"]
    slots = settings.NETWORK_RANGE.num_addresses // 16 - 1  # the last /28 is the firewall's probe's
    for slot in range((top if top is not None else -1) + 2):
        if slot not in taken and slot < slots:
            return slot
    raise RuntimeFault("No network is left on this node: GPULAB_NETWORK_RANGE is used up.")


def _answers(spec: LabSpec, observed: Observed, hands: Hands) -> bool:
    """Poll Jupyter's open `/api` until it answers; False when the lab ended or was stopped meanwhile.

    The more labs start at once, the slower each is polled: they need the processors for themselves.
    """
    if observed.jupyter is None:
        return False
    look_at = time.monotonic() + LOOK_S * hands.crowd
    while not _api_answers(observed.jupyter, spec.base_url):
        if time.monotonic() >= look_at:
            if not _still_starting(spec, hands):
                return False
            look_at = time.monotonic() + LOOK_S * hands.crowd
        time.sleep(READY_POLL_S * hands.crowd)
    return True


def _api_answers(address: tuple[str, int], base_url: str) -> bool:
    try:
        return ask(address=address, path=f"{base_url}api", within=2)[0] == http.client.OK
    except Unanswered:
        return False


def _still_starting(spec: LabSpec, hands: Hands) -> bool:
    """Is it worth waiting on? An exited container and a passed deadline are the reconcile loop's to end."""
    now = hands.clock()
    row = Lab.objects.filter(pk=spec.lab_id, attempt=spec.attempt, state=states.STARTING, deadline_at__gt=now)
    return row.exists() and any(one.name == spec.name and one.running for one in hands.runtime.observe())


def _failed(lab: Lab, fault: RuntimeFault, now: datetime) -> None:
    log.warning("lab %s: %s (%s)", lab.pk, fault.words, fault.detail)
    tries = lab_retry(lab_id=lab.pk, attempt=lab.attempt, words=fault.words, now=now)
    if not fault.transient or tries >= MOST_TRIES:
        lab_end(lab_id=lab.pk, code="refused_by_engine", now=now, detail=fault.words)


def addresses(observed: Observed) -> dict[str, object]:
    """Where the relay reaches it, as columns of the record."""
    jupyter, ssh = observed.jupyter or ("", None), observed.ssh or ("", None)
    return {"jupyter_host": jupyter[0], "jupyter_port": jupyter[1], "ssh_host": ssh[0], "ssh_port": ssh[1], "inside_host": observed.inside}
