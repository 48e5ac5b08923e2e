"""Websockets to a lab and back: frames as they are, pings and closing codes included, at the pace of the slower side."""

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp import WSMsgType, web
from yarl import URL

Either = web.WebSocketResponse | aiohttp.ClientWebSocketResponse
#: The closing codes that may not be sent on the wire mean "no code was given" and the like.
UNSAYABLE = frozenset((1005, 1006, 1015))
POLICY_VIOLATION = 1008
CLOSE_S = 1.0
#: Of one message, bytes: it is held whole here before it goes on, and this relay is everybody's.
MOST = 256 * 1024 * 1024
HANDSHAKE = frozenset(("sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions", "sec-websocket-protocol", "content-length"))


async def carry(request: web.BaseRequest, *, session: aiohttp.ClientSession, url: URL, headers: Mapping[str, str]) -> web.StreamResponse:
    """Carry one websocket until either side ends. Raises aiohttp.ClientError when the lab refuses the handshake."""
    asked = [word.strip() for word in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if word.strip()]
    upstream = await session.ws_connect(
        url,
        protocols=asked,
        headers={name: value for name, value in headers.items() if name.lower() not in HANDSHAKE},
        max_msg_size=MOST,
        compress=0,
        autoping=False,
        autoclose=False,
    )
    try:
        chosen = (upstream.protocol,) if upstream.protocol else ()
        socket = web.WebSocketResponse(protocols=chosen, max_msg_size=MOST, compress=False, autoping=False, autoclose=False)
        await socket.prepare(request)
        await _both_ways(socket, upstream)
    finally:
        await asyncio.shield(_closed(upstream))
    return socket


async def _both_ways(socket: web.WebSocketResponse, upstream: aiohttp.ClientWebSocketResponse) -> None:
    ways = [asyncio.ensure_future(_pump(socket, upstream)), asyncio.ensure_future(_pump(upstream, socket))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        await _closed(socket, POLICY_VIOLATION)
        raise
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
    await _closed(socket)


async def _pump(source: Either, sink: Either) -> None:
    """Frames from one side to the other. Sending waits for the sink, and a source that is not read is not filled."""
    while True:
        message = await source.receive()
        match message.type:
            case WSMsgType.TEXT:
                await sink.send_str(message.data)
            case WSMsgType.BINARY:
                await sink.send_bytes(message.data)
            case WSMsgType.PING:
                await sink.ping(message.data)
            case WSMsgType.PONG:
                await sink.pong(message.data)
            case WSMsgType.CLOSE:
                await _closed(sink, int(message.data or 1000), str(message.extra or ""))
                return
            case _:
                return


async def _closed(side: Any, code: int = 1000, words: str = "") -> None:
    """Close one side, politely and within a second."""
    code = 1000 if code in UNSAYABLE else code
    try:
        await asyncio.wait_for(side.close(code=code, message=words.encode()), CLOSE_S)
    except (TimeoutError, ConnectionError, aiohttp.ClientError):
        return
