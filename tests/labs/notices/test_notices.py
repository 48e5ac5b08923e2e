"""The outbox: told once, by the channels that were chosen, in the caller's transaction, a bounded number of times."""

from datetime import datetime, timedelta

import pytest
from django.db import transaction

from labs.notices.models import Delivery, Notice, Webhook
from labs.notices.outbox import BACK_OFF, TAKEN_FOR, delivery_failed, delivery_sent, delivery_take, due_now, notices_prune
from labs.notices.queries import choices_of, failures_recent
from labs.notices.services import choices_set, notice_queue, notice_queue_admins, notice_test, webhook_remove, webhook_set
from labs.people.errors import Refused
from labs.people.models import User
from labs.people.services import person_disable

HOOK = "https://hooks.example.org/services/T0/B0/very-secret"


@pytest.fixture(autouse=True)
def _house_with_mail(settings: object) -> None:
    settings.HAS_MAIL = True  # type: ignore[attr-defined]


def tell(user: User, now: datetime, **more: object) -> Notice | None:
    return notice_queue(**({"user": user, "kind": "ready", "subject": "Ready", "words": "It runs.", "url": "/", "now": now} | more))  # type: ignore[arg-type]


def channels(user: User) -> list[str]:
    return sorted(Delivery.objects.filter(notice__user=user).values_list("channel", flat=True))


def test_a_message_goes_by_mail_and_by_chat_where_there_is_one(alice: User, bob: User, now: datetime):
    webhook_set(user=alice, url=HOOK, shape="slack", now=now)
    tell(alice, now)
    tell(bob, now)
    assert channels(alice) == ["mail", "webhook"]
    assert channels(bob) == ["mail"]


def test_a_message_is_undone_with_the_transaction_that_told_it(alice: User, now: datetime):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        tell(alice, now)
        raise ZeroDivisionError
    assert not Notice.objects.exists()


def test_the_same_key_tells_a_person_once_and_others_too(alice: User, bob: User, now: datetime):
    assert tell(alice, now, key="lab:x:ready")
    assert tell(alice, now, key="lab:x:ready") is None
    assert tell(bob, now, key="lab:x:ready")
    assert Notice.objects.count() == 2
    assert Delivery.objects.count() == 2


def test_messages_without_a_key_are_told_each_time(alice: User, now: datetime):
    tell(alice, now)
    assert tell(alice, now)


def test_a_kind_that_nobody_knows_is_a_mistake(alice: User, now: datetime):
    with pytest.raises(ValueError, match="no kind of notice"):
        tell(alice, now, kind="gossip")


def test_a_disabled_person_is_told_nothing(alice: User, root_admin: User, now: datetime):
    tell(alice, now)
    person_disable(user=alice, actor=root_admin, now=now)
    alice.refresh_from_db()
    assert tell(alice, now) is None
    assert [delivery_take(delivery_id=one, now=now) for one, _ in due_now(now=now)] == [None]


def test_what_was_switched_off_is_kept_and_not_sent(alice: User, now: datetime):
    webhook_set(user=alice, url=HOOK, shape="slack", now=now)
    choices_set(user=alice, chosen={"ready": ["webhook"], "ending": []}, now=now)
    tell(alice, now)
    tell(alice, now, kind="ending")
    assert channels(alice) == ["webhook"]
    assert Notice.objects.filter(user=alice).count() == 2


def test_each_role_chooses_among_what_concerns_it(alice: User, root_admin: User):
    assert "disk" not in {one.kind.code for one in choices_of(user=alice)}
    assert "disk" in {one.kind.code for one in choices_of(user=root_admin)}
    assert all(one.mail and one.webhook for one in choices_of(user=alice))


def test_every_administrator_is_told(alice: User, root_admin: User, now: datetime):
    assert notice_queue_admins(kind="node_lost", subject="n1 is lost", words="Nothing is heard of it.", now=now, key="n1:lost") == 1
    assert notice_queue_admins(kind="node_lost", subject="n1 is lost", words="Nothing is heard of it.", now=now, key="n1:lost") == 0
    assert Notice.objects.get().user == root_admin


def test_one_sender_has_a_delivery_at_a_time_and_gives_it_back_when_it_dies(alice: User, now: datetime):
    tell(alice, now)
    [(one, _)] = due_now(now=now)
    due = delivery_take(delivery_id=one, now=now)
    assert due is not None
    assert due.to == "alice@example.edu"
    assert delivery_take(delivery_id=one, now=now) is None
    assert due_now(now=now) == []
    assert delivery_take(delivery_id=one, now=now + TAKEN_FOR) is not None


def test_a_failure_is_tried_again_ever_later_and_then_given_up(alice: User, now: datetime):
    tell(alice, now)
    at, waits = now, []
    while ids := Delivery.objects.filter(state="waiting").values_list("pk", "next_try_at"):
        [(one, due)] = ids
        waits.append(due - at)
        at = due
        assert delivery_take(delivery_id=one, now=at)
        delivery_failed(delivery_id=one, words="The mail server does not answer.", permanent=False, now=at)
    assert waits == [timedelta(0), *BACK_OFF]
    [row] = failures_recent(now=at)
    assert (row.state, row.tries, row.last_error) == ("failed", len(BACK_OFF) + 1, "The mail server does not answer.")


def test_a_failure_that_stays_one_is_not_tried_again(alice: User, now: datetime):
    tell(alice, now)
    [(one, _)] = due_now(now=now)
    delivery_take(delivery_id=one, now=now)
    delivery_failed(delivery_id=one, words="There is no such chat.", permanent=True, now=now)
    assert due_now(now=now + timedelta(days=3)) == []


def test_what_was_sent_is_not_sent_again(alice: User, now: datetime):
    tell(alice, now)
    [(one, _)] = due_now(now=now)
    delivery_take(delivery_id=one, now=now)
    delivery_sent(delivery_id=one, now=now)
    assert due_now(now=now + timedelta(days=3)) == []
    assert not failures_recent(now=now)


def test_a_message_that_came_too_late_is_given_up(alice: User, now: datetime):
    tell(alice, now, until=now + timedelta(minutes=10))
    [(one, _)] = due_now(now=now)
    assert delivery_take(delivery_id=one, now=now + timedelta(minutes=10)) is None
    assert Delivery.objects.get().state == "failed"


def test_a_chat_address_is_sealed_and_opened_only_to_send(alice: User, now: datetime, settings: object):
    webhook = webhook_set(user=alice, url=HOOK, shape="dingtalk", secret="SECsign", now=now)
    assert "very-secret" not in webhook.url_sealed + str(webhook)
    tell(alice, now)
    taken = [due for one, _ in due_now(now=now) if (due := delivery_take(delivery_id=one, now=now)) and due.channel == "webhook"]
    assert [(due.to, due.shape, due.secret) for due in taken] == [(HOOK, "dingtalk", "SECsign")]


def test_a_chat_address_that_cannot_be_opened_any_more_is_given_up_in_words(alice: User, now: datetime):
    webhook_set(user=alice, url=HOOK, shape="slack", now=now)
    Webhook.objects.update(url_sealed="sealed under another secret")
    tell(alice, now)
    assert [due.channel for one, _ in due_now(now=now) if (due := delivery_take(delivery_id=one, now=now))] == ["mail"]
    assert "enter it anew" in Delivery.objects.get(channel="webhook").last_error


def test_a_removed_chat_address_gets_nothing_more(alice: User, now: datetime):
    webhook_set(user=alice, url=HOOK, shape="slack", now=now)
    tell(alice, now)
    webhook_remove(user=alice, now=now)
    assert channels(alice) == ["mail"]


@pytest.mark.parametrize("url", ["https://10.0.0.1/x", "http://hooks.example.org/x", "ftp://a/b", "https://u:p@example.org/", "https://169.254.169.254/latest"])
def test_an_address_inside_is_refused_at_its_field(alice: User, now: datetime, url: str):
    with pytest.raises(Refused) as refused:
        webhook_set(user=alice, url=url, shape="slack", now=now)
    assert refused.value.field == "url"


def test_a_test_goes_by_every_channel_and_once_a_minute(alice: User, now: datetime):
    now = now.replace(second=1)
    choices_set(user=alice, chosen={}, now=now)
    notice_test(user=alice, now=now)
    assert channels(alice) == ["mail"]
    with pytest.raises(Refused, match="less than a minute"):
        notice_test(user=alice, now=now + timedelta(seconds=30))


def test_a_test_without_any_channel_says_so(alice: User, now: datetime, settings: object):
    settings.HAS_MAIL = False  # type: ignore[attr-defined]
    with pytest.raises(Refused, match="no way to reach you"):
        notice_test(user=alice, now=now)


def test_old_messages_are_forgotten(alice: User, now: datetime):
    tell(alice, now - timedelta(days=91))
    tell(alice, now)
    assert notices_prune(now=now) > 0
    assert Notice.objects.count() == 1
