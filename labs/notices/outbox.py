"""What is due to be sent, and what became of it. Each delivery is taken by one sender at a time and tried a bounded number of times."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F

from labs.bus.secrets import unseal
from labs.notices.kinds import MAIL
from labs.notices.models import Delivery, Notice, Webhook

SEAL = "webhooks"
#: A sender that dies with a delivery in its hands gives it back after this long.
TAKEN_FOR = timedelta(minutes=5)
#: The waits between tries; after the last the message is given up.
BACK_OFF = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 240, 720, 1440))
KEEP = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Due:
    """One delivery to make: an address to mail to, or an opened webhook."""

    delivery_id: int
    channel: str
    notice: Notice
    to: str
    shape: str = ""
    secret: str = ""


def due_now(*, now: datetime, limit: int = 200) -> list[tuple[int, str]]:
    """Id and channel of the deliveries whose time has come, oldest first."""
    rows = Delivery.objects.filter(state=Delivery.State.WAITING, next_try_at__lte=now)
    return list(rows.order_by("next_try_at", "pk").values_list("pk", "channel")[:limit])


def delivery_take(*, delivery_id: int, now: datetime) -> Due | None:
    """Take a delivery in hand; None when another sender has it, it is over, or nobody needs it any more."""
    rows = Delivery.objects.filter(pk=delivery_id, state=Delivery.State.WAITING, next_try_at__lte=now)
    if not rows.update(next_try_at=now + TAKEN_FOR, tries=F("tries") + 1):
        return None
    row = Delivery.objects.select_related("notice__user").get(pk=delivery_id)
    notice = row.notice
    if not notice.user.is_active or (notice.until and notice.until <= now):
        _given_up(delivery_id, "It was of no use any more when it could have been sent.")
        return None
    if row.channel == MAIL:
        return Due(delivery_id, MAIL, notice, notice.user.email)
    return _due_webhook(row)


def delivery_sent(*, delivery_id: int, now: datetime) -> None:
    """It has arrived at the mail server or the chat."""
    Delivery.objects.filter(pk=delivery_id).update(state=Delivery.State.SENT, sent_at=now, last_error="")


def delivery_failed(*, delivery_id: int, words: str, permanent: bool, now: datetime) -> None:
    """It did not arrive: try again later, a bounded number of times; never again when that would not help."""
    tries = Delivery.objects.values_list("tries", flat=True).get(pk=delivery_id)
    if permanent or tries > len(BACK_OFF):
        _given_up(delivery_id, words)
    else:
        Delivery.objects.filter(pk=delivery_id).update(next_try_at=now + BACK_OFF[tries - 1], last_error=words[:300])


def notices_prune(*, now: datetime) -> int:
    """Forget old messages; how many rows."""
    return Notice.objects.filter(queued_at__lt=now - KEEP).delete()[0]


def _due_webhook(row: Delivery) -> Due | None:
    webhook = Webhook.objects.filter(user=row.notice.user).first()
    if webhook is None:
        _given_up(row.pk, "The chat address was removed.")
        return None
    url = unseal(SEAL, webhook.url_sealed)
    if url is None:
        _given_up(row.pk, "The chat address cannot be read any more: enter it anew.")
        return None
    secret = unseal(SEAL, webhook.secret_sealed) if webhook.secret_sealed else ""
    return Due(row.pk, row.channel, row.notice, url, webhook.shape, secret or "")


def _given_up(delivery_id: int, words: str) -> None:
    Delivery.objects.filter(pk=delivery_id).update(state=Delivery.State.FAILED, last_error=words[:300])
