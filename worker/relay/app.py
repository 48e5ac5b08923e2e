"""The relay's web side: which lab, who asks, may they, and then the carrying."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from labs.bus.callers import Ranges, allowed, caller_address
from labs.lifecycle.routes import Route
from worker.relay import enter, pages, proxy, sockets, terminal
from worker.relay.access import Standing, judge
from worker.relay.enter import TicketRefused, Tickets
from worker.relay.gate import Gate, is_upgrade
from worker.relay.headers import to_lab
from worker.relay.links import Links
from worker.relay.origins import Origins, Target
from worker.relay.pages import Notice
from worker.relay.proxy import LeadsOut
from worker.relay.table import Table, Unknown
from worker.relay.ways import Clients, Files, NoWay, way_to

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
    files: Files | None = None  # how relays of different nodes know each other
    proxies: int = 0  # of ours, in front of the relay
    open_to: Ranges = ()  # from where labs may be visited; nothing said is everywhere


class Relay:
    """Answers every request of the labs' origins."""

    def __init__(self, house: House, *, table: Table, links: Links, tickets: Tickets, clients: Clients) -> None:
        self._house = house
        self._table = table
        self._links = links
        self._tickets = tickets
        self._gate = Gate(house.key)
        self._clients = clients
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

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request: the relay's own paths, or a lab's."""
        if request.path == HEALTH_PATH:
            return self._health()
        if not allowed(self._caller(request), self._house.open_to):
            return self._say(request, pages.NOT_FROM_HERE)
        if request.path.startswith(HOUSE_PATHS):
            return await self._own(request)
        target = self._house.origins.target(request.host, request.raw_path.partition("?")[0])
        if target is None:
            return self._say(request, pages.NOWHERE)
        try:
            return await self._to_lab(request, target)
        except Unknown:
            return self._say(request, pages.UNKNOWN, target.lab_id)

    def _caller(self, request: web.BaseRequest) -> str:
        return caller_address(peer=request.remote or "", forwarded=request.headers.get("X-Forwarded-For", ""), proxies=self._house.proxies)

    async def _own(self, request: web.BaseRequest) -> web.StreamResponse:
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

    async def _enter(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            ticket, target = await enter.admitted(request, tickets=self._tickets, origins=self._house.origins, table=self._table)
        except TicketRefused:
            return self._say(request, pages.TICKET_USED)
        return enter.welcome(ticket, target, key=self._house.key)

    async def _to_lab(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
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
        if not target.port and request.path == "/":
            return web.Response(status=303, headers={"Location": f"{target.base}{FRONT}"})
        if not request.raw_path.startswith(target.base) and request.path != target.base.rstrip("/"):
            return self._say(request, pages.NOWHERE, target.lab_id)
        if target.cookies and not target.port and (ours := terminal.asked(request, target.base)):
            return terminal.answer(ours, base=target.base, own=target.own, portal=f"{self._house.portal_url}/labs/{target.lab_id}/")
        if grant.token:
            self._used.add(grant.token)
        with self._links.link(grant, verdict.route.attempt, "socket" if is_upgrade(request) else "request"):
            return await self._carry(request, target, verdict.route)

    async def _carry(self, request: web.BaseRequest, target: Target, route: Route) -> web.StreamResponse:
        try:
            return await self._carried(request, target, route)
        except aiohttp.WSServerHandshakeError as error:
            return web.Response(status=error.status if error.status >= 400 else 502)
        except LeadsOut:
            return self._say(request, pages.LEADS_OUT, target.lab_id)
        except (NoWay, aiohttp.ClientError):
            return self._say(request, _away(route, target), target.lab_id)

    async def _carried(self, request: web.BaseRequest, target: Target, route: Route) -> web.StreamResponse:
        way = way_to(route, target.port, token=self._house.upstream_token)
        session, url = self._clients.to(way), way.url(request.raw_path)
        headers = to_lab(
            request.headers,
            told=way.headers,
            cookies=target.cookies,
            remote=self._caller(request),
            scheme=self._house.origins.scheme,
            app=target.port > 0,
        )
        if is_upgrade(request):
            return await sockets.carry(request, session=session, url=url, headers=headers)
        return await proxy.carry(request, session=session, url=url, headers=headers, target=target)

    def _say(self, request: web.BaseRequest, notice: Notice, lab_id: str = "") -> web.Response:
        """With the way back to the lab's page, or to the one from which files are opened."""
        known = self._table.known(lab_id)
        portal = f"{self._house.portal_url}/files/" if known and known.files else self._house.portal_url
        return pages.answer(request, notice, portal=portal, lab_id="" if known and known.files else lab_id)


def _away(route: Route, target: Target) -> Notice:
    """What is said when nobody answered there."""
    if route.node and route.via is None:
        return pages.NODE_AWAY
    if route.files:
        return pages.DESK_SILENT
    return pages.no_app(target.port) if target.port else pages.NO_ANSWER
