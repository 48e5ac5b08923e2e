"""Asking for more, and the answer. What is granted is an exception of its own beside the standing one; it ends by itself."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from labs.bus.bus import publish
from labs.bus.doorbell import ring
from labs.ledger.services import event_record
from labs.notices.services import notice_queue
from labs.people.errors import Refused
from labs.people.models import Role, User
from labs.people.queries import teachers_of
from labs.policy.models import LimitOverride, QuotaRequest
from labs.policy.queries import limits_of, request_for_answerer
from labs.policy.rules import Limits

#: What people can ask for, as words for one number of it.
ASKABLE = {
    "gpus_max": "GPUs at once",
    "labs": "labs at once",
    "pending": "labs waiting",
    "cpus": "CPU cores",
    "memory_gib": "GiB of memory",
    "shm_gib": "GiB of shm a lab",
    "hours_max": "hours a lab",
    "gpu_hours_week": "GPU-hours a week",
    "gpu_hours_month": "GPU-hours a month",
    "disk_gib": "GiB of workspace",
}
#: What can be granted: a guarantee as well. Without it, cards beyond the guarantee may be taken back as ever.
GRANTABLE = {"gpus_max": ASKABLE["gpus_max"], "gpus": "GPUs guaranteed"} | ASKABLE
MOST = 1_000_000
LONGEST = timedelta(days=366)
REQUESTS_URL = "/quota/requests/"


def request_create(*, user: User, asked: Mapping[str, int | None], until: datetime, why: str, now: datetime) -> QuotaRequest:
    """Ask for more than one's limits, until a day. Refused when it is no more, or while another request is open."""
    limits = limits_of(user=user, now=now)
    more = {name: value for name, value in _checked(asked).items() if _is_more(limits, name, value)}
    if not more:
        raise Refused("You may have that already. Fill in at least one number above what you have.")
    _until_check(until, now)
    if not why.strip():
        raise Refused("Say in a sentence what it is for: it helps whoever decides.", field="why")
    try:
        with transaction.atomic():
            row = QuotaRequest.objects.create(user=user, asked=more, until=until, why=why.strip()[:500], created_at=now)
            words = f"{user} asks for {more_words(more)} until {_day(until)}: {row.why}"
            event_record(kind="quota.asked", subject=_subject(row), words=words, actor=user, now=now, request=row.pk, asked=more)
            for one in _answerers(user):
                notice_queue(user=one, kind="quota_asked", subject=f"{user} asks for more", words=words, url=REQUESTS_URL, now=now)
    except IntegrityError as error:
        raise Refused("You have asked for something already. Withdraw that request first, or wait for its answer.") from error
    return row


def request_withdraw(*, user: User, request_id: int, now: datetime) -> None:
    """Take one's own open request back. Refused when it has been answered."""
    with transaction.atomic():
        row = QuotaRequest.objects.select_for_update().get(user=user, pk=request_id)
        _close(row, QuotaRequest.State.WITHDRAWN, actor=user, answer="", now=now)
        event_record(kind="quota.withdrawn", subject=_subject(row), words=f"{user} withdrew the request.", actor=user, now=now, request=row.pk)


def request_grant(*, request_id: int, values: Mapping[str, int | None], until: datetime, answer: str, actor: User, now: datetime) -> LimitOverride:
    """Grant what was asked for, or other numbers, for a time. A teacher grants at most what they may have themselves."""
    with transaction.atomic():
        row = _locked(request_id, actor)
        before = limits_of(user=row.user, now=now)
        granted = {name: value for name, value in _checked(values, GRANTABLE).items() if _is_more(before, name, value)}
        if not granted:
            raise Refused(f"{row.user} may have that already. Fill in at least one number above it, or decline.")
        _until_check(until, now)
        _teacher_check(actor, granted, now)
        _close(row, QuotaRequest.State.GRANTED, actor=actor, answer=answer, now=now)
        grant = LimitOverride(user=row.user, request=row, until=until, note=f"Asked for: {row.why}"[:200], created_by=actor, created_at=now, **granted)
        grant.save()
        words = f"{actor} granted {row.user} {more_words(granted)} until {_day(until)}. {answer}".strip()
        was = {name: getattr(before, name) for name in granted}
        event_record(kind="quota.granted", subject=_subject(row), words=words, actor=actor, now=now, request=row.pk, before=was, after=granted)
        told = f"You may have {more_words(granted)} until {_day(until)}. It ends by itself.\n\n{answer}".strip()
        notice_queue(user=row.user, kind="quota", subject="You may have more", words=told, url="/quota/", now=now)
        publish("queue", "limits")
        ring("worker.schedule")
    return grant


def request_decline(*, request_id: int, answer: str, actor: User, now: datetime) -> None:
    """Say no, with words: whoever asked reads them."""
    if not answer.strip():
        raise Refused("Say why not: whoever asked reads it.", field="answer")
    with transaction.atomic():
        row = _locked(request_id, actor)
        _close(row, QuotaRequest.State.DECLINED, actor=actor, answer=answer, now=now)
        words = f"{actor} declined the request of {row.user}: {answer.strip()}"
        event_record(kind="quota.declined", subject=_subject(row), words=words, actor=actor, now=now, request=row.pk)
        told = f"You asked for {more_words(row.asked)}. The answer is no: {answer.strip()}"
        notice_queue(user=row.user, kind="quota", subject="Your request was declined", words=told, url="/quota/", now=now)


def grants_end(*, now: datetime, since: datetime) -> int:
    """Tell those whose grants ended after `since`; how many. The grants themselves end without anybody's doing."""
    ended = LimitOverride.objects.select_related("user").filter(request__isnull=False, until__gt=since, until__lte=now, user__is_active=True)
    words = "What you were granted has ended: your usual limits hold again. Running labs go on; those above your limits may be taken back."
    told = 0
    for row in ended:
        if row.user is not None:
            told += (
                notice_queue(user=row.user, kind="quota", subject="A grant has ended", words=words, url="/quota/", now=now, key=f"grant:{row.pk}") is not None
            )
    return told


def more_words(values: Mapping[str, int]) -> str:
    """`4 GPUs at once and 64 GiB of memory`."""
    parts = [f"{values[name]} {words}" for name, words in GRANTABLE.items() if name in values]
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def _checked(values: Mapping[str, int | None], names: Mapping[str, str] = ASKABLE) -> dict[str, int]:
    """Only numbers, and only of what can be asked for."""
    given = {name: value for name, value in values.items() if value is not None}
    for name, value in given.items():
        if name not in names or not 0 <= value <= MOST:
            raise Refused("That cannot be asked for.", field=name)
    return given


def _usual(limits: Limits, name: str) -> int | None:
    """The limit without what the time of day adds."""
    value: int | None = getattr(limits, name)
    return next((wider.usual for wider in limits.wider if wider.limit == name), value)


def _is_more(limits: Limits, name: str, value: int) -> bool:
    has = _usual(limits, name)
    return has is not None and value > has


def _until_check(until: datetime, now: datetime) -> None:
    if not now < until <= now + LONGEST:
        raise Refused("The end lies in the future, at most a year from now.", field="until")


def _teacher_check(actor: User, granted: Mapping[str, int], now: datetime) -> None:
    """Nobody but an administrator gives more than they may have themselves."""
    if actor.is_administrator:
        return
    own = limits_of(user=actor, now=now)
    for name, value in granted.items():
        if _is_more(own, name, value):
            words = f"You can grant at most what you may have yourself: {_usual(own, name)} {GRANTABLE[name]}. Ask an administrator for more."
            raise Refused(words, field=name)


def _locked(request_id: int, actor: User) -> QuotaRequest:
    """The row under lock; QuotaRequest.DoesNotExist for whom it does not concern."""
    request_for_answerer(user=actor, request_id=request_id)
    return QuotaRequest.objects.select_for_update(of=("self",)).select_related("user").get(pk=request_id)


def _close(row: QuotaRequest, state: str, *, actor: User, answer: str, now: datetime) -> None:
    if row.state != QuotaRequest.State.OPEN:
        raise Refused(f"It was {row.get_state_display().lower()} already.", code="state")
    row.state, row.answered_by, row.answered_at, row.answer = state, actor, now, answer.strip()[:300]
    row.save(update_fields=["state", "answered_by", "answered_at", "answer"])


def _answerers(user: User) -> Iterable[User]:
    """The person's teachers; administrators as well, who answer for everybody."""
    admins = User.objects.filter(role=Role.ADMINISTRATOR, is_active=True).exclude(pk=user.pk)
    return [*teachers_of(user=user), *admins]


def _day(moment: datetime) -> str:
    return f"{timezone.localtime(moment, timezone.get_default_timezone()):%d %b %Y, %H:%M}"


def _subject(row: QuotaRequest) -> str:
    return f"person:{row.user_id}"
