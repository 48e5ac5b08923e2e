"""HTTP to a lab and back: streamed both ways, so that a file of any size stays a few buffers here."""

from collections.abc import Mapping

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from worker.relay.gate import leads_out
from worker.relay.headers import Headers, passed_on, to_browser
from worker.relay.origins import Target

#: What fits into one packet's worth of buffers: most of what Jupyter answers.
SMALL = 16 * 1024
#: Another relay of ours says that the lab does not answer it.
AWAY_HEADER = "X-GPULab-Away"
BODILESS = frozenset((204, 304))


class LeadsOut(Exception):
    """The lab answered with a redirect to another origin."""


async def carry(
    request: web.BaseRequest, *, session: aiohttp.ClientSession, url: URL, headers: Mapping[str, str], target: Target | None = None
) -> web.StreamResponse:
    """Carry one request. Raises aiohttp.ClientError when the lab does not answer, LeadsOut for a redirect away from the target's origin.

    Without a target the answer goes to another relay of ours, which judges it.
    """
    body = request.content if request.body_exists else None
    async with session.request(request.method, url, headers=headers, data=body, allow_redirects=False) as upstream:
        if AWAY_HEADER in upstream.headers:
            raise aiohttp.ClientConnectionError("the lab does not answer its node's relay")
        if target and leads_out(upstream.headers.get("Location", ""), target.own):
            raise LeadsOut
        return await _answered(request, upstream, _back(upstream.headers, target))


async def _answered(request: web.BaseRequest, upstream: aiohttp.ClientResponse, headers: "CIMultiDict[str]") -> web.StreamResponse:
    """A small body leaves in one piece with its headers, which halves the system calls; all else as it comes."""
    bodiless = request.method == "HEAD" or upstream.status in BODILESS
    if not bodiless and upstream.content_length is not None and upstream.content_length <= SMALL:
        return web.Response(status=upstream.status, reason=upstream.reason, headers=headers, body=await upstream.content.read())
    response = web.StreamResponse(status=upstream.status, reason=upstream.reason, headers=headers)
    await response.prepare(request)
    if not bodiless:
        async for chunk in upstream.content.iter_any():
            await response.write(chunk)
    await response.write_eof()
    return response


def _back(headers: Headers, target: Target | None) -> "CIMultiDict[str]":
    return to_browser(headers, cookies=target.cookies, alone=target.alone) if target else passed_on(headers)
