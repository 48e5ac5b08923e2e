"""Moving labs between states. `lab_advance` is the only writer of `Lab.state`."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F

from labs.bus.bus import publish
from labs.bus.doorbell import node_queue, ring
from labs.ledger.services import Actor, event_record
from labs.lifecycle import states
from labs.lifecycle.at_rest import barred_from
from labs.lifecycle.diagnosis import end_told_by
from labs.lifecycle.endings import lab_requeue, lab_settle, leases_close
from labs.lifecycle.leasing import Grant, lease_judge, leases_open
from labs.lifecycle.models import Lab, Lease, Reclaim
from labs.lifecycle.telling import lab_tell, offer_tell
from labs.people.models import User
from labs.policy.queries import group_limits_lock
from labs.relocation.queries import is_moving
from labs.snapshots.queries import is_restoring
from labs.turns.services import turn_holds

#: Characters of a log that are kept.
LOG_TAIL = 8000
BEYOND = " It runs over quota: its cards may be taken back, with a notice five minutes before."


def lab_advance(*, lab_id: str, was: str, to: str, now: datetime, actor: Actor | None = None, words: str = "", **columns: Any) -> bool:
    """Move a lab from `was` to `to` with the other `columns`, its event and its announcement, in one transaction.

    False means that somebody else moved it first: look again, do not insist. Entering a final state closes its leases.
    """
    if not states.may_move(was, to):
        raise ValueError(f"A lab never moves from {was} to {to}.")
    deadline = states.DEADLINES.get(to)
    columns |= {"state": to, "state_since": now, "deadline_at": now + deadline if deadline else None}
    if to in states.FINAL:
        columns |= {"ended_at": now, "stage": "", "stage_words": "", "next_gpus": None, "jupyter_port": None, "ssh_port": None}
    with transaction.atomic():
        if not Lab.objects.filter(pk=lab_id, state=was).update(**columns):
            return False
        lab = Lab.objects.select_related("owner").get(pk=lab_id)
        if to in states.FINAL:
            lab_settle(lab=lab, now=now)
            ring("worker.schedule")
        sentence = words or _words_of(lab, was)
        event_record(kind=f"lab.{to}", subject=lab.subject, words=sentence, actor=actor, now=now, attempt=lab.attempt)
        lab_tell(lab=lab, now=now)
        lab_announce(lab=lab)
    return True


def _words_of(lab: Lab, was: str) -> str:
    """A move in words; the reason of an end is told once, where the end begins."""
    if lab.state in states.FINAL and was == states.STOPPING:
        return "Its container is gone, and its cards are free." if lab.gpus else "Its container is gone."
    return lab.reason or f"{lab.state_words}."


def lab_announce(*, lab: Lab) -> None:
    """Tell pages and the relay that something about this lab changed."""
    publish(f"lab.{lab.pk}", "state", state=lab.state, stage=lab.stage)
    publish(f"person.{lab.owner_id}", "lab", lab=lab.pk, state=lab.state)
    publish("queue", "lab", lab=lab.pk)
    publish("relay", "lab", lab=lab.pk)


def lab_stage(*, lab_id: str, attempt: int, stage: str, words: str, **columns: Any) -> bool:
    """Say how far a starting lab is. False when that attempt is no longer starting."""
    with transaction.atomic():
        rows = Lab.objects.filter(pk=lab_id, attempt=attempt, state=states.STARTING)
        if not rows.update(stage=stage, stage_words=words[:200], **columns):
            return False
        lab_announce(lab=Lab.objects.get(pk=lab_id))
    return True


def lab_assign(*, lab_id: str, node_id: str, gpu_uuids: Sequence[str], now: datetime, fence: int | None = None) -> bool:
    """Open the leases and start the lab there; False when quota, state or another lab got in between.

    The rows of the owner's capped groups and then the owner's are locked, so that two schedulers cannot both pass a
    quota; the partial unique index on open leases settles the rest. A scheduler whose turn is over (`fence` is not the
    turn's number any more) writes nothing.
    """
    try:
        with transaction.atomic():
            if fence is not None and not turn_holds(name="schedule", fence=fence):
                return False
            owner_id = Lab.objects.values_list("owner_id", flat=True).get(pk=lab_id)
            group_limits_lock(user_id=owner_id)
            # no_key: a message to the owner refers to this row, and may be written by whoever holds the lab's
            owner = User.objects.select_for_update(no_key=True).get(pk=owner_id)
            lab = Lab.objects.select_for_update().get(pk=lab_id)
            if lab.target != Lab.Target.RUNNING or not owner.is_active or is_moving(owner_id=owner_id) or is_restoring(owner_id=owner_id):
                return False
            if lab.state == states.RUNNING and lab.next_gpus is not None:
                return _assign_next(lab, owner, gpu_uuids, now)
            grant = _granted(lab, owner, node_id, gpu_uuids, now)
            if grant is None:
                return False
            leases_open(lab=lab, grant=grant, attempt=lab.attempt, now=now)
            if lab.ask_first:
                words = f"Its turn has come: room on {node_id}{_cards(gpu_uuids)} is held for its owner for 10 minutes."
                moved = lab_advance(lab_id=lab_id, was=states.QUEUED, to=states.OFFERED, now=now, words=words, node_id=node_id)
                offer_tell(lab=Lab.objects.select_related("owner").get(pk=lab_id), now=now)
                return moved
            words = f"Placed on {node_id}{_cards(gpu_uuids)}.{BEYOND if grant.over_quota else ''}"
            return lab_begin(lab=lab, node_id=node_id, words=words, now=now)
    except IntegrityError:
        return False


def _granted(lab: Lab, owner: User, node_id: str, gpu_uuids: Sequence[str], now: datetime) -> Grant | None:
    """What it gets there; None where it does not wait any more, may not have that, or must not lie there: what a node says of itself changes as others plan."""
    if lab.state != states.QUEUED or barred_from(owner_id=owner.pk, node_id=node_id):
        return None
    return lease_judge(lab=lab, owner=owner, gpus=lab.gpus, gpu_uuids=gpu_uuids, now=now)


def lab_begin(*, lab: Lab, node_id: str, words: str, now: datetime, actor: Actor | None = None) -> bool:
    """Its cards are leased: start the waiting or offered lab on its node. Call it inside the transaction that holds the lab's lock."""
    placed: dict[str, Any] = {"node_id": node_id, "stage": "placed", "stage_words": "Placed", "tries": 0, "try_at": None}
    moved = lab_advance(lab_id=lab.pk, was=lab.state, to=states.STARTING, now=now, actor=actor, words=words, **placed)
    ring("worker.lab_start", queue=node_queue(node_id), lab_id=lab.pk)
    return moved


def _assign_next(lab: Lab, owner: User, gpu_uuids: Sequence[str], now: datetime) -> bool:
    """Cards for the next attempt of a running lab: lease them now, end this attempt, start the next one with them."""
    grant = lease_judge(lab=lab, owner=owner, gpus=lab.next_gpus or 0, gpu_uuids=gpu_uuids, now=now)
    if grant is None or Reclaim.objects.filter(lab=lab, closed_at=None).exists():
        return False
    leases_open(lab=lab, grant=grant, attempt=lab.attempt + 1, now=now)
    words = f"Restarting with its new GPUs{_cards(gpu_uuids)}.{BEYOND if grant.over_quota else ''}"
    moved = lab_advance(lab_id=lab.pk, was=states.RUNNING, to=states.STOPPING, now=now, words=words, stage="restarting", stage_words="Restarting with GPUs")
    ring("worker.reconcile", queue=node_queue(str(lab.node_id)))
    return moved


def lab_restart(*, lab_id: str, now: datetime) -> bool:
    """The old attempt is gone and the next one's cards are leased: begin it on the same node."""
    with transaction.atomic():
        lab = Lab.objects.select_for_update().get(pk=lab_id)
        if lab.state != states.STOPPING or lab.next_gpus is None or lab.target != Lab.Target.RUNNING:
            return False
        leases_close(leases=Lease.objects.filter(lab=lab, closed_at=None, attempt__lte=lab.attempt), now=now)
        moved = lab_advance(
            lab_id=lab_id,
            was=states.STOPPING,
            to=states.STARTING,
            now=now,
            words="The next attempt begins.",
            attempt=F("attempt") + 1,
            gpus=lab.next_gpus,
            gpu_model=lab.next_gpu_model,
            wants_slice=lab.wants_slice if _on_a_slice(lab) else "",
            degraded="",
            next_gpus=None,
            next_gpu_model="",
            stage="placed",
            stage_words="Placed",
            tries=0,
            try_at=None,
            jupyter_port=None,
            ssh_port=None,
            oom_kills=0,
        )
        ring("worker.lab_start", queue=node_queue(str(lab.node_id)), lab_id=lab_id)
    return moved


def _on_a_slice(lab: Lab) -> bool:
    """Has its next attempt a slice: the one that it had?"""
    return Lease.objects.filter(lab=lab, attempt=lab.attempt + 1, closed_at=None).exclude(gpu__profile="").exists()


def lab_exit_record(*, lab_id: str, attempt: int, exit_code: int) -> None:
    """Note how the program of a job ended."""
    Lab.objects.filter(pk=lab_id, attempt=attempt).update(exit_code=exit_code)


def lab_ready(*, lab_id: str, attempt: int, verified: dict[str, str], not_held: list[str], now: datetime) -> bool:
    """Jupyter answers and every limit was read back: it runs, and its clock begins (a restart keeps the old clock)."""
    lab = Lab.objects.get(pk=lab_id)
    if lab.attempt != attempt:
        return False
    ends_at = lab.ends_at or now + timedelta(hours=lab.hours)
    return lab_advance(
        lab_id=lab_id,
        was=states.STARTING,
        to=states.RUNNING,
        now=now,
        words="Its program runs." if lab.is_job else "Ready: Jupyter answers.",
        started_at=lab.started_at or now,
        ends_at=ends_at,
        verified=verified,
        not_held=not_held,
        stage="ready",
        stage_words="Ready",
    )


def lab_end(*, lab_id: str, code: str, now: datetime, actor: Actor | None = None, detail: str = "", log_tail: str = "") -> bool:
    """Begin the end of a live lab for the typed reason `code`; the first reason stays. False when it is ending already.

    Where a main process ended by itself, its log may know better; a lab that its owner stops while it still waits was taken out of the queue.
    """
    code = (end_told_by(log_tail) or code) if code in ("exited", "job_failed") else code
    with transaction.atomic():
        lab = Lab.objects.select_for_update().get(pk=lab_id)
        code = "cancelled" if code == "asked" and lab.state in (states.QUEUED, states.OFFERED) else code
        words = f"{states.ENDS[code].words} {detail}".strip()
        if lab.state not in (states.QUEUED, states.OFFERED, states.STARTING, states.RUNNING) and not (
            lab.state == states.STOPPING and lab.target == Lab.Target.RUNNING
        ):
            return False
        reason = {"target": Lab.Target.STOPPED, "reason_code": code, "reason": words, "log_tail": log_tail[-LOG_TAIL:]}
        if lab.state in (states.QUEUED, states.OFFERED):
            return lab_advance(lab_id=lab_id, was=lab.state, to=states.final_state(code), now=now, actor=actor, **reason)
        if lab.state == states.STOPPING:
            return bool(Lab.objects.filter(pk=lab_id, state=states.STOPPING).update(**reason))
        moved = lab_advance(lab_id=lab_id, was=lab.state, to=states.STOPPING, now=now, actor=actor, **reason)
        ring("worker.reconcile", queue=node_queue(str(lab.node_id)))
        return moved


def lab_gone(*, lab_id: str, now: datetime) -> bool:
    """The engine confirms that its container is gone: final state, leases closed, queued again where its cards were taken back."""
    lab = Lab.objects.select_related("owner").get(pk=lab_id)
    code = lab.reason_code or "removed"
    reason: dict[str, Any] = {"reason_code": code, "reason": lab.reason or states.ENDS[code].words}
    with transaction.atomic():
        moved = lab_advance(lab_id=lab_id, was=states.STOPPING, to=states.final_state(code), now=now, **reason)
        if moved and (again := lab_requeue(lab=lab, now=now)):
            lab_announce(lab=again)
    return moved


def lab_retry(*, lab_id: str, attempt: int, words: str, now: datetime) -> int:
    """Note a failed start of this attempt and when to try again; the number of failures so far."""
    lab = Lab.objects.get(pk=lab_id)
    tries = lab.tries + 1
    lab_stage(lab_id=lab_id, attempt=attempt, stage="placed", words=f"Trying again: {words}", tries=tries, try_at=now + timedelta(seconds=2**tries))
    event_record(kind="lab.retry", subject=lab.subject, words=f"Start {tries} failed: {words}", actor=None, now=now)
    return tries


def lab_kills_seen(*, lab_id: str, kills: int, now: datetime) -> bool:
    """Tell the owner that processes of a running lab were killed for memory, once for each count."""
    if not Lab.objects.filter(pk=lab_id, state=states.RUNNING, oom_kills__lt=kills).update(oom_kills=kills):
        return False
    gib = Lab.objects.values_list("memory_mib", flat=True).get(pk=lab_id) / 1024
    words = (
        f"A process of this lab (a notebook's kernel, say) needed more than the lab's {gib:g} GiB of memory and was killed. "
        "The lab and its files are fine: restart the kernel with less data at once, or launch again with more memory."
    )
    lab_notice(lab_id=lab_id, code="out_of_memory", words=words, now=now)
    return True


def lab_log_record(*, lab_id: str, attempt: int, tail: str) -> None:
    """Keep the last lines of a lab's log, and say so when they are new."""
    with transaction.atomic():
        if Lab.objects.filter(pk=lab_id, attempt=attempt).exclude(log_tail=tail[-LOG_TAIL:]).update(log_tail=tail[-LOG_TAIL:]):
            publish(f"lab.{lab_id}", "log")


def lab_torch_seen(*, lab_id: str, own_torch: str, now: datetime) -> None:
    """Note that a lab's user installed another torch over the image's (or removed it again); its page warns while it is so."""
    own_torch = own_torch[:40]  # what a lab says of itself is of any length
    with transaction.atomic():
        if not Lab.objects.filter(pk=lab_id).exclude(own_torch=own_torch).update(own_torch=own_torch):
            return
        lab = Lab.objects.select_related("image").get(pk=lab_id)
        words = f"torch {own_torch} was installed over the image's own." if own_torch else "torch is the image's own again."
        event_record(kind="lab.torch", subject=lab.subject, words=words, actor=None, now=now)
        lab_announce(lab=lab)


def lab_notice(*, lab_id: str, code: str, words: str, now: datetime) -> None:
    """Tell the owner of a running lab something that does not end it (a kernel killed for memory)."""
    with transaction.atomic():
        lab = Lab.objects.select_for_update().get(pk=lab_id)
        lab.notices = [*lab.notices, {"at": now.isoformat(), "code": code, "words": words}][-20:]
        lab.save(update_fields=["notices"])
        event_record(kind=f"lab.notice.{code}", subject=lab.subject, words=words, actor=None, now=now)
        lab_announce(lab=lab)


def _cards(gpu_uuids: Sequence[str]) -> str:
    return f" with {', '.join(uuid[:12] for uuid in gpu_uuids)}" if gpu_uuids else ""
