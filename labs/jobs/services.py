"""Keeping what starts jobs by itself, and starting them."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from labs.bus.secrets import secret_digest, secret_new
from labs.jobs.models import Arrival, Trigger, Watched
from labs.jobs.rules import cron_fault, next_runs, watch_fault, weekly_cron, weekly_fault, with_file
from labs.ledger.services import event_record
from labs.lifecycle.allowances import allowance_of
from labs.lifecycle.models import Lab, name_validator
from labs.lifecycle.services import lab_request
from labs.lifecycle.wishes import Wish, image_offered, wish_check, wish_whole
from labs.people.errors import Refused
from labs.people.models import User
from labs.people.queries import person_held

SECRET_PREFIX = "gpj_"
MOST = 20


def trigger_create(*, owner: User, name: str, wish: Wish, kind: str, now: datetime, cron: str = "", watch: str = "") -> tuple[Trigger, str]:
    """Keep a job with what starts it; the secret of a call, which is shown once, is empty for a schedule. Refused when the job could never run."""
    if kind not in Trigger.Kind.values:
        raise Refused("A job is started by a schedule, by a call or by a file.", field="kind")
    _name_check(name)
    if not wish.command:
        raise Refused("Say which program it runs.", field="command")
    _start_check(kind, cron, watch, now)
    _possible(owner, wish, now)
    secret = secret_new(SECRET_PREFIX) if kind == Trigger.Kind.CALL else ""
    row = Trigger(owner=owner, name=name, kind=kind, wish=asdict(wish) | {"name": ""}, created_at=now, digest=secret_digest(secret) if secret else "")
    if kind == Trigger.Kind.SCHEDULE:
        row.cron = " ".join(cron.split())
        row.next_at = _next(row, now)
    row.watch = watch if kind == Trigger.Kind.FILE else ""
    try:
        with person_held(user=owner):
            if Trigger.objects.filter(owner=owner).count() >= MOST:
                raise Refused(f"You have {MOST} of them already; remove one first.", field="name")
            row.save(force_insert=True)
            event_record(kind="job.kept", subject=f"person:{owner.pk}", words=f"Job {name} is started {row.when_words}.", actor=owner, now=now)
    except IntegrityError as error:
        raise Refused(f"You have a job named {name} already.", field="name", code="name_taken") from error
    return row, secret


def trigger_pause(*, trigger: Trigger, paused: bool, now: datetime) -> None:
    """Start it no more, or again; a schedule that goes on does not make up for what it missed."""
    with transaction.atomic():
        trigger.paused = paused
        trigger.next_at = _next(trigger, now) if trigger.kind == Trigger.Kind.SCHEDULE else None
        trigger.save(update_fields=["paused", "next_at"])
        words = f"Job {trigger} is {'paused' if paused else 'started again'}."
        event_record(kind="job.paused", subject=f"person:{trigger.owner_id}", words=words, actor=trigger.owner, now=now)


def trigger_remove(*, trigger: Trigger, now: datetime) -> None:
    """Forget it; its runs stay."""
    with transaction.atomic():
        event_record(kind="job.removed", subject=f"person:{trigger.owner_id}", words=f"Job {trigger} was removed.", actor=trigger.owner, now=now)
        trigger.delete()


def trigger_fire(*, trigger: Trigger, key: str, now: datetime, path: str = "") -> Lab | None:
    """Start its job once for each `key`, with the file at `path` where one started it; None when the wish is refused now, which its owner reads beside it."""
    kept = trigger.wish
    data = kept.get("data")  # JSON knows no tuples
    wish = Wish(**kept | {"command": with_file(kept["command"], path), "data": None if data is None else tuple(data)})
    try:
        lab, words = lab_request(owner=trigger.owner, wish=wish, now=now, actor=trigger.owner, idempotency_key=f"job:{trigger.pk}:{key}"[:80]), ""
    except Refused as refused:
        lab, words = None, refused.words
    Trigger.objects.filter(pk=trigger.pk).update(last_at=now, last_words=words[:300], **({"last_lab": lab} if lab else {}))
    return lab


def trigger_due_fire(*, trigger: Trigger, now: datetime) -> Lab | None:
    """Start the job of a schedule whose moment has come and set its next one, both or neither; whoever is second finds the moment taken.

    However many moments were missed while the house was away, one job makes up for them.
    """
    due = trigger.next_at
    with transaction.atomic():
        if due is None or not Trigger.objects.filter(pk=trigger.pk, next_at=due, paused=False).update(next_at=_next(trigger, now)):
            return None
        return trigger_fire(trigger=trigger, key=f"{due:%Y%m%d%H%M}", now=now)


def arrivals_seen(*, trigger_id: int, node_id: str, files: Mapping[str, str], now: datetime) -> int:
    """A node tells which whole files lie in a watched folder, each with its mark; how many are new. Those of its first look are known and start nothing."""
    with transaction.atomic():
        _, is_first = Watched.objects.get_or_create(trigger_id=trigger_id, node_id=node_id, defaults={"since": now})
        rows = Arrival.objects.filter(trigger_id=trigger_id, node_id=node_id)
        known = {(row.file, row.mark): row.pk for row in rows}
        rows.filter(pk__in=[pk for (file, mark), pk in known.items() if files.get(file) != mark]).delete()
        new = [(file, mark) for file, mark in files.items() if (file, mark) not in known]
        fired = now if is_first else None
        made = [Arrival(trigger_id=trigger_id, node_id=node_id, file=file, mark=mark, seen_at=now, fired_at=fired) for file, mark in new]
        Arrival.objects.bulk_create(made, ignore_conflicts=True)
    return 0 if is_first else len(new)


def arrival_fire(*, arrival: Arrival, now: datetime) -> Lab | None:
    """Start the job of a file that has come, once; None when it is refused now: it waits, and its owner reads why."""
    trigger = arrival.trigger
    key = f"{arrival.pk}:{arrival.seen_at:%Y%m%d%H%M%S}"  # its number alone may be another file's after a restore
    lab = trigger_fire(trigger=trigger, key=key, now=now, path=f"/workspace/{trigger.watch}/{arrival.file}")
    if lab:
        Arrival.objects.filter(pk=arrival.pk).update(fired_at=now)
    return lab


def weekly(*, weekdays: Collection[int], at: str) -> str:
    """Days of the week (Monday is 0) and a time as the expression that a schedule is; refused in words when they are none."""
    if fault := weekly_fault(weekdays=weekdays, at=at):
        raise Refused(fault, field="at" if weekdays else "weekdays")
    return weekly_cron(weekdays=weekdays, at=at)


def schedule_preview(*, cron: str, now: datetime) -> list[datetime]:
    """The next runs of a schedule that is not kept yet; refused in words when it can be none."""
    if fault := cron_fault(cron):
        raise Refused(fault, field="cron")
    return next_runs(cron=cron, zone=timezone.get_default_timezone(), after=now)


def _start_check(kind: str, cron: str, watch: str, now: datetime) -> None:
    if kind == Trigger.Kind.SCHEDULE:
        schedule_preview(cron=cron, now=now)
    if kind == Trigger.Kind.FILE and (fault := watch_fault(watch)):
        raise Refused(fault, field="watch")


def _name_check(name: str) -> None:
    try:
        name_validator(name)
    except ValidationError as error:
        raise Refused("A name has " + error.messages[0], field="name") from error


def _next(trigger: Trigger, now: datetime) -> datetime:
    return next_runs(cron=trigger.cron, zone=timezone.get_default_timezone(), after=now, count=1)[0]


def _possible(owner: User, wish: Wish, now: datetime) -> None:
    may = allowance_of(user=owner, now=now)
    whole = wish_whole(wish=wish, limits=may.limits)
    wish_check(owner=owner, wish=whole, image=image_offered(image_id=wish.image_id, owner=owner, now=now), limits=may.limits, shares=may.shares, now=now)
