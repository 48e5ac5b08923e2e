"""The byte door: one TCP stream to a lab's sshd for whoever shows an ssh pass. On loopback (or behind mutual TLS).

The caller says `GPULAB/1 <pass>\\n`; the answer is the three bytes `OK\\n` or `NO\\n`; then the stream is the lab's.
"""

import asyncio
import logging
import time

from labs.lifecycle.passes import Pass, PassRefused, check, opened
from labs.lifecycle.routes import Route
from worker.relay.access import Grant, judge
from worker.relay.links import Links
from worker.relay.table import Table, Unknown

log = logging.getLogger(__name__)
GREETING = b"GPULAB/1 "
YES, NO = b"OK\n", b"NO\n"
PREAMBLE_S = 5.0
CONNECT_S = 5.0
CHUNK = 256 * 1024


class ByteDoor:
    """Judges the preamble and carries the bytes; every stream is a link and is cut like one."""

    def __init__(self, *, table: Table, links: Links, key: bytes) -> None:
        self._table = table
        self._links = links
        self._key = key

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
                await self._carry(route, reader, writer)
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


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Bytes one way, at the sink's pace; the end of the source is passed on as the end of that way only."""
    while chunk := await source.read(CHUNK):
        sink.write(chunk)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()
