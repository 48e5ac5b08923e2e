"""Make the node as the record wants it: load wanted and observed, diff, apply. Right by the clock alone."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from labs.files.queries import desk_ids, desk_owners
from labs.lifecycle import states
from labs.lifecycle.models import Lab, PersonNetwork
from labs.lifecycle.moves import lab_assign, lab_end, lab_exit_record, lab_gone, lab_log_record, lab_restart
from labs.lifecycle.repairs import lab_addressed
from labs.quarantine.queries import strays_due
from labs.quarantine.services import Seen, strays_note
from worker.diff import Known, Step, Wanted, steps
from worker.hands import Hands
from worker.loops import alone
from worker.runtimes.base import Observed, RuntimeFault
from worker.starting import addresses, lab_start

log = logging.getLogger(__name__)
LOG_LINES = 200
#: Starts and stops wait for the engine; ten at once is what a class brings.
pool = ThreadPoolExecutor(max_workers=10, thread_name_prefix="hands")
#: Rung looks, one after another: an engine that hangs holds up none of the threads that consume tasks.
rung = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rung")
RUNG = "rung"


def tick(*, hands: Hands, now: datetime) -> list[Step]:
    """One round. Slow steps go on in threads, each lab in at most one of them; the rest is done when this returns."""
    before = wanted_on(node_id=hands.node_id)
    alone.remember(hands=hands, limits={lab.name: ends for lab in before if (ends := lab.over_at)})
    pages = desk_ids(node_id=hands.node_id)
    observed = [one for one in hands.runtime.observe() if one.lab_id not in pages]
    wanted, observed = _steady(before, observed, wanted_on(node_id=hands.node_id))
    made = steps(wanted, observed, _known(observed), now, hands.booted_at())
    for step in made:
        try:
            _apply(step, hands, now)
        except RuntimeFault as fault:
            log.warning("%s of %s is tried again: %s", step.do, step.name, fault.words)
    _strays([step.seen for step in made if step.do == "stray" and step.seen], hands, now)
    return made


def _adopted(one: Observed, hands: Hands, now: datetime) -> bool:
    """The record is older than the lab's start (a backup was restored): place the lab where it runs, with the cards that it has."""
    if not one.running or not Lab.objects.filter(pk=one.lab_id, state=states.QUEUED, attempt=one.attempt, ask_first=False).exists():
        return False
    return lab_assign(lab_id=one.lab_id, node_id=hands.node_id, gpu_uuids=one.gpu_uuids, now=now)


def soon(*, hands: Hands) -> bool:
    """Look as soon as a look under way is over; False when one is asked for already. However often it is rung, one waits."""
    if not hands.take(RUNG):
        return False
    rung.submit(_rung, hands)
    return True


def _rung(hands: Hands) -> None:
    hands.release(RUNG)  # whoever rings from now on may mean something that this look does not see
    hands.alone(lambda: tick(hands=hands, now=hands.clock()), "a look that was rung for")


def _known(observed: Sequence[Observed]) -> dict[str, Known]:
    labs = Lab.objects.filter(pk__in={one.lab_id for one in observed}).values_list("pk", "attempt", "state")
    return {pk: Known(attempt=attempt, ended=state in states.FINAL) for pk, attempt, state in labs}


def _strays(found: Sequence[Observed], hands: Hands, now: datetime) -> None:
    """Take back into the record what can be; list the others for the administrator; remove those whose grace is over and that are still there."""
    found = [one for one in found if not _adopted(one, hands, now)]
    strays_note(node_id=hands.node_id, seen=[Seen(one.name, one.lab_id, one.running, one.gpu_uuids) for one in found], now=now)
    for name in set(strays_due(node_id=hands.node_id, now=now)) & {one.name for one in found}:
        log.warning("%s was in quarantine and is removed now", name)
        _remove(name, hands)


def _steady(before: list[Wanted], observed: list[Observed], after: list[Wanted]) -> tuple[list[Wanted], list[Observed]]:
    """Only what the record says alike before and after the look at the engine, which may take its time.

    A lab that was placed or became ready meanwhile would else look like a leftover or like one whose container is missing.
    """
    same = {lab.name: lab for lab in after if lab in before}
    moving = {lab.name for lab in (*before, *after)} - set(same)
    return list(same.values()), [one for one in observed if one.name not in moving]


def wanted_on(*, node_id: str) -> list[Wanted]:
    """Every placed lab of the node."""
    labs = Lab.objects.select_related("owner", "node").filter(node_id=node_id, state__in=states.PLACED)
    return [
        Wanted(
            lab_id=lab.pk,
            attempt=lab.attempt,
            state=lab.state,
            stop=lab.target == Lab.Target.STOPPED,
            restart=lab.next_gpus is not None,
            ends_at=lab.ends_at,
            deadline_at=lab.deadline_at,
            try_at=lab.try_at,
            owner_active=lab.owner.is_active,
            leave_by=lab.node.drain_until if lab.node else None,
            since=lab.state_since,
            jupyter=(lab.jupyter_host, lab.jupyter_port) if lab.jupyter_port else None,
            ssh=(lab.ssh_host, lab.ssh_port) if lab.ssh_port else None,
            job=lab.is_job,
        )
        for lab in labs
    ]


def networks_tidy(*, hands: Hands) -> None:
    """Remove the networks of people who have neither lab nor file page here now, and give their slots back."""
    used = set(Lab.objects.filter(node_id=hands.node_id, state__in=states.PLACED).values_list("owner_id", flat=True)) | desk_owners(node_id=hands.node_id)
    rows = PersonNetwork.objects.select_related("node").filter(node_id=hands.node_id)
    keep = {row.name for row in rows.filter(owner_id__in=used)}
    removed = hands.runtime.networks_prune(keep)
    for row in rows.exclude(owner_id__in=used):
        if row.name in removed:
            row.delete()


def _apply(step: Step, hands: Hands, now: datetime) -> None:
    if step.do == "start":
        hands.once(pool, step.lab_id, lambda: lab_start(lab_id=step.lab_id, hands=hands))
    elif step.do in ("stop", "kill"):
        grace_s = states.STOP_GRACE_S if step.do == "stop" else 0.0
        hands.once(pool, step.lab_id, lambda: lab_stop(lab_id=step.lab_id, name=step.name, hands=hands, grace_s=grace_s))
    elif step.do == "remove":
        _remove(step.name, hands)
    elif step.do == "address" and step.seen:
        lab_addressed(lab_id=step.lab_id, attempt=step.seen.attempt, addresses=addresses(step.seen), now=now)
    elif step.do == "restart":
        lab_restart(lab_id=step.lab_id, now=now)
    elif step.do == "gone":
        lab_gone(lab_id=step.lab_id, now=now)
    elif step.do == "end":
        if step.seen and step.seen.exit_code is not None:
            lab_exit_record(lab_id=step.lab_id, attempt=step.seen.attempt, exit_code=step.seen.exit_code)
        lab_end(lab_id=step.lab_id, code=step.code, now=now, detail=step.detail, log_tail=_tail(step.name, hands))


def _tail(name: str, hands: Hands) -> str:
    """The last lines of a container's log; none where it cannot be read, which holds up no end."""
    try:
        return hands.runtime.logs(name, LOG_LINES)
    except RuntimeFault as fault:
        log.warning("the log of %s is not kept: %s", name, fault.words)
        return ""


def _remove(name: str, hands: Hands) -> None:
    hands.once(pool, name, lambda: hands.runtime.stop(name, 0))


def log_read(*, lab_id: str, hands: Hands) -> None:
    """Write down the last lines of a lab's log."""
    lab = Lab.objects.get(pk=lab_id)
    if tail := _tail(f"gpulab-{lab.pk}-{lab.attempt}", hands):
        lab_log_record(lab_id=lab_id, attempt=lab.attempt, tail=tail)


def lab_stop(*, lab_id: str, name: str, hands: Hands, grace_s: float = states.STOP_GRACE_S) -> None:
    """End the container and, when the engine confirms that it is gone, the lab. Its log's tail is kept."""
    log_read(lab_id=lab_id, hands=hands)
    hands.runtime.stop(name, grace_s)
    lab = Lab.objects.get(pk=lab_id)
    restart = lab.next_gpus is not None and lab.target == Lab.Target.RUNNING
    (lab_restart if restart else lab_gone)(lab_id=lab_id, now=hands.clock())
