"""A browser's network side: names that lead here, the test's certificate trusted, cookies kept."""

import ssl

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from tests.deploy.nginx import Site


class Loopback(AbstractResolver):
    """Every name is this machine, as a wildcard record would say."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": 2, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        return


def session_of(site: Site) -> aiohttp.ClientSession:
    """A new visitor of that site."""
    trust = ssl.create_default_context(cafile=str(site.certificate))
    connector = aiohttp.TCPConnector(resolver=Loopback(), ssl=trust, force_close=True)
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=120))
