"""HTTP to a lab and back: streamed both ways, so that a file of any size stays a few buffers here."""

from collections.abc import Mapping

import aiohttp
from aiohttp import web
from yarl import URL

from labs.lifecycle.routes import Address
from worker.relay.gate import leads_out
from worker.relay.headers import to_browser

#: A read that is large enough for big files and small enough for twenty of them.
BUFFER = 256 * 1024
#: What fits into one packet's worth of buffers: most of what Jupyter answers.
SMALL = 16 * 1024
BODILESS = frozenset((204, 304))
CONNECT_S = 5.0


class LeadsOut(Exception):
    """The lab answered with a redirect to another origin."""


def client() -> aiohttp.ClientSession:
    """The one client of the process. It keeps no cookies and unpacks nothing; a slow answer is the lab's own affair."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        read_bufsize=BUFFER,
        max_line_size=32 * 1024,
        max_field_size=32 * 1024,
    )


def upstream_url(request: web.Request, address: Address, *, scheme: str = "http") -> URL:
    """The same path and query at the lab. A `token` in the query would be read before our header: it is dropped."""
    path, mark, query = request.raw_path.partition("?")
    if "token=" in query:
        query = "&".join(part for part in query.split("&") if not part.startswith("token="))
    host, port = address
    return URL(f"{scheme}://{host}:{port}{path}{mark if query else ''}{query}", encoded=True)


async def carry(
    request: web.Request, *, session: aiohttp.ClientSession, address: Address, headers: Mapping[str, str], own: str, cookies: bool
) -> web.StreamResponse:
    """Carry one request. Raises aiohttp.ClientError when the lab does not answer, LeadsOut for a redirect away."""
    body = request.content if request.body_exists else None
    async with session.request(request.method, upstream_url(request, address), headers=headers, data=body, allow_redirects=False) as upstream:
        if leads_out(upstream.headers.get("Location", ""), own):
            raise LeadsOut
        response = web.StreamResponse(status=upstream.status, reason=upstream.reason, headers=to_browser(upstream.headers, cookies=cookies))
        await response.prepare(request)
        await _body(request, upstream, response)
        return response


async def _body(request: web.Request, upstream: aiohttp.ClientResponse, response: web.StreamResponse) -> None:
    """A small body leaves in one piece with its headers, which halves the system calls; all else as it comes."""
    if request.method == "HEAD" or upstream.status in BODILESS:
        await response.write_eof()
    elif upstream.content_length is not None and upstream.content_length <= SMALL:
        await response.write_eof(await upstream.content.read())
    else:
        async for chunk in upstream.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
