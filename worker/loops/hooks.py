"""Call webhooks: queue what the ledger has to tell, and make each call that is due. A webhook's calls are made one after another: a slow or broken
receiver holds up its own, and one of the threads."""

import json
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from django.conf import settings
from django.db import close_old_connections

from labs.notices.targets import addresses_allowed
from labs.webhooks.outbox import GONE, Due, call_failed, call_sent, call_take, calls_due, calls_prune, calls_queue
from labs.webhooks.rules import signed_headers
from worker.notifiers.base import NotifierFault
from worker.notifiers.webhook import call

log = logging.getLogger(__name__)
Submit = Callable[[Callable[[], object]], object]
#: They wait for others' servers, and cost next to nothing meanwhile.
pool = ThreadPoolExecutor(max_workers=16, thread_name_prefix="hooks")
#: Webhooks that are being called by this process, or wait for a thread.
in_hand: set[int] = set()
#: After so long a thread lets the next webhook have its turn.
TURN_S = 30.0
PRUNE_EVERY = timedelta(hours=6)
_pruned: dict[str, datetime] = {}


def aside(work: Callable[[], object]) -> None:
    """Do it in the pool, with a database connection that does not outlive it."""

    def run() -> None:
        close_old_connections()
        try:
            work()
        except Exception:
            log.exception("a webhook's call failed; it is tried again in a few minutes")
        finally:
            close_old_connections()

    pool.submit(run)


def tick(*, now: datetime, submit: Submit = aside) -> int:
    """Queue and hand every due call to the pool; how many were due."""
    calls_queue(now=now)
    if now - _pruned.get("at", now - PRUNE_EVERY) >= PRUNE_EVERY:
        _pruned["at"] = now
        calls_prune(now=now)
    due = calls_due(now=now, but=in_hand)
    for hook_id, call_ids in due.items():
        in_hand.add(hook_id)
        submit(_making(hook_id, call_ids, now, time.monotonic()))
    return sum(map(len, due.values()))


def _making(hook_id: int, call_ids: Sequence[int], queued: datetime, asked: float) -> Callable[[], None]:
    def make() -> None:
        began = time.monotonic()
        try:
            for call_id in call_ids:
                if time.monotonic() - began > TURN_S:
                    break
                call_make(call_id=call_id, now=queued + timedelta(seconds=time.monotonic() - asked))  # it may have waited for a thread
        finally:
            in_hand.discard(hook_id)

    return make


def call_make(*, call_id: int, now: datetime) -> bool:
    """Take one call, make it outside any transaction, and note what became of it. False when it was not taken."""
    due = call_take(call_id=call_id, now=now)
    if due is None:
        return False
    try:
        status = _called(due, now)
    except NotifierFault as fault:
        call_failed(call_id=call_id, words=fault.words, status=None, permanent=fault.permanent, now=now)
        return False
    if 200 <= status < 300:
        call_sent(call_id=call_id, status=status, now=now)
        return True
    call_failed(call_id=call_id, words=f"It answered with status {status}.", status=status, permanent=status == GONE, now=now)
    return False


def _called(due: Due, now: datetime) -> int:
    body = json.dumps(due.body).encode()
    headers = signed_headers(secret=due.secret, call_id=due.public_id, at=now, body=body)
    return call(url=due.url, body=body, headers=headers, whom="receiver", allows=lambda found: addresses_allowed(found, settings.WEBHOOK_REACH))[0]
