"""Revoked means now: open links are cut, new ones refused, and the last known truth stands for 15 minutes."""

import asyncio
import time
from collections.abc import Callable

import pytest
from aiohttp import WSMsgType

from tests.worker.relay.conftest import BASE
from tests.worker.relay.world import ALICE, LAB, PASS_COOKIE, ROOT, TOKEN, World, eventually
from worker.relay import table as table_module
from worker.relay.table import REFRESH_S, STANDS_S, Table, Unknown

pytestmark = pytest.mark.asyncio
Revoke = Callable[[World], None]

REVOCATIONS: dict[str, Revoke] = {
    "person disabled": lambda house: house.person(ALICE, active=False),
    "pass too old": lambda house: house.person(ALICE, passes_not_before=time.time() + 1),
    "lab stopping": lambda house: house.route(state="stopping", jupyter=None),
    "lab ended": lambda house: house.say(routes={}),
    "lab started anew": lambda house: house.route(attempt=2),
    "lab given away": lambda house: house.route(owner_id=2),
}


@pytest.mark.parametrize("what", REVOCATIONS)
async def test_an_open_socket_is_cut_when(house: World, what: str) -> None:
    async with house.connect(f"{BASE}/echo") as socket:
        await socket.send_str("hello")
        assert await socket.receive_str() == "hello"
        REVOCATIONS[what](house)
        await house.table.refresh()
        message = await asyncio.wait_for(socket.receive(), 30)
        assert message.type in (WSMsgType.CLOSE, WSMsgType.CLOSED)
    await eventually(lambda: len(house.links) == 0, what="the end of the link")


async def test_an_open_download_is_cut_when_its_person_is_disabled(house: World) -> None:
    async with house.ask(f"{BASE}/drip") as answer:
        await answer.content.readline()
        house.person(ALICE, active=False)
        await house.table.refresh()
        with pytest.raises(Exception):  # noqa: B017  (a cut has several faces; what matters is that reading ends)
            await asyncio.wait_for(answer.content.readexactly(10**6), 30)
    await eventually(lambda: len(house.links) == 0, what="the end of the link")
    async with house.ask(f"{BASE}/x") as answer:
        assert answer.status == 403


async def test_a_client_is_cut_when_its_token_is_revoked_and_others_stay(house: World) -> None:
    by_token = {"Host": "localhost", "Authorization": f"token {TOKEN}"}
    async with house.connect(f"{BASE}/echo", headers=by_token) as client, house.connect(f"{BASE}/echo") as browser:
        house.say(tokens={})
        await house.table.refresh()
        assert (await asyncio.wait_for(client.receive(), 30)).type in (WSMsgType.CLOSE, WSMsgType.CLOSED)
        await browser.send_str("still here")
        assert await browser.receive_str() == "still here"


async def test_an_administrator_who_is_one_no_longer_is_cut(house: World) -> None:
    async with house.connect(f"{BASE}/echo", headers=house.visitor(ROOT, "admin", Origin=house.origin)) as socket:
        house.person(ROOT, is_admin=False)
        await house.table.refresh()
        assert (await asyncio.wait_for(socket.receive(), 30)).type in (WSMsgType.CLOSE, WSMsgType.CLOSED)


async def test_what_a_session_opened_ends_with_the_session_and_other_sessions_stay(house: World) -> None:
    house.say(sessions=frozenset(("laptop", "phone")))
    await house.table.refresh()
    visits = [{"Host": house.host, "Cookie": f"{PASS_COOKIE}={house.mint(session=session)}", "Origin": house.origin} for session in ("laptop", "phone")]
    async with house.connect(f"{BASE}/echo", headers=visits[0]) as laptop, house.connect(f"{BASE}/echo", headers=visits[1]) as phone:
        house.say(sessions=frozenset(("phone",)))
        await house.table.refresh()
        assert (await asyncio.wait_for(laptop.receive(), 30)).type in (WSMsgType.CLOSE, WSMsgType.CLOSED)
        await phone.send_str("still here")
        assert await phone.receive_str() == "still here"
    async with house.ask(f"{BASE}/x", headers=visits[0]) as answer:
        assert answer.status == 403


async def test_a_pass_made_from_a_ticket_belongs_to_the_session_of_the_ticket(house: World) -> None:
    house.say(sessions=frozenset(("laptop",)))
    async with house.ask(f"/_gpulab/enter?ticket={house.mint('ticket', session='laptop')}", headers={"Host": house.host}) as answer:
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
    house.say(sessions=frozenset())
    await house.table.refresh()
    async with house.ask(f"{BASE}/x", headers={"Host": house.host, "Cookie": cookie}) as answer:
        assert answer.status == 403


async def test_the_clock_alone_notices_a_revocation(house: World) -> None:
    clock = asyncio.create_task(house.table.run())
    try:
        async with house.connect(f"{BASE}/echo") as socket:
            house.say(routes={})
            message = await asyncio.wait_for(socket.receive(), REFRESH_S + 28)
            assert message.type in (WSMsgType.CLOSE, WSMsgType.CLOSED)
    finally:
        clock.cancel()


async def test_a_ring_makes_a_lab_reachable_long_before_the_clock(house: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_module, "REFRESH_S", 60.0)
    house.route(jupyter=None)
    clock = asyncio.create_task(house.table.run())
    try:
        await eventually(lambda: house.table.snapshot.routes[LAB].jupyter is None)
        house.route(jupyter=("127.0.0.1", 1))
        house.table.wake()
        await eventually(lambda: house.table.snapshot.routes[LAB].jupyter is not None, within=30, what="the route")
        assert house.table.snapshot.routes[LAB].jupyter == ("127.0.0.1", 1)
    finally:
        clock.cancel()


async def test_without_a_database_the_last_known_truth_stands(house: World) -> None:
    house.broken = True
    async with house.connect(f"{BASE}/echo") as socket:
        await house.table.refresh()
        await socket.send_str("still here")
        assert await socket.receive_str() == "still here"
    async with house.ask(f"{BASE}/x") as answer:
        assert answer.status == 200


async def test_after_15_minutes_without_a_database_nobody_is_let_in(house: World) -> None:
    at = [0.0]
    table = Table(house.load, clock=lambda: at[0])
    with pytest.raises(Unknown):
        _ = table.snapshot
    await table.refresh()
    house.broken = True
    at[0] = STANDS_S - 1
    await table.refresh()
    assert table.snapshot.routes
    at[0] = STANDS_S + 1
    await table.refresh()
    with pytest.raises(Unknown):
        _ = table.snapshot


async def test_health_tells_whether_what_is_known_may_be_acted_on(house: World) -> None:
    async with house.ask("/_gpulab/healthz", headers={"Host": "127.0.0.1"}) as answer:
        assert answer.status == 200 and (await answer.json())["labs"] == 2
    house.table._loaded_at = None
    async with house.ask("/_gpulab/healthz", headers={"Host": "127.0.0.1"}) as answer:
        assert answer.status == 503
