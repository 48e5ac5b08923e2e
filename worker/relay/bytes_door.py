"""The byte door: one TCP stream to a lab's sshd for whoever shows an ssh pass. On loopback (or behind mutual TLS).

The caller says `GPULAB/1 <pass>\\n`; the answer is the three bytes `OK\\n` or `NO\\n`; then the stream is the lab's.
"""

import asyncio
import logging
import time

import aiohttp

from labs.lifecycle.passes import Pass, PassRefused, check, opened
from labs.lifecycle.routes import Route
from worker.relay.access import Grant, judge
from worker.relay.links import Links
from worker.relay.table import Table, Unknown
from worker.relay.tunnels import CHUNK, OPEN, joined
from worker.relay.ways import CONNECT_S, Clients, NoWay, way_to

log = logging.getLogger(__name__)
GREETING = b"GPULAB/1 "
YES, NO = b"OK\n", b"NO\n"
PREAMBLE_S = 5.0
#: Where a node's relay takes such a stream from ours.
FAR_PATH = "/_gpulab/bytes"


class ByteDoor:
    """Judges the preamble and carries the bytes; every stream is a link and is cut like one."""

    def __init__(self, *, table: Table, links: Links, key: bytes, clients: Clients | None = None) -> None:
        self._table = table
        self._links = links
        self._key = key
        self._clients = clients  # for labs on other nodes

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One caller, from greeting to end."""
        try:
            admitted = await self._admitted(reader)
            if admitted is None:
                writer.write(NO)
                await writer.drain()
                return
            grant, route = admitted
            with self._links.link(grant, route.attempt, "ssh"):
                await (self._carry_far if route.node else self._carry)(route, reader, writer)
        except OSError as error:
            log.debug("byte door: a stream broke: %s", error)
        except asyncio.CancelledError:
            writer.transport.abort()  # cut: what is still in the buffer goes nowhere
        finally:
            writer.close()

    async def _admitted(self, reader: asyncio.StreamReader) -> tuple[Grant, Route] | None:
        try:
            line = await asyncio.wait_for(reader.readuntil(b"\n"), PREAMBLE_S)
            stated = self._stated(line)
            grant = Grant.of_pass(stated)
            route = judge(grant, self._table.snapshot).route
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, PassRefused, Unknown):
            return None
        return (grant, route) if route and route.ssh else None

    def _stated(self, line: bytes) -> Pass:
        if not line.startswith(GREETING):
            raise PassRefused("This is no greeting.")
        text = line.removeprefix(GREETING).strip().decode("ascii", "replace")
        return check(opened(text, key=self._key), kind="ssh", now=time.time())

    async def _carry(self, route: Route, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = route.ssh or ("", 0)
        try:
            lab_reader, lab_writer = await asyncio.wait_for(asyncio.open_connection(host, port, limit=CHUNK), CONNECT_S)
        except (OSError, TimeoutError):
            writer.write(NO)
            await writer.drain()
            return
        try:
            writer.write(YES)
            async with asyncio.TaskGroup() as ways:
                ways.create_task(_pump(reader, lab_writer))
                ways.create_task(_pump(lab_reader, writer))
        except* OSError as broken:
            log.debug("byte door: a stream broke: %s", broken.exceptions)
        finally:
            lab_writer.close()

    async def _carry_far(self, route: Route, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._clients is None:
                raise NoWay
            way = way_to(route, 0, token=lambda *_: "")
            timeout = aiohttp.ClientWSTimeout(ws_close=1.0)
            socket = await self._clients.to(way).ws_connect(way.url(FAR_PATH), headers=way.headers, max_msg_size=0, compress=0, timeout=timeout)
        except (NoWay, aiohttp.ClientError):
            writer.write(NO)
            await writer.drain()
            return
        async with socket:
            opened_there = (await socket.receive()).data == OPEN
            writer.write(YES if opened_there else NO)
            if opened_there:
                await self._joined(socket, reader, writer)

    async def _joined(self, socket: aiohttp.ClientWebSocketResponse, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await joined(socket, reader, writer)
        except* OSError as broken:
            log.debug("byte door: a stream broke: %s", broken.exceptions)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Bytes one way, at the sink's pace; the end of the source is passed on as the end of that way only."""
    while chunk := await source.read(CHUNK):
        sink.write(chunk)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()
