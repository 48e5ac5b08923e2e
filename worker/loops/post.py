"""Send what is due. A slow or broken receiver holds up its own message and no other."""

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from urllib.parse import urlsplit

from django.conf import settings
from django.db import close_old_connections
from django.template.loader import render_to_string

from labs.lifecycle.telling import labs_ending_tell
from labs.notices.kinds import CHANNELS, KINDS, MAIL, WEBHOOK
from labs.notices.outbox import Due, delivery_failed, delivery_sent, delivery_take, due_now, notices_prune
from labs.notices.targets import addresses_allowed
from labs.policy.asking import grants_end
from worker.notifiers.base import Message, Notifier, NotifierFault
from worker.notifiers.email import EmailNotifier
from worker.notifiers.webhook import WebhookNotifier

log = logging.getLogger(__name__)
Submit = Callable[[str, Callable[[], object]], object]
#: Each channel has threads of its own: a mail server that hangs holds up no chat.
pools = {channel: ThreadPoolExecutor(max_workers=4, thread_name_prefix=f"post-{channel}") for channel in CHANNELS}
#: Deliveries that wait for a thread of this process.
in_hand: set[int] = set()
NOTIFIERS: dict[str, Notifier] = {
    MAIL: EmailNotifier(),
    WEBHOOK: WebhookNotifier(allows=lambda addresses: addresses_allowed(addresses, settings.WEBHOOK_REACH)),
}
#: How late the end of a grant is still told.
GRANTS_SINCE = timedelta(hours=1)
PRUNE_EVERY = timedelta(hours=6)
_pruned: dict[str, datetime] = {}


def aside(channel: str, work: Callable[[], object]) -> None:
    """Do it in the channel's pool, with a database connection that does not outlive it."""

    def run() -> None:
        close_old_connections()
        try:
            work()
        except Exception:
            log.exception("a delivery failed; it is tried again in a few minutes")
        finally:
            close_old_connections()

    pools[channel].submit(run)


def tick(*, now: datetime, submit: Submit = aside, notifiers: Mapping[str, Notifier] = NOTIFIERS) -> int:
    """Queue the reminders of this moment, hand every due delivery to the pool; how many were due."""
    labs_ending_tell(now=now)
    grants_end(now=now, since=now - GRANTS_SINCE)
    if now - _pruned.get("at", now - PRUNE_EVERY) >= PRUNE_EVERY:
        _pruned["at"] = now
        notices_prune(now=now)
    due = due_now(now=now)
    for delivery_id, channel in due:
        if delivery_id not in in_hand:
            in_hand.add(delivery_id)
            submit(channel, partial(_deliver, delivery_id, notifiers, now, time.monotonic()))
    return len(due)


def _deliver(delivery_id: int, notifiers: Mapping[str, Notifier], queued: datetime, began: float) -> None:
    now = queued + timedelta(seconds=time.monotonic() - began)  # it may have waited for a thread
    try:
        deliver(delivery_id=delivery_id, notifiers=notifiers, now=now)
    finally:
        in_hand.discard(delivery_id)


def deliver(*, delivery_id: int, notifiers: Mapping[str, Notifier], now: datetime) -> bool:
    """Take one delivery, send it outside any transaction, and note what became of it. False when it was not sent."""
    due = delivery_take(delivery_id=delivery_id, now=now)
    if due is None:
        return False
    try:
        notifiers[due.channel].send(message_of(due))
    except NotifierFault as fault:
        log.warning("notice %s by %s: %s", due.notice.pk, due.channel, fault.words)
        delivery_failed(delivery_id=delivery_id, words=fault.words, permanent=fault.permanent, now=now)
        return False
    delivery_sent(delivery_id=delivery_id, now=now)
    return True


def message_of(due: Due) -> Message:
    """The notice as it leaves the house."""
    notice = due.notice
    host = urlsplit(settings.PORTAL_URL).hostname or "localhost"
    url = settings.PORTAL_URL + notice.url if notice.url else ""
    kind = KINDS.get(notice.kind)
    context = {"notice": notice, "url": url, "portal": settings.PORTAL_URL, "kind": kind.words if kind else ""}
    return Message(
        id=f"notice-{notice.pk}-{due.channel}@{host}",
        to=due.to,
        subject=notice.subject,
        text=render_to_string("notices/mail.txt", context) if due.channel == MAIL else notice.words,
        html=render_to_string("notices/mail.html", context) if due.channel == MAIL else "",
        url=url,
        shape=due.shape,
        secret=due.secret,
    )
