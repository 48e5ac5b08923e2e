"""The doormat: a single-use ticket of the portal becomes the pass cookie of one lab's origin."""

import time

from aiohttp import web

from labs.lifecycle.passes import LIFETIME_S, Pass, PassRefused, check, mint, opened
from worker.relay.access import Grant, Standing, judge
from worker.relay.origins import Origins, Target
from worker.relay.table import Table, Unknown

PATH = "/_gpulab/enter"


class TicketRefused(Exception):
    """Forged, too old, for another lab, used already, or its person may not enter (any more)."""


class Tickets:
    """Remembers which tickets were used. Those from before our own start are refused: their uses are forgotten."""

    def __init__(self, key: bytes, *, now: float) -> None:
        self._key = key
        self._since = now
        self._used: dict[str, float] = {}

    def take(self, text: str, *, now: float) -> Pass:
        """Use a ticket up. Raises TicketRefused."""
        try:
            ticket = check(opened(text, key=self._key), kind="ticket", now=now)
        except PassRefused as error:
            raise TicketRefused from error
        self._used = {nonce: expires for nonce, expires in self._used.items() if expires > now}
        if ticket.issued < self._since or ticket.nonce in self._used:
            raise TicketRefused
        self._used[ticket.nonce] = ticket.expires
        return ticket


async def admitted(request: web.BaseRequest, *, tickets: Tickets, origins: Origins, table: Table) -> tuple[Pass, Target]:
    """The ticket of the request, used up, and the origin it is good for. Raises TicketRefused."""
    ticket = tickets.take(request.query.get("ticket", ""), now=time.time())
    target = origins.ticket_target(request.host, ticket.lab_id, ticket.port)
    if target is None:
        raise TicketRefused
    if not _may_enter(ticket, table):
        await table.refresh()  # the lab may be younger than what we know
        if not _may_enter(ticket, table):
            raise TicketRefused
    return ticket, target


def welcome(ticket: Pass, target: Target, *, key: bytes) -> web.Response:
    """The cookie, and the way into the lab."""
    text = mint(
        key=key,
        kind="browser",
        user_id=ticket.user_id,
        lab_id=ticket.lab_id,
        role=ticket.role,
        now=time.time(),
        port=ticket.port,
        session=ticket.session,
    )
    response = web.Response(status=303, headers={"Location": f"{target.base}{ticket.path}", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})
    response.set_cookie(target.cookie, text, max_age=int(LIFETIME_S["browser"]), path="/", httponly=True, samesite="Lax", secure=target.own.startswith("https"))
    return response


def _may_enter(ticket: Pass, table: Table) -> bool:
    try:
        standing = judge(Grant.of_pass(ticket), table.snapshot).standing
    except Unknown:
        return False
    return standing in (Standing.OPEN, Standing.WAITING)
