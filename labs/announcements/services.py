"""Making and withdrawing announcements, and noting what the terminals of a node have heard."""

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from labs.announcements.models import Announcement, Told
from labs.announcements.queries import audience_of
from labs.bus.doorbell import node_queue, ring
from labs.fleet.models import Node
from labs.ledger.services import event_record
from labs.notices.services import notices_queue
from labs.people.errors import Refused
from labs.people.models import Group, User

LONGEST = timedelta(days=366)


def announcement_make(
    *,
    words: str,
    until: datetime,
    actor: User,
    now: datetime,
    tone: str = Announcement.Tone.NOTE,
    group: Group | None = None,
    node: Node | None = None,
    by_notice: bool = False,
    to_terminals: bool = False,
) -> Announcement:
    """Tell people something on every page until then; if wished also by message and in their labs' terminals."""
    words = " ".join(words.split())
    if not actor.is_administrator:
        raise Refused("Only an administrator announces something.")
    if not words or not words.isprintable():
        raise Refused("Say in plain words what people should know.", field="words")
    if group and node:
        raise Refused("Choose a group or a node, not both.", field="node")
    if not now < until <= now + LONGEST:
        raise Refused("Choose a moment from now to a year ahead.", field="until")
    with transaction.atomic():
        made = Announcement.objects.create(
            words=words, tone=tone, group=group, node=node, by_notice=by_notice, to_terminals=to_terminals, made_by=actor, made_at=now, until=until
        )
        event_record(kind="announcement.made", subject=f"announcement:{made.pk}", words=f"Announced to {made.audience}: {words}", actor=actor, now=now)
        if by_notice:
            _send(made, now)
        if to_terminals:
            for node_id in [node.pk] if node else Node.objects.values_list("pk", flat=True):
                ring("worker.announce", queue=node_queue(node_id))
    return made


def announcement_withdraw(*, announcement_id: int, actor: User, now: datetime) -> bool:
    """Show it no more. False when it was over. Announcement.DoesNotExist when there is none."""
    if not actor.is_administrator:
        raise Refused("Only an administrator withdraws an announcement.")
    with transaction.atomic():
        made = Announcement.objects.get(pk=announcement_id)
        if not Announcement.objects.filter(pk=made.pk, withdrawn_at=None, until__gt=now).update(withdrawn_at=now):
            return False
        event_record(kind="announcement.withdrawn", subject=f"announcement:{made.pk}", words=f"Withdrawn: {made.words}", actor=actor, now=now)
    return True


def announcement_told(*, announcement: Announcement, node_id: str, terminals: int, now: datetime) -> bool:
    """The worker's fact: the terminals of its node have heard it. False when that was noted before."""
    try:
        with transaction.atomic():
            Told.objects.create(announcement=announcement, node_id=node_id, told_at=now, terminals=terminals)
    except IntegrityError:
        return False
    return True


def _send(made: Announcement, now: datetime) -> None:
    people, key = audience_of(announcement=made), f"announcement:{made.pk}"
    notices_queue(users=people, kind="house", subject="News from GPU Lab", words=made.words, url="/", now=now, until=made.until, key=key)
