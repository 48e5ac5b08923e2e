"""The reverse proxy in front of real upstreams: what reaches whom, and that nothing is held back or stripped."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from tests.deploy.browser import session_of
from tests.deploy.nginx import LAB, LABS, PORTAL, Site, binary, site_make

MIB = 1024 * 1024
pytestmark = pytest.mark.skipif(not (binary() and shutil.which("openssl")) and not os.environ.get("CI"), reason="needs nginx and openssl")


class Upstream:
    """A stand-in for the portal or the relay that tells what reached it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.first_chunk = asyncio.Event()
        self.go_on = asyncio.Event()
        app = web.Application(client_max_size=0)
        app.router.add_get("/ws/echo", self.echo)
        app.router.add_get("/stream", self.stream)
        app.router.add_put("/upload", self.upload)
        app.router.add_route("*", "/{path:.*}", self.tell)
        self.server = TestServer(app)

    async def tell(self, request: web.Request) -> web.Response:
        return web.json_response({"name": self.name, "path": request.raw_path, "headers": dict(request.headers)}, headers={"Set-Cookie": "kept=1; Secure"})

    async def echo(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=["v1.kernel"])
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(f"{self.name} {request.headers['Origin']} {message.data}")
        return socket

    async def stream(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"first")
        await self.go_on.wait()
        await answer.write(b"last")
        return answer

    async def upload(self, request: web.Request) -> web.Response:
        total = 0
        async for chunk in request.content.iter_any():
            total += len(chunk)
            self.first_chunk.set()
        return web.Response(text=str(total))


@pytest.fixture
async def portal() -> AsyncIterator[Upstream]:
    upstream = Upstream("portal")
    async with upstream.server:
        yield upstream


@pytest.fixture
async def relay() -> AsyncIterator[Upstream]:
    upstream = Upstream("relay")
    async with upstream.server:
        yield upstream


@pytest.fixture
async def site(tmp_path: Path, portal: Upstream, relay: Upstream) -> AsyncIterator[Site]:
    made = site_make(tmp_path, portal=portal.server.port or 0, relay=relay.server.port or 0)
    with (tmp_path / "stdout").open("w") as out:
        process = await asyncio.create_subprocess_exec(binary() or "nginx", "-c", str(made.configuration), stdout=out, stderr=out)
    try:
        await _answers(made.https, process)
        yield made
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 60)


async def _answers(port: int, process: asyncio.subprocess.Process) -> None:
    for _ in range(1200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            assert process.returncode is None, "nginx ended at its start"
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    pytest.fail("nginx does not listen")


@pytest.fixture
async def browser(site: Site) -> AsyncIterator[aiohttp.ClientSession]:
    async with session_of(site) as session:
        yield session


async def test_nginx_itself_finds_no_fault_in_the_configuration(site: Site) -> None:
    found = subprocess.run([binary() or "nginx", "-t", "-c", site.configuration], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert "warn" not in found.stderr


@pytest.mark.parametrize(("host", "name"), [(PORTAL, "portal"), (LABS, "relay"), (LAB, "relay")])
async def test_each_name_leads_to_its_own_process(site: Site, browser: aiohttp.ClientSession, host: str, name: str) -> None:
    path = "/l/x%2Fy%20z//?a=%2F&b=1"
    async with browser.get(URL(f"https://{host}:{site.https}{path}", encoded=True)) as answer:
        told = await answer.json()
    assert (told["name"], told["path"]) == (name, path)
    assert answer.headers["Set-Cookie"] == "kept=1; Secure"


async def test_a_name_that_is_not_ours_gets_no_certificate_and_no_answer(site: Site, browser: aiohttp.ClientSession) -> None:
    with pytest.raises(aiohttp.ClientConnectorError):
        await browser.get(f"https://elsewhere.example.com:{site.https}/")
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await browser.get(f"http://elsewhere.example.com:{site.http}/")


@pytest.mark.parametrize("host", [PORTAL, LAB])
async def test_plain_http_is_sent_to_https_with_its_path(site: Site, browser: aiohttp.ClientSession, host: str) -> None:
    async with browser.get(f"http://{host}:{site.http}/labs/?x=1", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (308, f"https://{host}/labs/?x=1")


@pytest.mark.parametrize("host", [PORTAL, LAB])
async def test_what_a_client_claims_about_itself_is_replaced_and_the_rest_is_kept(site: Site, browser: aiohttp.ClientSession, host: str) -> None:
    claims = {"X-Forwarded-For": "10.0.0.1", "X-Real-IP": "10.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "evil", "Forwarded": "for=10.0.0.1"}
    kept = {"Authorization": "token gpl_secret", "Cookie": "gpulab_pass=x; _xsrf=y", "Idempotency-Key": "k", "Range": "bytes=0-1"}
    async with browser.get(f"https://{host}:{site.https}/", headers=claims | kept) as answer:
        got = (await answer.json())["headers"]
    assert kept.items() <= got.items()
    own = f"{host}:{site.https}"
    assert {name: got.get(name) for name in (*claims, "Host")} == {
        "X-Forwarded-For": "127.0.0.1",
        "X-Real-IP": "127.0.0.1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": own,
        "Forwarded": None,
        "Host": own,
    }


@pytest.mark.parametrize(("host", "name"), [(PORTAL, "portal"), (LAB, "relay")])
async def test_a_websocket_passes_with_its_origin_and_protocol(site: Site, browser: aiohttp.ClientSession, host: str, name: str) -> None:
    origin = f"https://{host}:{site.https}"
    async with browser.ws_connect(f"{origin}/ws/echo", origin=origin, protocols=["v1.kernel"]) as socket:
        await socket.send_str("x" * MIB)
        answer = await socket.receive_str(timeout=60)
    assert socket.protocol == "v1.kernel"
    assert answer == f"{name} {origin} {'x' * MIB}"


async def test_a_large_upload_reaches_the_lab_while_it_is_being_sent(site: Site, browser: aiohttp.ClientSession, relay: Upstream) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"x" * MIB
        await asyncio.wait_for(relay.first_chunk.wait(), 60)  # a proxy that collects first would never let this go on
        for _ in range(63):
            yield b"x" * MIB

    async with browser.put(f"https://{LAB}:{site.https}/upload", data=body()) as answer:
        assert (answer.status, await answer.text()) == (200, str(64 * MIB))


async def test_an_answer_reaches_the_browser_while_it_is_being_made(site: Site, browser: aiohttp.ClientSession, relay: Upstream) -> None:
    async with browser.get(f"https://{LAB}:{site.https}/stream") as answer:
        assert await asyncio.wait_for(answer.content.readexactly(5), 60) == b"first"
        relay.go_on.set()
        assert await answer.content.read() == b"last"


async def test_the_portal_takes_no_large_body(site: Site, browser: aiohttp.ClientSession, portal: Upstream) -> None:
    async with browser.put(f"https://{PORTAL}:{site.https}/upload", data=b"x" * (3 * MIB)) as answer:
        assert answer.status == 413
    assert not portal.first_chunk.is_set()


async def test_the_log_has_neither_tickets_nor_tokens(site: Site, browser: aiohttp.ClientSession) -> None:
    await browser.get(
        f"https://{LAB}:{site.https}/_gpulab/enter?ticket=SECRET-TICKET", headers={"Authorization": "token SECRET-TOKEN", "Referer": "https://x/?SECRET"}
    )
    await browser.get(f"https://{PORTAL}:{site.https}/invite/gpi_SECRET/")
    lines = (f'{LAB} "GET /_gpulab/enter" 200', f'{PORTAL} "GET /invite/..." 200')
    async with asyncio.timeout(60):  # a line is written once its answer was, and that has arrived by then
        while not all(line in site.log for line in lines):
            await asyncio.sleep(0.05)
    assert "SECRET" not in site.log
