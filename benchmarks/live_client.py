"""A crowd of websocket clients that costs little: it reads frames and the moment in them, and does nothing else."""

import asyncio
import base64
import re
import secrets
import struct
import time
from collections.abc import Sequence

MOMENT = re.compile(rb'"at":([0-9.]+)[,}]')
NUMBER = re.compile(rb'"seq":(\d+),')
LACKED = re.compile(rb'"kind":"history","after":(\d+),"seq":(\d+),')
SAMPLE = b'"kind":"sample"'
PING, PONG, CLOSE = 0x9, 0xA, 0x8
AT_ONCE = 50


def percentile(ordered: list[float], percent: int) -> float:
    """Of values in order; the nearest rank."""
    return ordered[min(len(ordered) - 1, round(percent / 100 * (len(ordered) - 1)))]


class Crowd:
    """Many sockets, and how long each sample took to each of them, in seconds. `seen`: what each has seen of a node, as it says it itself."""

    def __init__(self, port: int, cookies: list[str], *, origin: str = "http://localhost:8000", seen: Sequence[str] = ()) -> None:
        self.port = port
        self.origin = origin
        self.cookies = cookies
        self.seen = seen
        self.delays: list[float] = []
        self.size = 0
        self.sockets: list[Socket] = []
        self._heard = asyncio.Event()

    async def connect(self, count: int) -> float:
        """Open `count` sockets, some at a time; the seconds it took."""
        began = time.monotonic()
        for first in range(0, count, AT_ONCE):
            await asyncio.gather(*(self._connect(number) for number in range(first, min(first + AT_ONCE, count))))
        return time.monotonic() - began

    async def first_sample(self) -> None:
        """Wait until anybody heard anything."""
        await asyncio.wait_for(self._heard.wait(), 30)

    def close(self) -> None:
        """Hang up."""
        for one in self.sockets:
            one.transport.close()

    def arrived(self, payload: bytes) -> float:
        """A message came to one socket; the moment of which it tells if it is a sample, else 0."""
        if SAMPLE in payload[:200] and (found := MOMENT.search(payload)):
            self.delays.append(time.time() - float(found[1]))
            self.size = len(payload)
            self._heard.set()
            return float(found[1])
        return 0.0

    async def _connect(self, number: int) -> None:
        seen = f"&seen={self.seen[number]}" if self.seen else ""
        cookie = self.cookies[number % len(self.cookies)]
        _, one = await asyncio.get_running_loop().create_connection(lambda: Socket(self, cookie, seen), "127.0.0.1", self.port)
        await asyncio.wait_for(one.open, 60)
        self.sockets.append(one)


class Socket(asyncio.Protocol):
    """One client: handshake, frames, pongs."""

    transport: asyncio.Transport

    def __init__(self, crowd: Crowd, cookie: str, seen: str = "") -> None:
        self.crowd = crowd
        self.cookie = cookie
        self.seen = seen
        self.samples = 0
        self.at = 0.0  # of the newest sample
        self.number = 0  # the newest of which it knows, by a sample or by the past that it was sent
        self.missed = 0  # numbers that were passed over
        self.follows = -1  # the number behind which the past that it was sent begins; -1 before that came
        self.open: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        transport.write(
            f"GET /ws/live/?page=gpus{self.seen} HTTP/1.1\r\nHost: localhost\r\nOrigin: {self.crowd.origin}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nCookie: {self.cookie}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Take what came apart."""
        self._buffer += data
        if not self.open.done():
            head, blank, _ = self._buffer.partition(b"\r\n\r\n")
            if not blank:
                return
            if b" 101 " not in head.splitlines()[0]:
                self.open.set_exception(ConnectionError(bytes(head[:100]).decode(errors="replace")))
                return
            del self._buffer[: len(head) + 4]
            self.open.set_result(None)
        self._frames()

    def connection_lost(self, error: Exception | None) -> None:
        """The server hung up."""
        if not self.open.done():
            self.open.set_exception(ConnectionError("closed before it was open"))

    def _frames(self) -> None:
        buffer = self._buffer
        while len(buffer) >= 2:
            length, head = buffer[1], 2
            if length == 126:
                head = 4
                length = struct.unpack_from("!H", buffer, 2)[0] if len(buffer) >= head else len(buffer)
            elif length == 127:
                head = 10
                length = struct.unpack_from("!Q", buffer, 2)[0] if len(buffer) >= head else len(buffer)
            if len(buffer) < head + length:
                return
            self._frame(buffer[0] & 0x0F, bytes(buffer[head : head + length]))
            del buffer[: head + length]

    def _frame(self, kind: int, payload: bytes) -> None:
        if kind == PING:
            mask = b"\0\0\0\0"
            self.transport.write(bytes((0x80 | PONG, 0x80 | len(payload))) + mask + payload)
        elif kind == CLOSE:
            self.transport.close()
        else:
            self._message(payload)

    def _message(self, payload: bytes) -> None:
        if found := LACKED.search(payload[:300]):
            self.follows, self.number = int(found[1]), int(found[2])
        elif at := self.crowd.arrived(payload):
            self.samples += 1
            self.at = at
            number = NUMBER.search(payload)
            was, self.number = self.number, int(number[1]) if number else 0
            self.missed += max(self.number - was - 1, 0) if was else 0
