"""What passes: bytes as they are, in any amount, with the house's secrets taken out and put in."""

import asyncio
import resource
import time
from collections.abc import AsyncIterator
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import WSMsgType

from tests.worker.relay.conftest import BASE, MIB
from tests.worker.relay.world import LAB, PASS_COOKIE, World, eventually

pytestmark = pytest.mark.asyncio
#: Python and sockets breathe; a relay that keeps what it carries grows by all of it.
BREATH_KIB = 40 * 1024


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def test_a_lab_sees_its_own_token_and_host_and_nothing_of_the_house(house: World) -> None:
    cookie = f"sessionid=portal; {PASS_COOKIE}={house.mint()}; _xsrf=kept; gpulab_session=portal; __Host-gpulab_csrf=portal; csrftoken=portal"
    sent = {"Host": house.host, "Cookie": cookie, "Authorization": "token mine", "X-Forwarded-For": "10.9.8.7"}
    sent |= {"Connection": "X-Secret, keep-alive", "X-Secret": "hop"}
    async with house.ask(f"{BASE}/api/contents/a%2Fb%20c?path=%2F..%2F&q=1", headers=sent) as answer:
        seen = await answer.json()
    headers = dict(seen["headers"])
    assert seen["path"] == f"{BASE}/api/contents/a%2Fb%20c?path=%2F..%2F&q=1"
    assert headers["Authorization"] == f"token upstream-{LAB}-1"
    assert headers["Cookie"] == "_xsrf=kept"
    assert headers["Host"] == house.host == headers["X-Forwarded-Host"]
    assert headers["X-Forwarded-For"] == "127.0.0.1"
    assert "X-Secret" not in headers and "portal" not in str(seen)


async def test_a_lab_sets_cookies_for_its_own_host_only(house: World) -> None:
    async with house.ask(f"{BASE}/cookies") as answer:
        assert answer.headers.getall("Set-Cookie") == ["_xsrf=1; Path=/"]
        assert answer.headers.getall("Content-Security-Policy") == ["frame-ancestors 'none'", "frame-ancestors 'self'"]


@pytest.mark.parametrize(
    ("to", "status"), [("/l/x/tree", 302), ("tree?", 302), ("https://evil.example/", 502), ("//evil.example", 502), ("/\\evil.example", 502)]
)
async def test_a_redirect_stays_on_the_labs_origin(house: World, to: str, status: int) -> None:
    async with house.ask(f"{BASE}/go?to={quote(to, safe='')}") as answer:
        assert answer.status == status
        assert answer.headers.get("Location", "") == (to if status == 302 else "")


async def test_the_root_of_the_origin_leads_to_jupyter(house: World) -> None:
    async with house.ask("/") as answer:
        assert (answer.status, answer.headers["Location"]) == (303, f"/l/{LAB}/lab")


async def test_what_is_packed_stays_packed(house: World) -> None:
    async with house.ask(f"{BASE}/packed") as answer:
        assert (answer.headers["Content-Encoding"], await answer.read()) == ("gzip", b"not gzip at all")


async def test_an_answer_to_head_has_no_body(house: World) -> None:
    async with house.ask(f"{BASE}/x", method="HEAD") as answer:
        assert answer.status == 200 and await answer.read() == b"" and int(answer.headers["Content-Length"]) > 0


@pytest.mark.parametrize("mib", [200, pytest.param(2048, marks=pytest.mark.long)])
async def test_uploads_and_downloads_stay_flat_in_memory(house: World, mib: int) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(mib):
            yield bytes(MIB)

    async with house.ask(f"{BASE}/download?mib=2") as answer:
        await answer.read()
    before = _peak_kib()
    async with house.ask(f"{BASE}/upload", method="PUT", data=body()) as answer:
        assert (await answer.json())["size"] == mib * MIB
    size = 0
    async with house.ask(f"{BASE}/download?mib={mib}") as answer:
        async for chunk in answer.content.iter_any():
            size += len(chunk)
    assert size == mib * MIB
    assert _peak_kib() - before < BREATH_KIB


async def test_a_slow_reader_holds_the_lab_back_instead_of_filling_the_relay(house: World) -> None:
    before = _peak_kib()
    async with house.ask(f"{BASE}/download?mib=400") as answer:
        await answer.content.readexactly(MIB)
        until = time.monotonic() + 1.0
        while time.monotonic() < until:  # long enough for a relay that does not wait to swallow it all
            await asyncio.sleep(0.05)
        assert _peak_kib() - before < BREATH_KIB


async def test_a_body_of_known_size_is_announced_as_such(house: World) -> None:
    async with house.ask(f"{BASE}/upload", method="PUT", data=b"12345") as answer:
        assert await answer.json() == {"size": 5, "length": "5", "coding": None}


async def test_events_arrive_as_they_are_sent_and_a_reader_who_leaves_ends_the_request(house: World) -> None:
    async with house.ask(f"{BASE}/drip") as answer:
        assert await asyncio.wait_for(answer.content.readline(), 30) == b"data: one\n"
        assert len(house.links) == 1
    await eventually(lambda: len(house.links) == 0, what="the end of the link")


async def test_a_websocket_carries_text_and_frames_of_10_mb_both_ways(house: World) -> None:
    async with house.connect(f"{BASE}/echo") as socket:
        await socket.send_str("grüße")
        assert await socket.receive_str() == "grüße"
        big = bytes(range(256)) * (10 * MIB // 256)
        await socket.send_bytes(big)
        assert await socket.receive_bytes() == big


async def test_the_sub_protocol_is_agreed_with_the_lab(house: World) -> None:
    for asked, chosen in (("v1.kernel.websocket.jupyter.org", "v1.kernel.websocket.jupyter.org"), ("unheard.of", None)):
        async with house.connect(f"{BASE}/echo", protocols=(asked,)) as socket:
            assert socket.protocol == chosen


async def test_pings_and_closing_codes_pass_through(house: World) -> None:
    async with house.connect(f"{BASE}/echo", autoping=False) as socket:
        await socket.send_str("ping")
        message = await socket.receive()
        assert (message.type, message.data) == (WSMsgType.PING, b"from the lab")
        await socket.ping(b"from us")
        message = await socket.receive()
        assert (message.type, message.data) == (WSMsgType.PONG, b"from us")
        await socket.send_str("close")
        message = await socket.receive()
        assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 4001, "as asked")


async def test_a_websocket_of_another_origin_is_refused(house: World) -> None:
    for origin in ("http://localhost:8000", "http://lab-mnopqrstuvwx.localhost", "null"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await house.connect(f"{BASE}/echo", headers=house.visitor(Origin=origin))
        assert refusal.value.status == 403


async def test_the_labs_socket_sees_its_token_and_none_of_the_houses_cookies(house: World) -> None:
    async with house.connect(f"{BASE}/echo") as socket:
        await socket.send_str("headers")
        headers = dict(await socket.receive_json())
    assert headers["Authorization"] == f"token upstream-{LAB}-1" and headers["Origin"] == house.origin and "Cookie" not in headers


async def test_a_socket_that_the_lab_refuses_is_refused(house: World) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await house.connect(f"{BASE}/no-socket-here")
    assert refusal.value.status == 502
