"""Which calls are to be made, and what became of each. The ledger is what is told; each call is taken by one sender at a time."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from labs.bus.secrets import unseal
from labs.ledger.models import Event
from labs.ledger.services import event_record
from labs.lifecycle.models import Lab
from labs.notices.services import notice_queue
from labs.webhooks.models import Call, Hook
from labs.webhooks.rules import MOST_GIVEN_UP, SEAL, TEST, next_wait

#: Events are looked for again so long after they were written: one whose transaction was slow is seen after one that came later.
OVERLAP = timedelta(minutes=2)
#: What is older is told no more, when the house was away.
LATE = timedelta(hours=1)
#: A sender that dies with a call in its hands gives it back after this long.
TAKEN_FOR = timedelta(minutes=2)
KEEP = timedelta(days=30)
#: In one look, for one webhook.
MOST_AT_ONCE = 500
GONE = 410


@dataclass(frozen=True, slots=True)
class Due:
    """One call to make."""

    call_id: int
    public_id: str
    url: str
    secret: str
    body: dict[str, Any]


def calls_queue(*, now: datetime) -> int:
    """Queue a call for each event that a webhook has not been told, so many at a time; how many. Looking twice, or by two workers, queues nothing twice."""
    return sum(_queue(hook, now) for hook in Hook.objects.select_related("owner").filter(paused=False, owner__is_active=True))


def calls_due(*, now: datetime, but: Collection[int] = (), limit: int = 200) -> dict[int, list[int]]:
    """Ids of the calls whose time has come, oldest first, by webhook; none of the webhooks `but`, which are being called."""
    rows = Call.objects.filter(state=Call.State.WAITING, next_try_at__lte=now).exclude(hook__in=list(but)).order_by("next_try_at", "pk")
    found: dict[int, list[int]] = {}
    for call_id, hook_id in rows.values_list("pk", "hook_id")[:limit]:
        found.setdefault(hook_id, []).append(call_id)
    return found


def call_take(*, call_id: int, now: datetime) -> Due | None:
    """Take a call in hand; None when another sender has it, it is over, or nobody may be told any more."""
    rows = Call.objects.filter(pk=call_id, state=Call.State.WAITING, next_try_at__lte=now)
    if not rows.update(next_try_at=now + TAKEN_FOR, tries=F("tries") + 1):
        return None
    row = Call.objects.select_related("hook__owner").get(pk=call_id)
    hook = row.hook
    if not hook.owner.is_active or (hook.paused and row.kind != TEST) or (hook.everyone and not hook.owner.is_administrator):
        _end(call_id, Call.State.FAILED, now, words="It was paused, or its owner may not be told any more.")
        return None
    url, secret = unseal(SEAL, hook.url_sealed), unseal(SEAL, hook.secret_sealed)
    if url is None or secret is None:
        _end(call_id, Call.State.FAILED, now, words="Its address cannot be read any more: make it anew.")
        return None
    return Due(call_id, row.public_id, url, secret, row.body)


def call_sent(*, call_id: int, status: int, now: datetime) -> None:
    """The other side has taken it."""
    _end(call_id, Call.State.SENT, now, status=status)
    Hook.objects.filter(calls=call_id).exclude(given_up=0).update(given_up=0)


def call_failed(*, call_id: int, words: str, status: int | None, permanent: bool, now: datetime) -> None:
    """It was not taken: try again later, a bounded number of times. After too many given up in a row, or when the other side says that it is gone for good,
    the webhook is switched off and its owner told."""
    row = Call.objects.select_related("hook__owner").get(pk=call_id)
    wait = None if permanent or row.kind == TEST else next_wait(tries=row.tries)
    if wait is not None:
        Call.objects.filter(pk=call_id).update(next_try_at=now + wait, last_status=status, last_words=words[:300])
        return
    _end(call_id, Call.State.FAILED, now, status=status, words=words)
    if row.kind == TEST:
        return
    Hook.objects.filter(pk=row.hook_id).update(given_up=F("given_up") + 1)
    if status == GONE or Hook.objects.filter(pk=row.hook_id, given_up__gte=MOST_GIVEN_UP).exists():
        _switch_off(row.hook, words, now)


def calls_prune(*, now: datetime) -> int:
    """Forget old calls; how many rows."""
    return Call.objects.filter(queued_at__lt=now - KEEP).delete()[0]


def _queue(hook: Hook, now: datetime) -> int:
    since = max(hook.looked_at - OVERLAP, hook.created_at, now - LATE)
    if hook.everyone and not hook.owner.is_administrator:
        return 0
    rows = Event.objects.filter(kind__in=hook.events, at__gte=since, subject__startswith="lab:")
    if not hook.everyone:
        own = Lab.objects.filter(Q(ended_at=None) | Q(ended_at__gte=since - LATE), owner=hook.owner).only("pk")
        rows = rows.filter(subject__in=[lab.subject for lab in own])
    told = Call.objects.filter(hook=hook, queued_at__gte=since - LATE, event_id__isnull=False).values("event_id")
    events = list(rows.exclude(pk__in=told).order_by("at", "id")[:MOST_AT_ONCE])
    labs = {lab.subject: lab for lab in Lab.objects.select_related("owner").filter(pk__in={event.subject.partition(":")[2] for event in events})}
    calls = [
        Call(hook=hook, event_id=event.pk, kind=event.kind, body=_body(event, lab), next_try_at=now, queued_at=now)
        for event in events
        if (lab := labs.get(event.subject)) and (hook.everyone or lab.owner_id == hook.owner_id)
    ]
    Call.objects.bulk_create(calls, ignore_conflicts=True)
    # what did not fit is looked for again: the next look begins where this one ended
    Hook.objects.filter(pk=hook.pk).update(looked_at=events[-1].at if len(events) == MOST_AT_ONCE else now)
    return len(calls)


def _body(event: Event, lab: Lab) -> dict[str, Any]:
    """What is told of it: nothing that opens anything."""
    told = {"id": lab.pk, "name": lab.name, "owner": lab.owner.email, "gpus": lab.gpus, "attempt": lab.attempt, "page": f"{settings.PORTAL_URL}/labs/{lab.pk}/"}
    job = {"command": lab.command, "exit_code": lab.exit_code} if lab.command else None
    return {"type": event.kind, "timestamp": event.at.isoformat(), "data": {"event": event.pk, "words": event.words, "lab": told, "job": job}}


def _switch_off(hook: Hook, words: str, now: datetime) -> None:
    with transaction.atomic():
        if not Hook.objects.filter(pk=hook.pk, paused=False).update(paused=True, off_words=words[:300]):
            return
        Call.objects.filter(hook=hook, state=Call.State.WAITING).update(state=Call.State.FAILED, ended_at=now)
        told = f"{hook} at {hook.host} did not take what it was sent, time and again. The last answer: {words} It is called no more until you let it go on."
        notice_queue(user=hook.owner, kind="webhook", subject=f"Your webhook {hook} was switched off", words=told, now=now, url="/account/webhooks/")
        event_record(kind="webhook.off", subject=f"person:{hook.owner_id}", words=f"Webhook {hook} was switched off: {words}", actor=None, now=now)


def _end(call_id: int, state: str, now: datetime, *, status: int | None = None, words: str = "") -> None:
    Call.objects.filter(pk=call_id).update(state=state, ended_at=now, last_status=status, last_words=words[:300])
