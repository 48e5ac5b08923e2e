"""The way to a lab from here: straight to it on this node, or by mutual TLS through the relay of the node that it is on."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from labs.lifecycle.routes import Address, Route
from worker.relay import listeners

#: Tells a node's relay which lab, attempt and port is meant; believed only from the front's certificate.
LAB_HEADER = "X-GPULab-Lab"
NODE_NAME = "{}.node.gpulab"
CONNECT_S = 5.0
#: A read that is large enough for big files and small enough for twenty of them.
BUFFER = 256 * 1024


class NoWay(Exception):
    """The lab's node, or the program at that port of it, cannot be reached from here."""


@dataclass(frozen=True, slots=True)
class Files:
    """PEM files by which relays know each other: one's own certificate and key, and the house's authority."""

    cert: Path
    key: Path
    ca: Path

    def dialling(self) -> ssl.SSLContext:
        """For the side that calls: it checks the node's name."""
        return self._own(ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(self.ca)))

    def answering(self) -> ssl.SSLContext:
        """For the side that is called: nobody without a certificate of the house."""
        context = self._own(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.ca)))
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _own(self, context: ssl.SSLContext) -> ssl.SSLContext:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(str(self.cert), str(self.key))
        return context


@dataclass(frozen=True, slots=True)
class Way:
    """Where a request goes, with what the far side must be told. `far` goes to another node's relay."""

    origin: str
    far: bool
    headers: Mapping[str, str]

    def url(self, raw_path: str) -> URL:
        """The same path and query there. A `token` in the query would be read before our header: it is dropped."""
        path, mark, query = raw_path.partition("?")
        if "token=" in query:
            query = "&".join(part for part in query.split("&") if not part.startswith("token="))
        return URL(f"{self.origin}{path}{mark if query else ''}{query}", encoded=True)


def way_to(route: Route, port: int, *, token: Callable[[str, int], str]) -> Way:
    """To the lab's Jupyter, or to a port of it. `token(lab_id, attempt)` is what its Jupyter asks for. Raises NoWay."""
    if route.node:
        return _far(route, port)
    if port:
        return Way(_origin(_inside(route, port)), False, {})
    if route.jupyter is None:
        raise NoWay
    return Way(_origin(route.jupyter), False, {"Authorization": f"token {token(route.lab_id, route.attempt)}"})


def _far(route: Route, port: int) -> Way:
    if route.via is None:
        raise NoWay
    return Way(f"https://{NODE_NAME.format(route.node)}:{route.via[1]}", True, {LAB_HEADER: f"{route.lab_id} {route.attempt} {port}"})


def _inside(route: Route, port: int) -> Address:
    """A port of the lab's own. Where labs share this machine's network, only what the lab's own processes listen on is one."""
    if not route.inside:
        raise NoWay
    if ip_address(route.inside).is_loopback and not listeners.belongs(port, f"gpulab-{route.lab_id}-{route.attempt}"):
        raise NoWay
    return route.inside, port


def _origin(address: Address) -> str:
    return f"http://{address[0]}:{address[1]}"


class NodeNames(AbstractResolver):
    """The names of nodes' relays, by what the table says of them; no other name is resolved."""

    def __init__(self, routes: Callable[[], Mapping[str, Route]]) -> None:
        self._routes = routes

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        """The address of that node's relay. Raises OSError."""
        for route in self._routes().values():
            if route.via and NODE_NAME.format(route.node).lower() == host:
                found = await asyncio.get_running_loop().getaddrinfo(route.via[0], port, type=socket.SOCK_STREAM)
                return [ResolveResult(hostname=host, host=str(sockaddr[0]), port=port, family=kind, proto=0, flags=0) for kind, _, _, _, sockaddr in found]
        raise OSError(f"no node's relay is named {host}")

    async def close(self) -> None:
        """Nothing is held."""


class Clients:
    """The clients of the process: to labs here, and, where relays have certificates, to other nodes' relays."""

    def __init__(self, files: Files | None, routes: Callable[[], Mapping[str, Route]]) -> None:
        self._near = _client(aiohttp.TCPConnector(limit=0, keepalive_timeout=30))
        self._far = _client(aiohttp.TCPConnector(limit=0, keepalive_timeout=30, ssl=files.dialling(), resolver=NodeNames(routes))) if files else None

    def to(self, way: Way) -> aiohttp.ClientSession:
        """The client for that way. Raises NoWay."""
        if not way.far:
            return self._near
        if self._far is None:
            raise NoWay
        return self._far

    async def close(self) -> None:
        """Let go of every connection."""
        await self._near.close()
        if self._far:
            await self._far.close()


def _client(connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
    """It keeps no cookies and unpacks nothing; a slow answer is the lab's own affair."""
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        read_bufsize=BUFFER,
        max_line_size=32 * 1024,
        max_field_size=32 * 1024,
    )
