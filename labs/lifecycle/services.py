"""What people wish for their labs. Each wish is judged, recorded and rung; the hands do the rest."""

import shlex
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from labs.bus.bus import publish
from labs.bus.doorbell import node_queue, ring
from labs.bus.secrets import secret_digest, secret_new
from labs.catalogue.models import Image
from labs.ledger.services import Actor, event_record
from labs.lifecycle import states
from labs.lifecycle.allowances import Allowance, allowance_of, limits_now
from labs.lifecycle.crossing import crossing_check
from labs.lifecycle.diagnosis import Fix
from labs.lifecycle.models import Lab, LabToken, name_validator
from labs.lifecycle.moves import lab_announce, lab_end
from labs.lifecycle.occupancy import ANY_SLICE
from labs.lifecycle.wishes import Wish, class_limits, image_offered, wish_check, wish_whole
from labs.people.errors import Refused
from labs.people.models import User
from labs.policy.queries import group_limits_lock
from labs.policy.rules import Limits
from labs.timetable.models import Meeting

TOKEN_PREFIX = "gpl_"
#: Characters of an idempotency key.
MOST_KEY = 80


def lab_request(*, owner: User, wish: Wish, now: datetime, actor: Actor | None, idempotency_key: str = "", meeting: Meeting | None = None) -> Lab:
    """Queue a lab. The same key makes one lab. Refused, in words, when the wish can never be granted as it is.

    With a `meeting` it runs on the cards of that class, ends with it, and is bound by its sizes instead of the owner's limits.
    """
    if len(idempotency_key) > MOST_KEY:
        raise Refused(f"A key has at most {MOST_KEY} characters.", field="idempotency_key")
    with transaction.atomic():
        group_limits_lock(user_id=owner.pk)
        User.objects.select_for_update(no_key=True).get(pk=owner.pk)
        if idempotency_key:
            earlier = Lab.objects.filter(owner=owner, idempotency_key=idempotency_key).first()
            if earlier:
                return earlier
        may = allowance_of(user=owner, now=now)
        limits, shares = (may.limits, may.shares) if meeting is None else (class_limits(wish=wish, limits=may.limits), ())
        image = image_offered(image_id=wish.image_id, owner=owner, now=now)
        wish = wish_whole(wish=wish, limits=limits)
        wish_check(owner=owner, wish=wish, image=image, limits=limits, shares=shares, now=now)
        if meeting is None:
            _pending_check(owner, may)
        lab = _lab_create(owner, wish, image, limits, idempotency_key, now, meeting)
        event_record(kind="lab.queued", subject=lab.subject, words=f"{lab.name} was asked for: {_wish_words(lab)}.", actor=actor, now=now)
        lab_announce(lab=lab)
        ring("worker.schedule")
    return lab


def lab_again(*, lab: Lab, actor: User, now: datetime, fix: Fix | None = None) -> Lab:
    """Ask for an ended lab once more under the same name, of the same sizes but for the `fix`. Asked twice, it is one lab. Refused as any wish is."""
    wish = Wish(
        image_id=lab.image_id,
        name=lab.name,
        gpus=lab.gpus,
        gpu_model=lab.gpu_model,
        cpus=lab.cpus,
        memory_gib=lab.memory_mib // 1024,
        shm_gib=lab.shm_mib // 1024,
        hours=lab.hours,
        may_borrow=lab.may_borrow,
        wants_slice=lab.wants_slice,
        requeue=lab.requeue,
        command=tuple(lab.command),
        folder=lab.folder,
        data=tuple(lab.data),
    )
    if fix:
        fields: dict[str, Any] = dict(fix.fields)
        wish = replace(wish, **fields, wants_slice="" if "gpu_model" in fields else wish.wants_slice)
    return lab_request(owner=lab.owner, wish=wish, now=now, actor=actor, idempotency_key=f"again:{lab.pk}")


def lab_stop(*, lab: Lab, actor: User, now: datetime, words: str = "") -> bool:
    """Wish the lab's end. Files stay. False when it was ending already."""
    return lab_end(lab_id=lab.pk, code="asked" if actor.pk == lab.owner_id else "administrator", now=now, actor=actor, detail=words)


def lab_extend(*, lab: Lab, hours: int, actor: User, now: datetime) -> Lab:
    """Let the lab run until `hours` from now, up to the role's hours."""
    with transaction.atomic():
        row = Lab.objects.select_for_update(of=("self",)).select_related("owner").get(pk=lab.pk)
        limits = limits_now(users=[row.owner], now=now)[row.owner_id]
        if row.state != states.RUNNING:
            raise Refused("Only a running lab can be extended.", code="state")
        _own_check(row)
        if not 1 <= hours <= limits.hours_max:
            raise Refused(f"Your limit is {limits.hours_max} hours from now.", field="hours", code="over_limit", more={"hours_max": hours})
        ends_at = now + timedelta(hours=hours)
        if row.ends_at and ends_at <= row.ends_at:
            raise Refused("It runs longer than that already.", field="hours")
        crossing_check(lab=row, ends_at=ends_at, now=now)
        Lab.objects.filter(pk=row.pk).update(ends_at=ends_at)
        row.ends_at = ends_at
        event_record(kind="lab.extended", subject=row.subject, words=f"Runs until {ends_at:%d %b %H:%M} now.", actor=actor, now=now, hours=hours)
        lab_announce(lab=row)
    return row


def lab_take_gpu(*, lab: Lab, gpus: int, gpu_model: str, actor: User, now: datetime) -> Lab:
    """Queue a next attempt of a running lab with GPUs. It runs on until the cards are free; then its kernels stop."""
    with transaction.atomic():
        row = Lab.objects.select_for_update(of=("self",)).select_related("owner", "image").get(pk=lab.pk)
        if row.state != states.RUNNING or row.next_gpus is not None:
            raise Refused("Only a running lab that does not wait for a GPU already can take one.", code="state")
        _own_check(row)
        if row.is_job:
            raise Refused("A job keeps what it was started with. Stop it and run it anew.", code="state")
        if gpus < 1 or gpus == row.gpus:
            raise Refused("Choose how many GPUs it should have.", field="gpus")
        may = allowance_of(user=row.owner, now=now)
        memory, shm = row.memory_mib // 1024, row.shm_mib // 1024
        wish = Wish(image_id=row.image_id, gpus=gpus, cpus=row.cpus, memory_gib=memory, hours=row.hours, shm_gib=shm, gpu_model=gpu_model)
        wish_check(owner=row.owner, wish=wish, image=row.image, limits=may.limits, shares=may.shares, now=now, on_node=str(row.node_id))
        row.next_gpus, row.next_gpu_model, row.counts_from = gpus, gpu_model, now
        row.save(update_fields=["next_gpus", "next_gpu_model", "counts_from"])
        words = f"Waits for {gpus} GPU{'s' if gpus > 1 else ''}; it will restart with them."
        event_record(kind="lab.take_gpu", subject=row.subject, words=words, actor=actor, now=now)
        lab_announce(lab=row)
        ring("worker.schedule")
    return row


def lab_take_gpu_cancel(*, lab: Lab, actor: User, now: datetime) -> bool:
    """Keep the running lab as it is. False when the restart has begun."""
    with transaction.atomic():
        waits = Lab.objects.filter(pk=lab.pk, state=states.RUNNING, next_gpus__isnull=False)
        if not waits.update(next_gpus=None, next_gpu_model="", counts_from=None):
            return False
        event_record(kind="lab.take_gpu", subject=lab.subject, words="No longer waits for GPUs.", actor=actor, now=now)
        lab_announce(lab=lab)
    return True


def lab_log_ask(*, lab: Lab) -> None:
    """Somebody looks at the log: ask the node for its last lines. They arrive as `log_tail` with a "log" message."""
    if lab.state in states.PLACED and lab.node_id:
        ring("worker.lab_log", queue=node_queue(lab.node_id), lab_id=lab.pk)


def lab_token_create(*, lab: Lab, name: str, actor: User, now: datetime) -> tuple[LabToken, str]:
    """A bearer token for this lab's Jupyter and its secret, which is shown once. For the owner alone."""
    if actor.pk != lab.owner_id:
        raise Refused("Only its owner makes tokens for a lab.")
    if not lab.is_live:
        raise Refused("The lab has ended.", code="state")
    secret = secret_new(TOKEN_PREFIX)
    with transaction.atomic():
        token = LabToken.objects.create(lab=lab, name=name.strip()[:100] or "token", prefix=secret[:10], digest=secret_digest(secret), created_at=now)
        event_record(kind="lab.token", subject=lab.subject, words=f"Token {token} made.", actor=actor, now=now)
        publish("relay", "token", lab=lab.pk)
    return token, secret


def lab_tokens_used(*, digests: set[str], now: datetime) -> None:
    """Note when lab tokens were used; the relay tells it now and then, not at every request."""
    LabToken.objects.filter(digest__in=digests).update(last_used_at=now)
    Lab.objects.filter(tokens__digest__in=digests, entered_at=None).update(entered_at=now)


def lab_entered(*, lab_id: str, now: datetime) -> None:
    """Its owner came into it, by browser or SSH; noted the first time. Labs of a class into which nobody comes are ended."""
    Lab.objects.filter(pk=lab_id, state__in=states.PLACED, entered_at=None).update(entered_at=now)


def lab_token_revoke(*, lab: Lab, token_id: int, actor: User, now: datetime) -> None:
    """Revoke a token of this lab; links that it opened are cut."""
    with transaction.atomic():
        token = LabToken.objects.get(lab=lab, pk=token_id)
        LabToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now)
        event_record(kind="lab.token", subject=lab.subject, words=f"Token {token} revoked.", actor=actor, now=now)
        publish("relay", "token", lab=lab.pk)


def _own_check(lab: Lab) -> None:
    """A lab of a class has what the class gives, and ends with it."""
    if lab.meeting_id is not None:
        raise Refused("It belongs to a class: it has the class's GPUs and ends with it. Afterwards launch a lab of your own on the same files.", code="state")


def _pending_check(owner: User, may: Allowance) -> None:
    pending, most = Lab.objects.filter(owner=owner, meeting=None, state=states.QUEUED).count(), may.limits.pending
    if pending >= most:
        words = f"You have {pending} labs waiting already and your limit is {most}. Wait for one to start, or take one out of the queue."
        raise Refused(words, field="pending", code="waiting", more={"pending": pending + 1})
    for share in may.shares:
        if share.caps.pending is not None and share.held.pending >= share.caps.pending:
            words = f"Your {share.words} has {share.held.pending} labs waiting already, and together they may be {share.caps.pending}. Wait for one to start."
            raise Refused(words, field="pending", code="waiting")


def _lab_create(owner: User, wish: Wish, image: Image, limits: Limits, idempotency_key: str, now: datetime, meeting: Meeting | None) -> Lab:
    lab = Lab(
        owner=owner,
        name=_name(owner, wish.name),
        image=image,
        gpus=wish.gpus,
        gpu_model=wish.gpu_model,
        cpus=wish.cpus,
        memory_mib=wish.memory_gib * 1024,
        shm_mib=(wish.shm_gib or 0) * 1024,
        pids=limits.pids,
        hours=wish.hours,
        wants_slice=wish.wants_slice,
        may_borrow=wish.may_borrow,
        requeue=wish.requeue,
        command=list(wish.command),
        folder=wish.folder,
        data=list(dict.fromkeys(wish.data or ())),
        ask_first=wish.ask_first,
        requested_at=now,
        state_since=now,
        idempotency_key=idempotency_key,
        meeting=meeting,
        ends_at=meeting.ends_at if meeting else None,
    )
    try:
        with transaction.atomic():
            lab.save(force_insert=True)
    except IntegrityError as error:
        raise Refused(f"You have a lab named {lab.name} already.", field="name", code="name_taken") from error
    return lab


def _name(owner: User, name: str) -> str:
    """The given name, checked; else the first free of lab, lab-2, …"""
    if not name:
        taken = set(Lab.objects.filter(owner=owner, state__in=states.LIVE).values_list("name", flat=True))
        return next(offer for n in range(1, 1000) if (offer := "lab" if n == 1 else f"lab-{n}") not in taken)
    try:
        name_validator(name)
    except ValidationError as error:
        raise Refused("A name has " + error.messages[0], field="name") from error
    return name


def _wish_words(lab: Lab) -> str:
    gpus = f"{lab.gpus} GPU{'' if lab.gpus == 1 else 's'}{' ' + lab.gpu_model if lab.gpu_model else ''}"
    if lab.wants_slice:
        gpus = f"a {lab.wants_slice + ' ' if lab.wants_slice != ANY_SLICE else ''}slice of a GPU{' ' + lab.gpu_model if lab.gpu_model else ''}"
    job = f"a job ({shlex.join(lab.command)[:200]}) in " if lab.is_job else ""
    return f"{job}{lab.image}, {gpus}, {lab.cpus} CPU cores, {lab.memory_mib // 1024} GiB memory, {lab.shm_mib // 1024} GiB shm, {lab.hours} h"
