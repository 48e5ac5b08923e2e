"""Queueing messages, in the caller's transaction, and keeping what people chose. Sending is the worker's (`labs.notices.outbox` hands it what is due)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction

from labs.bus.doorbell import ring
from labs.bus.secrets import seal
from labs.ledger.services import event_record
from labs.notices.kinds import KINDS, MAIL, TEST, WEBHOOK, kinds_for
from labs.notices.models import Choice, Delivery, Notice, Webhook
from labs.notices.queries import wants
from labs.notices.targets import BadTarget, target_check
from labs.people.errors import Refused
from labs.people.models import Role, User

SEAL = "webhooks"
#: A test is of no use later.
TEST_LASTS = timedelta(minutes=30)


def notice_queue(
    *, user: User, kind: str, subject: str, words: str, now: datetime, url: str = "", key: str = "", until: datetime | None = None
) -> Notice | None:
    """Tell one person something, by the channels that they chose; None when they were told this `key` before.

    `words` are whole sentences (an empty line parts paragraphs), `url` a path of the portal, `until` the moment from
    which the message is of no use. A row of the outbox in the caller's transaction: undone with it, sent after it.
    """
    if kind not in KINDS and kind != TEST:
        raise ValueError(f"There is no kind of notice {kind!r}.")
    if not user.is_active:
        return None
    try:
        with transaction.atomic():
            notice = Notice.objects.create(user=user, kind=kind, subject=subject[:200], words=words, url=url[:300], key=key[:120], queued_at=now, until=until)
    except IntegrityError:
        if not key:
            raise
        return None
    _deliver([notice], kind, now)
    return notice


def notices_queue(*, users: Iterable[User], kind: str, subject: str, words: str, now: datetime, url: str, key: str, until: datetime) -> int:
    """Tell many people the same under a `key` that is new, in as many queries for ten as for a hundred; how many were told."""
    told = [
        Notice(user=user, kind=kind, subject=subject[:200], words=words, url=url[:300], key=key[:120], queued_at=now, until=until)
        for user in users
        if user.is_active
    ]
    Notice.objects.bulk_create(told)
    _deliver(told, kind, now)
    return len(told)


def notice_queue_admins(*, kind: str, subject: str, words: str, now: datetime, url: str = "", key: str = "", until: datetime | None = None) -> int:
    """Tell every administrator; how many were told."""
    admins = User.objects.filter(role=Role.ADMINISTRATOR, is_active=True)
    told = [notice_queue(user=user, kind=kind, subject=subject, words=words, now=now, url=url, key=key, until=until) for user in admins]
    return sum(one is not None for one in told)


def notice_test(*, user: User, now: datetime) -> Notice:
    """A message by every channel that the person has, whatever they chose. Refused more than once a minute, or where there is no channel."""
    if not _channels([user], TEST)[user.pk]:
        raise Refused("There is no way to reach you yet: this house sends no mail, and you have set no chat address.")
    words = "This is how messages of GPU Lab reach you. You asked for this one with the test button."
    notice = notice_queue(
        user=user, kind=TEST, subject="A test", words=words, url="/account/notifications/", now=now, until=now + TEST_LASTS, key=f"test:{now:%Y%m%d%H%M}"
    )
    if notice is None:
        raise Refused("A test was sent less than a minute ago. Try again in a minute.")
    return notice


def choices_set(*, user: User, chosen: Mapping[str, Sequence[str]], now: datetime) -> None:
    """Send each kind by exactly the channels named, of the kinds that concern the person."""
    with transaction.atomic():
        for kind in kinds_for(user.role):
            channels = chosen.get(kind.code, ())
            Choice.objects.update_or_create(user=user, kind=kind.code, defaults={"mail": MAIL in channels, "webhook": WEBHOOK in channels})
        event_record(kind="notices.chosen", subject=f"person:{user.pk}", words=f"{user} chose which messages to get.", actor=user, now=now)


def webhook_set(*, user: User, url: str, shape: str, now: datetime, secret: str = "") -> Webhook:
    """Set or replace the person's chat address. Refused in words when it may not be called."""
    try:
        url = target_check(url, settings.WEBHOOK_REACH)
    except BadTarget as bad:
        raise Refused(str(bad), field="url") from bad
    if shape not in Webhook.Shape.values:
        raise Refused("Choose which chat it is.", field="shape")
    host = url.split("/")[2]
    values = {"shape": shape, "host": host[:255], "url_sealed": seal(SEAL, url), "secret_sealed": seal(SEAL, secret) if secret else "", "made_at": now}
    with transaction.atomic():
        webhook, _ = Webhook.objects.update_or_create(user=user, defaults=values)
        event_record(kind="notices.webhook", subject=f"person:{user.pk}", words=f"{user} gets messages by {webhook}.", actor=user, now=now)
    return webhook


def webhook_remove(*, user: User, now: datetime) -> None:
    """Forget the person's chat address; what is still on its way there is given up."""
    with transaction.atomic():
        if Webhook.objects.filter(user=user).delete()[0]:
            Delivery.objects.filter(notice__user=user, channel=WEBHOOK, state=Delivery.State.WAITING).delete()
            event_record(kind="notices.webhook", subject=f"person:{user.pk}", words=f"{user} removed the chat address.", actor=user, now=now)


def _deliver(notices: Sequence[Notice], kind: str, now: datetime) -> None:
    ways = _channels([notice.user for notice in notices], kind)
    if rows := [Delivery(notice=notice, channel=channel, next_try_at=now) for notice in notices for channel in ways[notice.user_id]]:
        Delivery.objects.bulk_create(rows)
        ring("worker.post")


def _channels(users: Sequence[User], kind: str) -> dict[int, list[str]]:
    """How each of them wants this kind, of what the house can do."""
    ids = [user.pk for user in users]
    chats = set(Webhook.objects.filter(user__in=ids).values_list("user", flat=True))
    return {pk: _ways(mail, webhook and pk in chats) for pk, (mail, webhook) in wants(user_ids=ids, kind=kind).items()}


def _ways(mail: bool, webhook: bool) -> list[str]:
    return [channel for channel, use in ((MAIL, mail and settings.HAS_MAIL), (WEBHOOK, webhook)) if use]
