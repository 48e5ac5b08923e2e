"""Strays come, wait out their grace, and go; each step is in the ledger.

A stray may be a leftover of a fault. It may as well be somebody's running work: after a backup was restored the record
knows nothing of the labs that were started since. So nothing is removed before an administrator had time to look.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from labs.bus.bus import publish
from labs.bus.doorbell import node_queue, ring
from labs.ledger.services import Actor, event_record
from labs.notices.services import notice_queue_admins
from labs.quarantine.models import Stray

GRACE = timedelta(minutes=10)
KEPT_FOR = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Seen:
    """A container without a record, as the engine shows it."""

    name: str
    lab_id: str
    running: bool
    gpus: tuple[str, ...] = ()


def strays_note(*, node_id: str, seen: Iterable[Seen], now: datetime) -> int:
    """Bring the node's quarantine up to date with all that was seen; how many are new. Those not seen any more are gone."""
    known = {stray.name: stray for stray in Stray.objects.filter(node_id=node_id)}
    found = {one.name: one for one in seen}
    for name in known.keys() - found.keys():
        _gone(known[name], now)
    for name in known.keys() & found.keys():
        if known[name].running != found[name].running:
            Stray.objects.filter(pk=known[name].pk).update(running=found[name].running)
    fresh = [found[name] for name in found.keys() - known.keys()]
    for one in fresh:
        _add(node_id, one, now)
    return len(fresh)


def _add(node_id: str, one: Seen, now: datetime) -> None:
    with transaction.atomic():
        row = {"lab_id": one.lab_id[:64], "running": one.running, "gpus": list(one.gpus), "first_seen_at": now, "remove_at": now + GRACE}
        stray, made = Stray.objects.get_or_create(node_id=node_id, name=one.name, defaults=row)
        if not made:
            return
        words = (
            f"Container {one.name} on node {node_id} bears our label and no record knows it. It is left alone until {stray.remove_at:%H:%M} UTC, then removed."
        )
        event_record(kind="node.stray", subject=f"node:{node_id}", words=words, actor=None, now=now, container=one.name, lab=one.lab_id)
        subject, key = f"A container that nobody knows on node {node_id}", f"stray:{stray.pk}"
        notice_queue_admins(kind="stray", subject=subject, words=words, now=now, url="/manage/nodes/", key=key)
        publish("fleet", "stray", node=node_id)


def _gone(stray: Stray, now: datetime) -> None:
    with transaction.atomic():
        if not Stray.objects.filter(pk=stray.pk).delete()[0]:
            return
        words = f"Container {stray.name} on node {stray.node_id} is no stray any more: it was removed, or its lab is on record again."
        event_record(kind="node.stray_gone", subject=f"node:{stray.node_id}", words=words, actor=None, now=now, container=stray.name)
        publish("fleet", "stray", node=stray.node_id)


def stray_remove(*, stray: Stray, actor: Actor, now: datetime) -> bool:
    """Let the node remove it at its next look. False when it is gone already."""
    return _until(stray, now, f"Container {stray.name} is to be removed now.", actor, now)


def stray_keep(*, stray: Stray, actor: Actor, now: datetime) -> bool:
    """Leave it alone for a week. False when it is gone already."""
    return _until(stray, now + KEPT_FOR, f"Container {stray.name} is left alone for {KEPT_FOR.days} days.", actor, now)


def _until(stray: Stray, remove_at: datetime, words: str, actor: Actor, now: datetime) -> bool:
    with transaction.atomic():
        if not Stray.objects.filter(pk=stray.pk).update(remove_at=remove_at):
            return False
        event_record(kind="node.stray_decided", subject=f"node:{stray.node_id}", words=words, actor=actor, now=now, container=stray.name)
        ring("worker.reconcile", queue=node_queue(stray.node_id))
        publish("fleet", "stray", node=stray.node_id)
    return True
