"""The relay's web side: which lab, who asks, may they, and then the carrying."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from labs.lifecycle.routes import Route
from worker.relay import enter, pages, proxy, sockets
from worker.relay.access import Standing, judge
from worker.relay.enter import TicketRefused, Tickets
from worker.relay.gate import Gate, is_upgrade
from worker.relay.headers import to_lab
from worker.relay.links import Links
from worker.relay.origins import Origins, Target
from worker.relay.pages import Notice
from worker.relay.proxy import LeadsOut
from worker.relay.table import Table, Unknown

log = logging.getLogger(__name__)
HEALTH_PATH = "/_gpulab/healthz"
HOUSE_PATHS = "/_gpulab/"
#: What Jupyter puts after its base URL for a person who gives none.
FRONT = "lab"


@dataclass(frozen=True, slots=True)
class House:
    """What the relay is told of the installation. `upstream_token(lab_id, attempt)` is what the lab's Jupyter asks for."""

    origins: Origins
    portal_url: str
    key: bytes
    upstream_token: Callable[[str, int], str]
    tokens_used: Callable[[set[str]], None]  # told now and then, by digest


class Relay:
    """Answers every request of the labs' origins."""

    def __init__(self, house: House, *, table: Table, links: Links, tickets: Tickets) -> None:
        self._house = house
        self._table = table
        self._links = links
        self._tickets = tickets
        self._gate = Gate(house.key)
        self._client: aiohttp.ClientSession | None = None
        self._used: set[str] = set()

    async def remember(self, every_s: float) -> None:
        """Tell which lab tokens were used, until cancelled. A database that is away is told the next time."""
        while True:
            await asyncio.sleep(every_s)
            used, self._used = self._used, set()
            if not used:
                continue
            try:
                await asyncio.to_thread(self._house.tokens_used, used)
            except Exception as error:
                log.warning("relay: the use of %d tokens was not noted: %s", len(used), error)
                self._used |= used

    def application(self) -> web.Application:
        """The aiohttp application; every path and method comes here."""
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self.handle)
        application.on_startup.append(self._start)
        application.on_cleanup.append(self._stop)
        return application

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request: the relay's own paths, or a lab's."""
        if request.path.startswith(HOUSE_PATHS):
            return await self._own(request)
        target = self._house.origins.target(request.host, request.raw_path.partition("?")[0])
        if target is None:
            return self._say(request, pages.NOWHERE)
        try:
            return await self._to_lab(request, target)
        except Unknown:
            return self._say(request, pages.UNKNOWN, target.lab_id)

    async def _own(self, request: web.Request) -> web.StreamResponse:
        if request.path == HEALTH_PATH:
            return self._health()
        if request.path == enter.PATH and request.method == "GET":
            return await self._enter(request)
        return self._say(request, pages.NOWHERE)

    def _health(self) -> web.Response:
        """Well as long as what is known may be acted on."""
        try:
            known = len(self._table.snapshot.routes)
        except Unknown:
            return web.json_response({"ok": False}, status=503)
        return web.json_response({"ok": True, "labs": known, "links": len(self._links), "age_s": round(self._table.age, 1)})

    async def _enter(self, request: web.Request) -> web.StreamResponse:
        try:
            ticket, target = await enter.admitted(request, tickets=self._tickets, origins=self._house.origins, table=self._table)
        except TicketRefused:
            return self._say(request, pages.TICKET_USED)
        return enter.welcome(ticket, target, key=self._house.key)

    async def _to_lab(self, request: web.Request, target: Target) -> web.StreamResponse:
        snapshot = self._table.snapshot
        grant = self._gate.grant(request, target, snapshot)
        if grant is None:
            return self._say(request, pages.NO_ENTRY, target.lab_id)
        verdict = judge(grant, snapshot)
        if verdict.standing is Standing.FORBIDDEN:
            return self._say(request, pages.NO_ENTRY, target.lab_id)
        if verdict.route is None:
            return self._say(request, pages.ENDED, target.lab_id)
        if verdict.standing is Standing.WAITING:
            return self._say(request, pages.waiting(verdict.route), target.lab_id)
        if request.path == "/":
            return web.Response(status=303, headers={"Location": f"/l/{target.lab_id}/{FRONT}"})
        if not request.raw_path.startswith(f"/l/{target.lab_id}"):
            return self._say(request, pages.NOWHERE, target.lab_id)
        if grant.token:
            self._used.add(grant.token)
        with self._links.link(grant, verdict.route.attempt, "socket" if is_upgrade(request) else "request"):
            return await self._carry(request, target, verdict.route)

    async def _carry(self, request: web.Request, target: Target, route: Route) -> web.StreamResponse:
        if self._client is None or route.jupyter is None:
            raise Unknown
        headers = to_lab(
            request.headers,
            token=self._house.upstream_token(route.lab_id, route.attempt),
            cookies=target.cookies,
            remote=request.remote or "",
            scheme=self._house.origins.scheme,
        )
        try:
            if is_upgrade(request):
                return await sockets.carry(request, session=self._client, address=route.jupyter, headers=headers)
            return await proxy.carry(request, session=self._client, address=route.jupyter, headers=headers, own=target.own, cookies=target.cookies)
        except aiohttp.WSServerHandshakeError as error:
            return web.Response(status=error.status if error.status >= 400 else 502)
        except LeadsOut:
            return self._say(request, pages.LEADS_OUT, target.lab_id)
        except aiohttp.ClientError:
            return self._say(request, pages.NO_ANSWER, target.lab_id)

    def _say(self, request: web.Request, notice: Notice, lab_id: str = "") -> web.Response:
        return pages.answer(request, notice, portal=self._house.portal_url, lab_id=lab_id)

    async def _start(self, _: web.Application) -> None:
        self._client = proxy.client()

    async def _stop(self, _: web.Application) -> None:
        if self._client:
            await self._client.close()
