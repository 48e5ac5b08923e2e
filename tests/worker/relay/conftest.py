"""A lab as the relay sees it, and the relay before it."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio
from aiohttp import WSMsgType, web

from tests.worker.relay.world import LAB, World, world

MIB = 1024 * 1024
BASE = f"/l/{LAB}"


async def say_request(request: web.Request) -> web.Response:
    """What reached the lab."""
    return web.json_response({"method": request.method, "path": request.raw_path, "headers": list(request.headers.items())})


async def count_upload(request: web.Request) -> web.Response:
    """The size of what was sent, read as it comes."""
    size = 0
    async for chunk in request.content.iter_chunked(MIB):
        size += len(chunk)
    return web.json_response({"size": size, "length": request.headers.get("Content-Length"), "coding": request.headers.get("Transfer-Encoding")})


async def download(request: web.Request) -> web.StreamResponse:
    """As many MiB as asked for."""
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(int(request.query["mib"])):
        await response.write(bytes(MIB))
    return response


async def drip(request: web.Request) -> web.StreamResponse:
    """One event, and then nothing for ever."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b"data: one\n\n")
    await asyncio.Event().wait()
    return response


async def cookies(_: web.Request) -> web.Response:
    """Cookies that a lab may set, and those that it may not."""
    response = web.Response(text="ok", headers={"Content-Security-Policy": "frame-ancestors 'none'"})
    for cookie in ("_xsrf=1; Path=/", "wide=1; Domain=localhost", "gpulab_pass=forged", "csrftoken=tossed; path=/"):
        response.headers.add("Set-Cookie", cookie)
    return response


async def go(request: web.Request) -> web.Response:
    """A redirect to wherever was asked for."""
    return web.Response(status=302, headers={"Location": request.query["to"]})


async def packed(_: web.Request) -> web.Response:
    """Bytes that claim to be gzip and are not: whoever unpacks them fails."""
    return web.Response(body=b"not gzip at all", headers={"Content-Encoding": "gzip"})


async def echo(request: web.Request) -> web.WebSocketResponse:
    """Says every message back; `ping` is answered by a ping of its own, `close` by a close with code 4001."""
    socket = web.WebSocketResponse(protocols=("v1.kernel.websocket.jupyter.org",), max_msg_size=0, compress=False)
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
        elif message.data == "headers":
            await socket.send_json(list(request.headers.items()))
        elif message.data == "ping":
            await socket.ping(b"from the lab")
        elif message.data == "close":
            await socket.close(code=4001, message=b"as asked")
        else:
            await socket.send_str(message.data)
    return socket


def lab_application() -> web.Application:
    """The lab's Jupyter, as far as bytes go."""
    application = web.Application(client_max_size=0)
    application.router.add_route("PUT", BASE + "/upload", count_upload)
    for path, handler in {"download": download, "drip": drip, "cookies": cookies, "go": go, "packed": packed, "echo": echo}.items():
        application.router.add_get(f"{BASE}/{path}", handler)
    application.router.add_route("*", "/{path:.*}", say_request)
    return application


@pytest_asyncio.fixture
async def house() -> AsyncIterator[World]:
    """A relay before a lab."""
    async with world(lab_application()) as made:
        yield made
