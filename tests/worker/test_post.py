"""Messages leave the house: a real mail server at the end, and nobody waits for a broken one."""

import contextlib
import smtplib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core import mail

from labs.lifecycle import states
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_assign, lab_end, lab_gone, lab_ready
from labs.lifecycle.services import lab_extend, lab_stop
from labs.notices.models import Delivery, Notice
from labs.notices.services import notice_queue, webhook_set
from labs.people.models import User
from tests.support.receivers import mail_server
from worker.loops import post
from worker.notifiers.fake import DeafNotifier, FakeNotifier

LATER = timedelta(minutes=10)


@pytest.fixture(autouse=True)
def _house_with_mail(settings: Any) -> None:
    settings.HAS_MAIL = True


def at_once(channel: str, work: Callable[[], object]) -> None:
    with contextlib.suppress(RuntimeError):  # a thread of the pool notes it in the log and goes on
        work()


def run(lab: Lab, at: datetime) -> Lab:
    assert lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=[], now=at)
    assert lab_ready(lab_id=lab.pk, attempt=1, verified={}, not_held=[], now=at)
    return Lab.objects.get(pk=lab.pk)


def kinds() -> list[str]:
    return list(Notice.objects.order_by("pk").values_list("kind", flat=True))


def test_a_due_message_is_mailed_by_the_mail_server_and_noted_as_sent(alice: User, now: datetime, settings: Any):
    notice_queue(user=alice, kind="ready", subject="resnet is ready", words="It runs.\n\nOpen <it>.", url="/labs/x/", now=now)
    with mail_server() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS = "127.0.0.1", server.port, False
        assert post.tick(now=now, submit=at_once) == 1
        assert post.tick(now=now + LATER, submit=at_once) == 0
    [arrived] = server.mails
    text, html = (part.get_content() for part in arrived.iter_parts())
    assert "http://testserver/labs/x/" in text
    assert "Open <it>." in text
    assert "Open &lt;it&gt;." in html
    assert "/account/notifications/" in text
    assert Delivery.objects.get().state == "sent"


def test_one_broken_channel_holds_up_no_other(alice: User, now: datetime):
    webhook_set(user=alice, url="https://hooks.example.org/x", shape="slack", now=now)
    notice_queue(user=alice, kind="ready", subject="Ready", words="It runs.", now=now)
    post.tick(now=now, submit=at_once, notifiers={"mail": DeafNotifier(), "webhook": (fake := FakeNotifier())})
    assert [message.text for message in fake.sent] == ["It runs."]
    assert dict(Delivery.objects.values_list("channel", "last_error")) == {"mail": "Nobody answers.", "webhook": ""}
    post.tick(now=now + LATER, submit=at_once, notifiers={"mail": fake, "webhook": fake})
    assert len(fake.sent) == 2


def test_a_mistake_in_a_notifier_costs_one_delivery_and_is_tried_again(alice: User, bob: User, now: datetime):
    class Broken(FakeNotifier):
        def send(self, message: Any) -> None:
            if message.to.startswith("alice"):
                raise RuntimeError("a mistake")
            super().send(message)

    for user in (alice, bob):
        notice_queue(user=user, kind="ready", subject="Ready", words="It runs.", now=now)
    post.tick(now=now, submit=at_once, notifiers={"mail": (broken := Broken())})
    assert [message.to for message in broken.sent] == ["bob@example.edu"]
    post.tick(now=now + LATER, submit=at_once, notifiers={"mail": (fake := FakeNotifier())})
    assert [message.to for message in fake.sent] == ["alice@example.edu"]


def test_the_second_sender_of_a_delivery_sends_nothing(alice: User, now: datetime):
    notice_queue(user=alice, kind="ready", subject="Ready", words="It runs.", now=now)
    fake = FakeNotifier()
    pk = Delivery.objects.get().pk
    assert [post.deliver(delivery_id=pk, notifiers={"mail": fake}, now=now) for _ in range(2)] == [True, False]
    assert len(fake.sent) == 1


def test_django_mail_that_refuses_is_a_failure_in_words(alice: User, now: datetime, monkeypatch: pytest.MonkeyPatch):
    notice_queue(user=alice, kind="ready", subject="Ready", words="It runs.", now=now)

    def refuse(*_: Any) -> int:
        raise smtplib.SMTPAuthenticationError(535, b"no")

    monkeypatch.setattr(mail.EmailMultiAlternatives, "send", refuse)
    post.tick(now=now, submit=at_once)
    assert "name and password" in Delivery.objects.get().last_error


def test_a_lab_that_was_waited_for_tells_that_it_is_ready(alice: User, lab_of: Callable[..., Lab], now: datetime):
    run(lab_of(alice), now + timedelta(seconds=10))
    assert kinds() == []
    lab = run(lab_of(alice), now + timedelta(minutes=3))
    notice = Notice.objects.get()
    assert (notice.user, notice.kind, notice.url) == (alice, "ready", f"/labs/{lab.pk}/")


def test_an_end_is_told_with_its_reason_and_not_when_its_owner_made_it(alice: User, lab_of: Callable[..., Lab], now: datetime):
    mine, failed = run(lab_of(alice), now), run(lab_of(alice), now)
    lab_stop(lab=mine, actor=alice, now=now)
    lab_end(lab_id=failed.pk, code="out_of_memory", now=now)
    for lab in (mine, failed):
        lab_gone(lab_id=lab.pk, now=now)
    notice = Notice.objects.get()
    assert notice.subject == f"{failed.name} has ended"
    assert "more memory than the lab had" in notice.words
    assert "Launch it again with more memory" in notice.words


def test_the_end_of_its_time_is_told_half_an_hour_before_once_for_each_end(alice: User, lab_of: Callable[..., Lab], now: datetime):
    lab = run(lab_of(alice, hours=2), now)
    for minutes in (80, 91, 92, 100):
        post.tick(now=now + timedelta(minutes=minutes), submit=at_once, notifiers={"mail": FakeNotifier()})
    assert kinds() == ["ending"]
    assert "in 29 minutes" in Notice.objects.get().words
    lab_extend(lab=lab, hours=1, actor=alice, now=now + timedelta(minutes=100))
    post.tick(now=now + timedelta(minutes=101), submit=at_once, notifiers={})
    post.tick(now=now + timedelta(minutes=150), submit=at_once, notifiers={"mail": FakeNotifier()})
    assert kinds() == ["ending", "ending"]
    assert Lab.objects.get(pk=lab.pk).state == states.RUNNING
