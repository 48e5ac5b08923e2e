"""The relay as a process: its two doors, its table's clock, the bus it hears, and an end without hurry or hanging."""

import asyncio
import contextlib
import logging
import signal
import ssl
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from labs.bus.listener import listen
from labs.lifecycle.routes import Address
from worker.relay.app import House, Relay
from worker.relay.behind import Behind
from worker.relay.bytes_door import ByteDoor
from worker.relay.enter import Tickets
from worker.relay.links import Links
from worker.relay.moving import Moves
from worker.relay.table import Load, Table
from worker.relay.tunnels import CHUNK
from worker.relay.ways import Clients, Files

log = logging.getLogger(__name__)
TOPIC = "relay"
END_S = 3.0
REMEMBER_S = 30.0
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


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
    """Serve people until SIGTERM or SIGINT, then let what is under way end for 3 s."""
    table = Table(load)
    links = Links(table)
    await table.refresh()
    clients = Clients(house.files, lambda: table.snapshot.routes)
    relay = Relay(house, table=table, links=links, tickets=Tickets(house.key, now=time.time()), clients=clients)
    byte_door = ByteDoor(table=table, links=links, key=house.key, clients=clients)
    runner = await _opened(relay.handle, doors.web)
    streams = await asyncio.start_server(byte_door.serve, *doors.bytes, limit=CHUNK)
    log.info("relay: labs at %s:%d, bytes at %s:%d", *doors.web, *doors.bytes)
    ready()
    await _until_asked_to_end([table.run(), relay.remember(REMEMBER_S), _hearing(doors.redis_url, table)])
    streams.close()
    await runner.cleanup()
    await clients.close()


async def serve_front(
    *,
    files: Files,
    token: Callable[[str, int], str],
    door: Address,
    redis_url: str,
    load: Load,
    moves: Moves | None = None,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve the front's relay alone, as a joined node's does, in the same manner; and the house's worker, which carries workspaces."""
    table = Table(load)
    await table.refresh()
    behind = Behind(table=table, files=files, token=token, moves=moves)
    runner = await _opened(behind.handle, door, files.answering())
    log.info("relay: the front's relay is answered at %s:%d", *door)
    ready()
    await _until_asked_to_end([table.run(), _hearing(redis_url, table)])
    await runner.cleanup()
    await behind.close()


async def _opened(handle: Handler, door: Address, tls: ssl.SSLContext | None = None) -> web.ServerRunner:
    runner = web.ServerRunner(web.Server(handle, access_log_class=AccessLog, handler_cancellation=True), shutdown_timeout=END_S)
    await runner.setup()
    await web.TCPSite(runner, *door, backlog=1024, ssl_context=tls).start()
    return runner


def _hearing(redis_url: str, table: Table) -> Coroutine[Any, Any, None]:
    return listen(url=redis_url, pattern=TOPIC, heard=lambda *_: table.wake())


async def _until_asked_to_end(clocks: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Let the clocks run until then."""
    running = [asyncio.create_task(clock) for clock in clocks]
    try:
        await _asked_to_end()
    finally:
        for clock in running:
            clock.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _asked_to_end() -> None:
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(ValueError):  # not in the main thread: the caller cancels instead
            loop.add_signal_handler(name, end.set)
    await end.wait()
