"""The relay as a process: its two doors, its table's clock, the bus it hears, and an end without hurry or hanging."""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from labs.bus.listener import listen
from labs.lifecycle.routes import Address
from worker.relay.app import House, Relay
from worker.relay.bytes_door import CHUNK, ByteDoor
from worker.relay.enter import Tickets
from worker.relay.links import Links
from worker.relay.table import Load, Table

log = logging.getLogger(__name__)
TOPIC = "relay"
END_S = 3.0
REMEMBER_S = 30.0


@dataclass(frozen=True, slots=True)
class Doors:
    """Where the relay listens, and the bus that tells it to look now."""

    web: Address
    bytes: Address
    redis_url: str


class AccessLog(AbstractAccessLogger):
    """One line a request, without the query: tickets and tokens travel there."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Who, what, how it went, how long."""
        self.logger.info("%s %s %s%s %d %.0f ms", request.remote, request.method, request.host, request.path, response.status, time * 1000)


async def serve(*, house: House, doors: Doors, load: Load, ready: Callable[[], None] = lambda: None) -> None:
    """Serve until SIGTERM or SIGINT, then let what is under way end for 3 s."""
    table = Table(load)
    links = Links(table)
    relay = Relay(house, table=table, links=links, tickets=Tickets(house.key, now=time.time()))
    byte_door = ByteDoor(table=table, links=links, key=house.key)
    await table.refresh()
    runner = web.AppRunner(relay.application(), access_log_class=AccessLog, handler_cancellation=True, shutdown_timeout=END_S)
    await runner.setup()
    await web.TCPSite(runner, *doors.web, backlog=1024).start()
    streams = await asyncio.start_server(byte_door.serve, *doors.bytes, limit=CHUNK)
    clocks = [
        asyncio.create_task(table.run()),
        asyncio.create_task(relay.remember(REMEMBER_S)),
        asyncio.create_task(listen(url=doors.redis_url, pattern=TOPIC, heard=lambda *_: table.wake())),
    ]
    log.info("relay: labs at %s:%d, bytes at %s:%d", *doors.web, *doors.bytes)
    ready()
    try:
        await _asked_to_end()
    finally:
        streams.close()
        for clock in clocks:
            clock.cancel()
        await asyncio.gather(*clocks, return_exceptions=True)
        await runner.cleanup()


async def _asked_to_end() -> None:
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(ValueError):  # not in the main thread: the caller cancels instead
            loop.add_signal_handler(name, end.set)
    await end.wait()
