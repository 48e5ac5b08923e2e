"""Webhooks: what is told to whom, how it is signed, when it is tried again, and when it stops."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from labs.ledger.models import Event
from labs.lifecycle.services import lab_stop
from labs.notices.models import Notice
from labs.people.errors import Refused
from labs.webhooks.models import Call, Hook
from labs.webhooks.outbox import calls_queue
from labs.webhooks.rules import BACK_OFF, MOST_GIVEN_UP
from labs.webhooks.services import hook_change, hook_create, hook_test
from tests.support.receivers import Chat, chat_server
from worker.loops import hooks

pytestmark = pytest.mark.django_db


@pytest.fixture
def receiver() -> Iterator[Chat]:
    with chat_server() as server:
        yield server


def make(owner: Any, now: Any, url: str, **more: Any) -> tuple[Hook, str]:
    return hook_create(**({"owner": owner, "name": "book", "url": url, "events": ["lab.queued", "lab.stopped"], "everyone": False, "now": now} | more))


def tick(now: Any) -> int:
    return hooks.tick(now=now, submit=lambda work: work())


def test_an_event_of_ones_lab_is_told_once_signed_after_the_standard(alice: Any, lab_of: Any, now: Any, receiver: Chat) -> None:
    _, secret = make(alice, now, receiver.url)
    lab = lab_of(alice)
    assert [tick(now + timedelta(seconds=5)) for _ in range(3)] == [1, 0, 0]
    ((_, headers, body),) = receiver.posts
    assert (body["type"], body["data"]["lab"]["id"], body["data"]["lab"]["owner"]) == ("lab.queued", lab.pk, alice.email)
    sent = {name.lower(): value for name, value in headers.items()}
    signed = f"{sent['webhook-id']}.{sent['webhook-timestamp']}.".encode() + json.dumps(body).encode()
    mac = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256).digest()
    assert sent["webhook-signature"] == "v1," + base64.b64encode(mac).decode()
    assert Call.objects.get().state == "sent" and Call.objects.get().last_status == 200


def test_what_was_not_asked_for_and_others_labs_are_not_told(alice: Any, bob: Any, lab_of: Any, now: Any, receiver: Chat) -> None:
    make(alice, now, receiver.url, events=["lab.failed"])
    make(bob, now, receiver.url, name="bobs")
    lab_of(alice)
    assert tick(now + timedelta(seconds=5)) == 0 and not receiver.posts


def test_everybodys_labs_are_told_to_administrators_for_as_long_as_they_are(alice: Any, root_admin: Any, lab_of: Any, now: Any, receiver: Chat) -> None:
    with pytest.raises(Refused, match="administrators"):
        make(alice, now, receiver.url, everyone=True)
    make(root_admin, now, receiver.url, everyone=True)
    lab = lab_of(alice)
    assert tick(now + timedelta(seconds=1)) == 1
    type(root_admin).objects.filter(pk=root_admin.pk).update(role="teacher")
    lab_stop(lab=lab, actor=alice, now=now + timedelta(seconds=2))
    assert tick(now + timedelta(seconds=3)) == 0 and len(receiver.posts) == 1


def test_an_event_that_was_committed_late_is_told_and_none_twice(alice: Any, lab_of: Any, now: Any, receiver: Chat) -> None:
    make(alice, now, receiver.url)
    lab = lab_of(alice)
    later = now + timedelta(minutes=1)
    assert tick(later) == 1
    Event.objects.create(at=now + timedelta(seconds=1), kind="lab.stopped", subject=lab.subject, words="It has ended.")
    assert (calls_queue(now=later), calls_queue(now=later)) == (1, 0)


def test_a_receiver_that_is_away_is_tried_again_and_then_switched_off_with_a_message(alice: Any, lab_of: Any, now: Any, receiver: Chat) -> None:
    hook, _ = make(alice, now, receiver.url)
    receiver.status = 500
    moment = now
    for _ in range(MOST_GIVEN_UP):
        lab_of(alice)
    for wait in (timedelta(seconds=1), *BACK_OFF):
        moment += wait + timedelta(seconds=1)
        tick(moment)
    hook.refresh_from_db()
    assert len(receiver.posts) == MOST_GIVEN_UP * (len(BACK_OFF) + 1)
    assert hook.paused and "status 500" in hook.off_words
    assert Notice.objects.get(user=alice, kind="webhook").subject == "Your webhook book was switched off"
    assert {headers["webhook-id"] for _, headers, _ in receiver.posts} == {one.public_id for one in Call.objects.all()}
    hook_change(hook=hook, paused=False, now=moment)
    receiver.status = 200
    assert tick(moment + timedelta(seconds=1)) == 0, "what happened meanwhile is not made up for"


def test_a_change_from_a_page_that_is_old_undoes_nothing_that_the_house_noted(alice: Any, now: Any) -> None:
    seen, _ = make(alice, now, "https://hooks.example.org/a")
    later = now + timedelta(minutes=5)
    Hook.objects.filter(pk=seen.pk).update(looked_at=later, given_up=3, paused=True, off_words="It has not answered.")
    hook_change(hook=seen, events=["lab.failed"], now=later)
    row = Hook.objects.get()
    assert (row.events, row.looked_at, row.given_up, row.paused, row.off_words) == (["lab.failed"], later, 3, True, "It has not answered.")


def test_one_that_says_that_it_is_gone_is_not_called_again(alice: Any, lab_of: Any, now: Any, receiver: Chat) -> None:
    hook, _ = make(alice, now, receiver.url)
    receiver.status = 410
    lab_of(alice)
    for wait in (timedelta(), *BACK_OFF):
        now += wait + timedelta(seconds=1)
        tick(now)
    assert len(receiver.posts) == 1
    hook.refresh_from_db()
    assert hook.paused


def test_one_success_begins_the_count_anew(alice: Any, lab_of: Any, now: Any, receiver: Chat) -> None:
    hook, _ = make(alice, now, receiver.url)
    Hook.objects.update(given_up=MOST_GIVEN_UP - 1)
    lab_of(alice)
    tick(now + timedelta(seconds=1))
    hook.refresh_from_db()
    assert hook.given_up == 0


def test_a_redirect_is_not_followed(alice: Any, now: Any, receiver: Chat) -> None:
    with chat_server() as inside:
        receiver.status, receiver.headers = 307, {"Location": inside.url}
        hook_test(hook=make(alice, now, receiver.url)[0], now=now)
        tick(now + timedelta(seconds=1))
        assert len(receiver.posts) == 1 and not inside.posts
    assert Call.objects.get().last_words == "It answered with status 307."


@pytest.mark.parametrize(
    "url", ["http://hooks.example.org/", "https://10.0.0.1/", "https://169.254.169.254/latest/", "https://[::ffff:10.0.0.1]/", "https://u:p@x.org/"]
)
def test_an_address_inside_is_refused_in_words(alice: Any, now: Any, url: str) -> None:
    with pytest.raises(Refused) as refused:
        make(alice, now, url)
    assert refused.value.field == "url"


def test_a_name_that_points_inside_is_not_called(alice: Any, now: Any, receiver: Chat, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.WEBHOOK_REACH = type(settings.WEBHOOK_REACH)(loopback=False)
    monkeypatch.setattr("socket.getaddrinfo", lambda host, port, *_, **__: [(2, 1, 6, "", ("127.0.0.1", receiver.port))])
    hook_test(hook=make(alice, now, f"https://rebind.example.org:{receiver.port}/")[0], now=now)
    tick(now + timedelta(seconds=1))
    assert not receiver.posts and "private network" in Call.objects.get().last_words


def test_a_test_goes_out_while_it_is_paused_and_not_twice_at_once(alice: Any, now: Any, receiver: Chat) -> None:
    hook, _ = make(alice, now, receiver.url)
    hook_change(hook=hook, paused=True, now=now)
    hook_test(hook=hook, now=now)
    with pytest.raises(Refused, match="on its way"):
        hook_test(hook=hook, now=now)
    tick(now + timedelta(seconds=1))
    assert receiver.posts[0][2]["type"] == "test"


def test_a_disabled_persons_webhook_is_silent(alice: Any, lab_of: Any, now: Any, receiver: Chat) -> None:
    make(alice, now, receiver.url)
    lab_of(alice)
    calls_queue(now=now + timedelta(seconds=1))
    type(alice).objects.filter(pk=alice.pk).update(is_active=False)
    tick(now + timedelta(seconds=2))
    assert not receiver.posts


def test_neither_the_address_nor_the_secret_is_readable_in_the_record(alice: Any, now: Any) -> None:
    _, secret = make(alice, now, "https://hooks.example.org/very-secret")
    kept = str(list(Hook.objects.values_list()))
    assert "very-secret" not in kept and secret not in kept


def test_the_same_call_is_taken_by_one_sender(alice: Any, now: Any, receiver: Chat) -> None:
    made = hook_test(hook=make(alice, now, receiver.url)[0], now=now)
    assert [hooks.call_make(call_id=made.pk, now=now) for _ in range(2)] == [True, False]
    assert len(receiver.posts) == 1


def _happened(lab: Any, count: int, at: Any) -> None:
    Event.objects.bulk_create(Event(at=at + timedelta(seconds=number), kind="lab.stopped", subject=lab.subject, words="x") for number in range(count))


def test_more_than_fits_into_one_look_is_told_by_the_next_ones(root_admin: Any, alice: Any, lab_of: Any, now: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labs.webhooks.outbox.MOST_AT_ONCE", 3)
    make(root_admin, now, "https://x.org/", everyone=True, events=["lab.stopped"])
    _happened(lab_of(alice), 8, now)
    later = now + timedelta(minutes=50)  # the house was away
    assert [calls_queue(now=later + timedelta(seconds=5 * look)) for look in range(4)] == [3, 3, 2, 0]


def test_what_happens_to_others_pushes_ones_own_out_of_no_look(alice: Any, bob: Any, lab_of: Any, now: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labs.webhooks.outbox.MOST_AT_ONCE", 3)
    make(alice, now, "https://x.org/", events=["lab.stopped"])
    _happened(lab_of(bob), 8, now)
    _happened(lab_of(alice), 1, now + timedelta(seconds=20))
    assert calls_queue(now=now + timedelta(minutes=1)) == 1


def test_a_call_has_one_name_for_its_event_whatever_number_it_is_kept_under(alice: Any, lab_of: Any, now: Any) -> None:
    make(alice, now, "https://x.org/", events=["lab.queued"])
    lab_of(alice)
    assert calls_queue(now=now) == 1
    before = Call.objects.get()
    Call.objects.all().delete()  # the backup that was restored knew nothing of it
    assert calls_queue(now=now + timedelta(seconds=5)) == 1
    again = Call.objects.get()
    assert (again.public_id, again.pk != before.pk) == (before.public_id, True)


def test_a_receiver_that_hangs_takes_one_thread_and_no_more(alice: Any, bob: Any, lab_of: Any, now: Any) -> None:
    for owner in (alice, bob):
        make(owner, now, "https://x.org/")
    _happened(lab_of(alice), 5, now)
    handed: list[Any] = []
    try:
        assert hooks.tick(now=now + timedelta(seconds=9), submit=handed.append) == 6
        assert len(handed) == 1, "one after another"
        lab_of(bob)
        assert hooks.tick(now=now + timedelta(seconds=19), submit=handed.append) == 1
        assert len(handed) == 2
    finally:
        hooks.in_hand.clear()
