"""The socket itself: who is let in, what they hear, when they are cut, and how they come back."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client

from labs.bus.bus import publish
from labs.bus.redis import client
from labs.lifecycle.models import Lab, Lease
from labs.people.models import User
from labs.people.services import person_disable, person_update
from labs.telemetry.services import lab_usage_record, readings_record
from portal.live import hub as hub_module
from portal.live.hub import hub
from portal.live.routing import websocket_application

pytestmark = pytest.mark.django_db(transaction=True)
CARD = {
    "uuid": "GPU-00000000-test", "index": 0, "model": "NVIDIA H200", "memory_total_mib": 100, "memory_used_mib": 10, "gpu_pct": 50, "memory_pct": 1,
    "temperature_c": 40, "power_w": 100.0, "power_limit_w": 700.0, "sm_mhz": 1, "memory_mhz": 1, "ecc_errors": 0, "fault": "", "holder": None, "processes": [],
}  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet(redis_url: str, node: Any) -> None:
    client().flushdb()
    assert not hub.viewers


def cookie(user: User | None) -> list[tuple[bytes, bytes]]:
    """The header of a browser in which this person has signed in."""
    if user is None:
        return []
    browser = Client()
    browser.force_login(user)
    return [(b"cookie", f"{settings.SESSION_COOKIE_NAME}={browser.cookies[settings.SESSION_COOKIE_NAME].value}".encode())]


class Page:
    """An open page: its socket, and what it heard."""

    def __init__(self, socket: WebsocketCommunicator) -> None:
        self.socket = socket

    async def hear(self, kind: str, within: float = 30) -> dict[str, Any]:
        """The next message of this kind; others are passed over."""
        async with asyncio.timeout(within):
            while True:
                message = json.loads(await self.socket.receive_from(within))
                if message["kind"] == kind:
                    return message

    async def closed(self, within: float = 30) -> int:
        """The code with which the server closes."""
        async with asyncio.timeout(within):
            while True:
                output = await self.socket.receive_output(within)
                if output["type"] == "websocket.close":
                    return int(output["code"])


@asynccontextmanager
async def page_of(user: User | None, page: str = "gpus", *, seen: str = "", origin: str = "http://testserver") -> AsyncIterator[Page]:
    """Open a page's socket; it is closed at the end."""
    headers = [(b"origin", origin.encode()), *await sync_to_async(cookie)(user)]
    socket = WebsocketCommunicator(websocket_application, f"/ws/live/?page={page}&seen={seen}", headers=headers)
    connected, _ = await socket.connect(timeout=60)
    assert connected
    yield Page(socket)
    await socket.disconnect()


async def ears_open() -> None:
    """Wait until the hub's subscription stands."""
    async with asyncio.timeout(60):
        while not await sync_to_async(client().pubsub_numpat)():
            await asyncio.sleep(0.02)


@sync_to_async
def say(*, cards: list[dict[str, Any]] | None = None, now: Any) -> None:
    readings_record(node_id="n1", readings=cards or [CARD], now=now)


async def test_a_stranger_without_a_session_is_sent_away(db):
    async with page_of(None) as page:
        assert await page.closed() == 4401
    assert not hub.viewers


@pytest.mark.parametrize("origin", ["http://evil.example", "http://testserver:8001", "https://testserver", "http://lab-abc.testserver", "null"])
async def test_a_page_of_another_origin_is_refused_even_with_the_cookie(alice: User, origin: str):
    headers = [(b"origin", origin.encode()), *await sync_to_async(cookie)(alice)]
    socket = WebsocketCommunicator(websocket_application, "/ws/live/?page=gpus", headers=headers)
    assert (await socket.connect(timeout=60))[0] is False


async def test_a_program_that_names_no_origin_is_refused(alice: User):
    socket = WebsocketCommunicator(websocket_application, "/ws/live/?page=gpus", headers=await sync_to_async(cookie)(alice))
    assert (await socket.connect(timeout=60))[0] is False


async def test_a_page_begins_with_the_past_and_goes_on_with_what_is_new(alice: User, now):
    await say(now=now)
    await say(now=now)
    async with page_of(alice) as page:
        assert "gpus.*" in (await page.hear("hello"))["topics"]
        past = await page.hear("history")
        assert (len(past["at"]), past["after"], past["seq"]) == (2, 0, 2)
        assert (await page.hear("sample"))["seq"] == 2
        await ears_open()
        await say(now=now)
        new = await page.hear("sample")
        assert (new["seq"], new["cards"][0]["gpu_pct"]) == (3, 50)


async def test_a_page_that_comes_back_is_sent_only_what_it_lacks(alice: User, now):
    for _ in range(5):
        await say(now=now)
    async with page_of(alice, seen="n1:3") as page:
        past = await page.hear("history")
        assert (past["after"], past["seq"], len(past["at"])) == (3, 5, 2)


async def test_a_page_that_comes_back_after_redis_was_emptied_gets_all_there_is(alice: User, now):
    await say(now=now)
    async with page_of(alice, seen="n1:900") as page:
        past = await page.hear("history")
        assert (past["after"], past["seq"]) == (0, 1)


async def test_a_missed_sample_makes_pages_ask_again(alice: User, now):
    await say(now=now)
    async with page_of(alice) as page:
        await page.hear("sample")
        await ears_open()
        await sync_to_async(client().incr)("gpulab:samples:node:n1:seq")
        await say(now=now)
        assert (await page.hear("resync"))["topic"] == "live"


def _lab(lab_of: Callable[..., Lab], owner: User, now: Any) -> Lab:
    lab = lab_of(owner, gpus=1, name="resnet")
    Lab.objects.filter(pk=lab.pk).update(state="running", node_id="n1")
    Lease.objects.create(lab=lab, gpu_id=CARD["uuid"], attempt=1, opened_at=now)
    return lab


async def test_names_and_command_lines_reach_the_holder_and_administrators_only(alice: User, bob: User, root_admin: User, now, lab_of):
    lab = await sync_to_async(_lab)(lab_of, alice, now)
    holder = {"lab": lab.pk, "name": "resnet", "owner": alice.pk, "owner_name": "Alice"}
    process = {"pid": 7, "name": "python", "command": "python secret.py", "memory_mib": 1, "lab": lab.pk}
    async with page_of(alice) as mine, page_of(bob) as others, page_of(root_admin) as house:
        await ears_open()
        await say(cards=[CARD | {"holder": holder, "processes": [process]}], now=now)
        own, foreign, all_ = [(await page.hear("sample"))["cards"][0] for page in (mine, others, house)]
    assert (own["holder"], own["processes"]) == ("you (resnet)", [process])
    assert foreign["holder"] == "in use"
    assert not {"secret.py", "Alice", "resnet", lab.pk} & set(str(foreign).replace("'", " ").split())
    assert (all_["holder"], all_["processes"]) == ("Alice (resnet)", [process])


async def test_a_lab_page_hears_its_lab_and_what_it_uses(alice: User, now, lab_of):
    lab = await sync_to_async(_lab)(lab_of, alice, now)
    use = {"lab_id": lab.pk, "cpu_ns": 1, "memory_mib": 5, "shm_mib": 0, "gpus": [], "now": now}
    await sync_to_async(lab_usage_record)(**use)
    async with page_of(alice, f"lab:{lab.pk}") as page:
        assert (await page.hear("usage-history"))["samples"][0]["memory_mib"] == 5
        await ears_open()
        await sync_to_async(lab_usage_record)(**use)
        assert (await page.hear("usage"))["memory_mib"] == 5
        await sync_to_async(publish)(f"lab.{lab.pk}", "state", state="stopping")
        assert (await page.hear("state"))["state"] == "stopping"


async def test_a_lab_of_somebody_else_does_not_exist_and_an_administrator_may_look(alice: User, bob: User, root_admin: User, now, lab_of):
    lab = await sync_to_async(_lab)(lab_of, alice, now)
    async with page_of(bob, f"lab:{lab.pk}") as page:
        assert await page.closed() == 4404
    async with page_of(root_admin, f"lab:{lab.pk}") as page:
        assert f"lab.{lab.pk}" in (await page.hear("hello"))["topics"]


@pytest.mark.parametrize("page", ["lab:", "lab:../../x", "lab:zzzzzzzzzzzz", "lab:%00"])
async def test_a_lab_that_is_none_is_told_as_such(alice: User, page: str):
    async with page_of(alice, page) as opened:
        assert await opened.closed() == 4404


async def test_one_persons_messages_do_not_reach_another(alice: User, bob: User):
    async with page_of(alice, "home") as mine, page_of(bob, "home") as others:
        await ears_open()
        await sync_to_async(publish)(f"person.{alice.pk}", "lab", lab="aaaaaaaaaaaa", state="running")
        await sync_to_async(publish)("queue", "lab", lab="aaaaaaaaaaaa")
        assert (await mine.hear("lab"))["topic"] == f"person.{alice.pk}"
        assert (await others.hear("lab"))["topic"] == "queue"


async def test_a_disabled_person_is_cut_at_once(alice: User, root_admin: User, now, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hub_module, "CHECK_S", 3600)
    async with page_of(alice) as page:
        await ears_open()
        await sync_to_async(person_disable)(user=alice, actor=root_admin, now=now)
        assert await page.closed(within=30) == 4401


async def test_a_person_is_cut_by_the_clock_when_the_message_was_lost(alice: User, bob: User, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hub_module, "CHECK_S", 0.1)
    async with page_of(alice) as page, page_of(bob):
        await sync_to_async(User.objects.filter(pk=alice.pk).update)(is_active=False)
        assert await page.closed(within=30) == 4401
        await hub.check()
        assert [viewer.closing for viewer in hub.viewers if viewer.audience.user_id == bob.pk] == [None]


async def test_signing_out_and_a_new_password_cut_the_page(alice: User, bob: User):
    async with page_of(alice) as signed_out, page_of(bob) as new_password:
        await signed_out.hear("hello")
        await new_password.hear("hello")
        await sync_to_async(_sign_out)(alice)
        await sync_to_async(_new_password)(bob)
        await hub.check()
        assert await signed_out.closed() == 4401
        assert await new_password.closed() == 4401


def _sign_out(user: User) -> None:
    for session in Session.objects.all():
        if session.get_decoded().get("_auth_user_id") == str(user.pk):
            session.delete()


def _new_password(user: User) -> None:
    user.set_password("another-horse-battery-9")
    user.save()


async def test_a_change_of_role_closes_the_socket_so_that_it_opens_with_the_rights_of_now(alice: User, root_admin: User, now):
    async with page_of(alice) as page:
        await ears_open()
        await sync_to_async(person_update)(user=alice, display_name="Alice", role="administrator", actor=root_admin, now=now)
        assert await page.closed() == 4409


async def test_the_last_viewer_to_leave_ends_the_subscription(alice: User):
    async with page_of(alice):
        await ears_open()
    async with asyncio.timeout(60):
        while await sync_to_async(client().pubsub_numpat)():
            await asyncio.sleep(0.02)
    assert not hub.viewers
