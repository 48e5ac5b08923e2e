"""Keeping webhooks. What is sent and when: `labs.webhooks.outbox`."""

import base64
import secrets
from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from labs.bus.doorbell import ring
from labs.bus.secrets import seal
from labs.ledger.services import event_record
from labs.notices.targets import BadTarget, target_check
from labs.people.errors import Refused
from labs.people.models import User
from labs.people.queries import person_held
from labs.webhooks.models import Call, Hook
from labs.webhooks.rules import EVENTS, SEAL, SECRET_PREFIX, TEST

MOST = 10


def signing_secret() -> str:
    """32 random bytes, as Standard Webhooks writes them."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def hook_create(*, owner: User, name: str, url: str, events: Collection[str], everyone: bool, now: datetime) -> tuple[Hook, str]:
    """A webhook and its signing secret, which is shown once. Refused in words when its address may not be called."""
    if not name.strip():
        raise Refused("Give it a name.", field="name")
    _may(owner, everyone)
    secret = signing_secret()
    row = Hook(owner=owner, name=name.strip()[:60], everyone=everyone, looked_at=now, created_at=now, secret_sealed=seal(SEAL, secret), **_aim(url))
    row.events = _events(events)
    try:
        with person_held(user=owner):
            if Hook.objects.filter(owner=owner).count() >= MOST:
                raise Refused(f"You have {MOST} of them already; remove one first.", field="name")
            row.save(force_insert=True)
            event_record(kind="webhook.made", subject=f"person:{owner.pk}", words=f"Webhook {row} calls {row.host}.", actor=owner, now=now)
    except IntegrityError as error:
        raise Refused(f"You have a webhook named {row} already.", field="name", code="name_taken") from error
    return row, secret


def hook_change(*, hook: Hook, now: datetime, url: str | None = None, events: Collection[str] | None = None, paused: bool | None = None) -> None:
    """Change what is not None, and nothing of what the house notes meanwhile. One that goes on does not make up for what happened."""
    changes = _aim(url) if url is not None else {}
    if events is not None:
        changes["events"] = _events(events)
    with transaction.atomic():
        hook.refresh_from_db(from_queryset=Hook.objects.select_for_update())
        if paused is not None:
            changes |= {"paused": paused, "off_words": "", "given_up": 0} | ({"looked_at": now} if hook.paused and not paused else {})
        for name, value in changes.items():
            setattr(hook, name, value)
        hook.save(update_fields=list(changes))
        words = f"Webhook {hook} was {'paused' if hook.paused else 'changed'}."
        event_record(kind="webhook.changed", subject=f"person:{hook.owner_id}", words=words, actor=hook.owner, now=now)


def hook_remove(*, hook: Hook, now: datetime) -> None:
    """Forget it with all its calls."""
    with transaction.atomic():
        event_record(kind="webhook.removed", subject=f"person:{hook.owner_id}", words=f"Webhook {hook} was removed.", actor=hook.owner, now=now)
        hook.delete()


def hook_test(*, hook: Hook, now: datetime) -> Call:
    """Queue a call that says nothing; it goes out even while the webhook is paused. Refused while the last one is still on its way."""
    with transaction.atomic():
        Hook.objects.select_for_update().get(pk=hook.pk)
        if Call.objects.filter(hook=hook, kind=TEST, state=Call.State.WAITING, tries=0).exists():
            raise Refused("A test is on its way already.", code="state")
        body = {"type": TEST, "timestamp": now.isoformat(), "data": {"words": "This is a test of your webhook."}}
        made = Call.objects.create(hook=hook, kind=TEST, body=body, next_try_at=now, queued_at=now)
        ring("worker.hooks")
    return made


def _may(owner: User, everyone: bool) -> None:
    if everyone and not owner.is_administrator:
        raise Refused("Everybody's labs are for administrators to follow.", field="everyone")


def _events(events: Collection[str]) -> list[str]:
    if not events or not set(events) <= set(EVENTS):
        raise Refused("Choose at least one event: " + ", ".join(EVENTS) + ".", field="events")
    return [name for name in EVENTS if name in set(events)]


def _aim(url: str) -> dict[str, Any]:
    try:
        checked = target_check(url, settings.WEBHOOK_REACH)
    except BadTarget as bad:
        raise Refused(str(bad), field="url") from bad
    return {"host": checked.split("/")[2][:255], "url_sealed": seal(SEAL, checked)}
