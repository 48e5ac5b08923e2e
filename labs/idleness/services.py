"""Keeping the idle clock: what a node saw, warnings and whether they arrived, the end, and the owner's wish to keep the lab."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from django.db import transaction

from labs.idleness.models import Idleness
from labs.idleness.queries import rules_now
from labs.idleness.rules import Do, Signs, Warned, due, limit_now, signs_told, used_at
from labs.ledger.services import event_record
from labs.lifecycle import states
from labs.lifecycle.allowances import load_now
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_announce, lab_end
from labs.notices.models import Delivery
from labs.notices.services import notice_queue
from labs.people.errors import Refused
from labs.people.models import User


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look came to: nothing, a warning to write to its terminals in these `words`, or the lab's end."""

    do: Do
    words: str = ""


def idle_look(*, lab: Lab, signs: Signs, now: datetime) -> Looked:
    """Record what was seen of a running lab, and do what is due."""
    rules = rules_now()
    told = signs_told(signs, rules)
    with transaction.atomic():
        row = _row(lab, now)
        limit = limit_now(taken_pct=load_now(), rules=rules)
        used = used_at(signs, told, before=max(row.used_at, min(row.keep_until or row.used_at, now)), now=now)
        if used > row.used_at:
            row.warned, row.warned_at, row.delivered_at, row.notice = 0, None, None, None
        row.used_at, row.seen_at, row.limit_min = used, now, int(limit / timedelta(minutes=1))
        row.signs = [asdict(sign) for sign in told]
        row.delivered_at = row.delivered_at or _arrived(row)
        do, percent = due(used=used, now=now, limit=limit, warned=Warned(row.warned, row.delivered_at))
        words = _warn(lab, row, percent, limit, now) if do == Do.WARN else ""
        row.save()
        if do == Do.STOP:  # while its clock is locked: a wish to keep it comes before this or after it, never in between
            why = f"It was last used {row.used_at:%H:%M} UTC, and its owner was warned {row.warned_at:%H:%M} UTC."
            lab_end(lab_id=lab.pk, code="idle", now=now, detail=why)
    return Looked(do, words)


def idle_told(*, lab: Lab, now: datetime) -> None:
    """The last warning was written to a terminal of the lab: it has arrived."""
    Idleness.objects.filter(lab=lab, warned__gt=0, delivered_at=None).update(delivered_at=now)


def lab_keep(*, lab: Lab, hours: int, actor: User, now: datetime) -> datetime:
    """Let a lab run for some hours though nobody uses it; until when. Refused more often or for longer than the house allows."""
    rules = rules_now()
    if actor.pk != lab.owner_id:
        raise Refused("Only its owner keeps a lab.")
    if not 1 <= hours <= rules.keep_hours:
        raise Refused(f"A lab is kept for 1 to {rules.keep_hours} hours at a time.", field="hours")
    with transaction.atomic():
        row = _row(lab, now)
        if not Lab.objects.filter(pk=lab.pk, state=states.RUNNING).exists():
            raise Refused("Only a running lab can be kept.")
        if row.keeps >= rules.keeps:
            raise Refused(f"It was kept {rules.keeps} times already. Use it, or let it end: your files stay.")
        row.keep_until, row.keeps = now + timedelta(hours=hours), row.keeps + 1
        row.warned, row.warned_at, row.delivered_at, row.notice = 0, None, None, None
        row.save()
        words = f"Kept until {row.keep_until:%H:%M} UTC though nobody may use it."
        event_record(kind="lab.kept", subject=lab.subject, words=words, actor=actor, now=now, hours=hours)
        lab_announce(lab=lab)
    return row.keep_until


def _row(lab: Lab, now: datetime) -> Idleness:
    began = max(lab.started_at or now, lab.state_since)
    row, _ = Idleness.objects.select_for_update().get_or_create(lab=lab, defaults={"used_at": began, "seen_at": now, "limit_min": 0})
    return row


def _warn(lab: Lab, row: Idleness, percent: int, limit: timedelta, now: datetime) -> str:
    minutes = round((now - row.used_at) / timedelta(minutes=1))
    left = max(round((row.used_at + limit - now) / timedelta(minutes=1)), 2)
    words = f"Nothing has used {lab.name} for {minutes} minutes. It is stopped in about {left} minutes unless it is used or kept. Your files stay."
    key = f"idle:{lab.pk}:{row.used_at.timestamp():.0f}:{percent}"
    until = now + timedelta(hours=1)
    row.notice = notice_queue(
        user=lab.owner, kind="idle", subject=f"{lab.name} does nothing", words=words, url=f"/labs/{lab.pk}/", key=key, until=until, now=now
    )
    row.warned, row.warned_at, row.delivered_at = percent, now, None
    row.delivered_at = _arrived(row)
    event_record(kind="lab.idle", subject=lab.subject, words=words, actor=None, now=now, percent=percent)
    lab_announce(lab=lab)
    return words


def _arrived(row: Idleness) -> datetime | None:
    """When the warning reached its owner. Who chose neither mail nor chat reads it on the page, where it stands from the first moment."""
    if row.notice_id is None or row.warned_at is None:
        return None
    deliveries = Delivery.objects.filter(notice=row.notice_id)
    if not deliveries.exists():
        return row.warned_at
    return deliveries.filter(state=Delivery.State.SENT).order_by("sent_at").values_list("sent_at", flat=True).first()
