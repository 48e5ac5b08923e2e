"""A lab that answers at once and a client that asks for as little of the machine as can be: what is left of the time is the doors'.

Both speak HTTP/1.1 and websockets by hand, for fixed requests and frames; they understand nothing else.
"""

import asyncio
import base64
import hashlib
import os
import re
import ssl
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

BODY = b"x" * 1024
MESSAGE = 512
#: A binary frame of 512 bytes: with a mask as browsers send it, and without as servers do.
MASKED = b"\x82\xfe\x02\x00" + b"mask" + bytes(MESSAGE)
PLAIN = b"\x82\x7e\x02\x00" + bytes(MESSAGE)
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 1024\r\n\r\n" + BODY
KEY = re.compile(rb"(?i)sec-websocket-key: *(\S+)")
LENGTH = re.compile(rb"(?i)content-length: *(\d+)")
CLOSES = re.compile(rb"\r\nconnection: close\r\n", re.IGNORECASE)


@dataclass(frozen=True)
class Figure:
    """One measurement. Times in milliseconds."""

    what: str
    per_second: float
    p50_ms: float
    p99_ms: float


class Lab(asyncio.Protocol):
    """Answers every request with 1 KiB and says every frame back."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody comes."""
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.buffer, self.is_socket = b"", False

    def data_received(self, data: bytes) -> None:
        """Whole requests or whole frames are answered; the rest is kept."""
        self.buffer += data
        while len(self.buffer) >= len(MASKED) if self.is_socket else b"\r\n\r\n" in self.buffer:
            if self.is_socket:
                self.buffer = self.buffer[len(MASKED) :]
                self.transport.write(PLAIN)
                continue
            head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
            self.transport.write(self._handshake(head) if b"websocket" in head.lower() else ANSWER)

    def _handshake(self, head: bytes) -> bytes:
        self.is_socket = True
        key = KEY.search(head)
        digest = base64.b64encode(hashlib.sha1((key[1] if key else b"") + GUID).digest())
        return b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + digest + b"\r\n\r\n"


class Caller(asyncio.Protocol):
    """One connection that asks, waits for the whole answer, and asks again."""

    def __init__(self) -> None:
        self.buffer, self.wanted = b"", 0
        self.answered: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def connection_lost(self, error: Exception | None) -> None:
        """Whoever waits is told."""
        if self.answered and not self.answered.done():
            self.answered.set_exception(error or ConnectionError("closed"))

    def data_received(self, data: bytes) -> None:
        """Is it all there?"""
        self.buffer += data
        size = self.wanted or self._size()
        if size and len(self.buffer) >= size and self.answered and not self.answered.done():
            found, self.buffer = self.buffer[:size], self.buffer[size:]
            self.answered.set_result(found)

    def _size(self) -> int:
        head = self.buffer.find(b"\r\n\r\n")
        if head < 0:
            return 0
        length = LENGTH.search(self.buffer, 0, head)
        return head + 4 + (int(length[1]) if length else 0)

    async def ask(self, sent: bytes, wanted: int = 0) -> bytes:
        """The answer: of `wanted` bytes, else as long as its own head says."""
        self.answered, self.wanted = asyncio.get_running_loop().create_future(), wanted
        self.transport.write(sent)
        return await self.answered


@dataclass(frozen=True)
class Door:
    """Where to knock, and with which Host, path and cookie."""

    name: str
    port: int
    host: str
    path: str
    cookie: str = ""
    tls: ssl.SSLContext | None = None

    def request(self, name: str, more: str = "") -> bytes:
        """One request's bytes."""
        cookie = f"Cookie: {self.cookie}\r\n" if self.cookie else ""
        return f"GET {self.path}/{name} HTTP/1.1\r\nHost: {self.host}\r\nUser-Agent: doors\r\nAccept: */*\r\n{cookie}{more}\r\n".encode()

    async def caller(self) -> Caller:
        """A connection to it."""
        named = self.host.partition(":")[0] if self.tls else None
        _, made = await asyncio.get_running_loop().create_connection(Caller, "127.0.0.1", self.port, ssl=self.tls, server_hostname=named)
        return made

    async def socket(self) -> Caller:
        """A websocket through it."""
        made = await self.caller()
        key = base64.b64encode(os.urandom(16)).decode()
        scheme = "https" if self.tls or self.cookie else "http"
        more = f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nOrigin: {scheme}://{self.host}\r\n"
        answer = await made.ask(self.request("echo", more))
        if b" 101 " not in answer.split(b"\r\n")[0]:
            raise SystemExit(f"{self.name}: no websocket: {answer[:200]!r}")
        return made


async def requests(door: Door, connections: int, seconds: float) -> Figure:
    """Requests a second, on so many connections that each ask one after another."""
    callers, sent = [await door.caller() for _ in range(connections)], door.request("api/status")
    answer = await callers[0].ask(sent)
    if not answer.startswith(b"HTTP/1.1 200") or not answer.endswith(BODY):
        raise SystemExit(f"{door.name}: {answer[:300]!r}")

    async def ask(place: int) -> None:
        answer = await callers[place].ask(sent)
        if CLOSES.search(answer):  # nginx ends a connection after a thousand requests, and clients connect anew
            callers[place] = await door.caller()

    return await _measured(f"{door.name}: requests", [(lambda place=place: ask(place)) for place in range(connections)], seconds)


async def messages(door: Door, connections: int, seconds: float) -> Figure:
    """Websocket messages of 512 bytes there and back a second."""
    callers = [await door.socket() for _ in range(connections)]
    return await _measured(f"{door.name}: websocket round trips", [(lambda one=one: one.ask(MASKED, len(PLAIN))) for one in callers], seconds)


async def _measured(what: str, acts: list[Callable[[], Awaitable[object]]], seconds: float) -> Figure:
    times: list[float] = []

    async def repeat(act: Callable[[], Awaitable[object]]) -> None:
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            await act()
            times.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(repeat(act) for act in acts))
    cuts = statistics.quantiles(times, n=100)
    return Figure(what, round(len(times) / (time.perf_counter() - began), 1), round(cuts[49] * 1000, 2), round(cuts[98] * 1000, 2))
