"""The door of a joined node's relay: the front's relay comes by mutual TLS, says which lab it means, and is carried there.

Who may enter was judged at the front, which alone knows people. Here only the front's certificate counts, and that the lab
is this node's own: another node's certificate, though of the same authority, opens nothing.
"""

import asyncio
import logging
from collections.abc import Callable

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from labs.lifecycle.routes import Route
from worker.relay import proxy, sockets
from worker.relay.gate import is_upgrade
from worker.relay.headers import HOP_BY_HOP
from worker.relay.moving import BEFORE, MoveDoor, Moves
from worker.relay.table import Table, Unknown
from worker.relay.tunnels import CHUNK, OPEN, REFUSED, joined
from worker.relay.ways import CONNECT_S, LAB_HEADER, Clients, Files, NoWay, way_to

log = logging.getLogger(__name__)
FRONT = "gpulab-front"
BYTES_PATH = "/_gpulab/bytes"
KEPT_OUT = HOP_BY_HOP | {LAB_HEADER.lower()}


class Behind:
    """Answers the front's relay on this node. `token(lab_id, attempt)` is what the lab's Jupyter asks for."""

    def __init__(self, *, table: Table, files: Files, token: Callable[[str, int], str], moves: Moves | None = None) -> None:
        self._table = table
        self._moves = MoveDoor(moves) if moves else None
        self._token = token
        self._clients = Clients(files, dict)

    async def close(self) -> None:
        """Let go of the labs."""
        await self._clients.close()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request of the front's."""
        if not is_front(request):
            return web.Response(status=403)
        if self._moves and request.path.startswith(BEFORE):
            return await self._moves.handle(request)
        try:
            route, port = await self._meant(request)
        except (NoWay, Unknown):
            return _away()
        if request.path == BYTES_PATH:
            return await _bytes(request, route)
        try:
            return await self._carried(request, route, port)
        except aiohttp.WSServerHandshakeError as error:
            return web.Response(status=error.status if error.status >= 400 else 502)
        except (NoWay, aiohttp.ClientError):
            return _away()

    async def _meant(self, request: web.BaseRequest) -> tuple[Route, int]:
        """The lab of this node and the port that the front says. One that is younger than our table is looked up anew."""
        lab_id, attempt, port = [*request.headers.get(LAB_HEADER, "").split(" "), "", ""][:3]
        if not self._known(lab_id, attempt):
            await self._table.refresh()
        route = self._known(lab_id, attempt)
        if route is None or not port.isdigit():
            raise NoWay
        return route, int(port)

    def _known(self, lab_id: str, attempt: str) -> Route | None:
        route = self._table.snapshot.routes.get(lab_id)
        return route if route and str(route.attempt) == attempt and route.jupyter else None

    async def _carried(self, request: web.BaseRequest, route: Route, port: int) -> web.StreamResponse:
        way = way_to(route, port, token=self._token)
        session, url = self._clients.to(way), way.url(request.raw_path)
        headers = CIMultiDict((name, value) for name, value in request.headers.items() if name.lower() not in KEPT_OUT)
        headers.update(way.headers)
        if is_upgrade(request):
            return await sockets.carry(request, session=session, url=url, headers=headers)
        return await proxy.carry(request, session=session, url=url, headers=headers)


def is_front(request: web.BaseRequest) -> bool:
    """Is the peer's certificate the front's? That it is of the house's authority, TLS itself has checked."""
    certificate = request.get_extra_info("peercert") or {}
    names = dict(pair for group in certificate.get("subject", ()) for pair in group)
    return names.get("organizationName") == FRONT


def _away() -> web.Response:
    """The front tells people in words."""
    return web.Response(status=502, headers={proxy.AWAY_HEADER: "1"})


async def _bytes(request: web.BaseRequest, route: Route) -> web.StreamResponse:
    """A stream to the lab's sshd."""
    socket = web.WebSocketResponse(max_msg_size=0, compress=False, timeout=1.0)
    await socket.prepare(request)
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(*(route.ssh or ("", 0)), limit=CHUNK), CONNECT_S)
    except (OSError, TimeoutError):
        await socket.send_str(REFUSED)
        await socket.close()
        return socket
    try:
        await socket.send_str(OPEN)
        await joined(socket, reader, writer)
    except* OSError as broken:
        log.debug("a stream broke: %s", broken.exceptions)
    finally:
        writer.close()
        await socket.close()
    return socket
