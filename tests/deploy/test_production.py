"""The deployment as docker-compose.yml starts it, without the containers: production settings, PostgreSQL, TLS in front."""

import asyncio
import json
import os
import re
import secrets
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import psycopg
import pytest

from tests.conftest import need
from tests.deploy.browser import session_of
from tests.deploy.nginx import LABS, PORTAL, Site, binary, site_make
from tests.support.ports import port_free
from tests.support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
ADMIN = "root@example.edu"
pytestmark = [pytest.mark.postgres, pytest.mark.skipif(not binary() and not os.environ.get("CI"), reason="needs nginx")]


def web_command(port: int) -> list[str]:
    """What the image runs, on a port of ours."""
    stated = re.findall(r"^CMD (.+)$", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE)[-1]
    program, *arguments = json.loads(stated)
    arguments[arguments.index("--port") + 1] = str(port)
    return [str(Path(sys.executable).parent / program), *arguments]


def manage(environment: dict[str, str], *arguments: str) -> str:
    """One management command; its output."""
    return subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """A database of its own on the test's server."""
    server = need("GPULAB_TEST_DATABASE_URL", "PostgreSQL")
    name = f"deploy_{secrets.token_hex(4)}"
    with psycopg.connect(server, autocommit=True) as link:
        link.execute(f'CREATE DATABASE "{name}"')
    yield urlsplit(server)._replace(path=f"/{name}").geturl()
    with psycopg.connect(server, autocommit=True) as link:
        link.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deployed")


@pytest.fixture(scope="module")
def site(folder: Path) -> Site:
    return site_make(folder, portal=port_free(), relay=port_free())


@pytest.fixture(scope="module")
def environment(folder: Path, site: Site, database: str) -> dict[str, str]:
    """The portal's and the relay's variables, as docker-compose.yml sets them."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("GPULAB_", "DJANGO_"))}
    return plain | {
        "GPULAB_ENV": "production",
        "GPULAB_SECRET_KEY": secrets.token_urlsafe(48),
        "GPULAB_HOME": str(folder / "home"),
        "GPULAB_PORTAL_URL": f"https://{PORTAL}:{site.https}",
        "GPULAB_LABS_DOMAIN": LABS,
        "GPULAB_LABS_SCHEME": "https",
        "GPULAB_LABS_PORT": str(site.https),
        "GPULAB_TRUSTED_PROXIES": "1",
        "GPULAB_DATABASE_URL": database,
        "GPULAB_REDIS_URL": need("GPULAB_TEST_REDIS_URL", "a Redis server"),
        "GPULAB_RELAY_BIND": f"127.0.0.1:{site.relay}",
        "GPULAB_RELAY_BYTES_BIND": f"127.0.0.1:{port_free()}",
    }


@pytest.fixture(scope="module")
def password(environment: dict[str, str], folder: Path) -> str:
    """Migrated, static files collected, the first administrator made; their password."""
    (folder / "home").mkdir()
    manage(environment, "migrate", "--noinput", "--verbosity", "0")
    manage(environment, "collectstatic", "--noinput", "--verbosity", "0")
    told = manage(environment, "first_admin", "--email", ADMIN)
    return re.findall(r"^Password:\s+(\S+)$", told, re.MULTILINE)[0]


@pytest.fixture(scope="module")
def served(environment: dict[str, str], site: Site, folder: Path, password: str) -> Iterator[Site]:
    """Portal, relay and proxy, until they answer; ended by pid."""
    commands = {
        "web": web_command(site.portal),
        "relay": [sys.executable, "manage.py", "relay"],
        "stdout": [binary() or "nginx", "-c", str(site.configuration)],
    }
    children = []
    try:
        for name, command in commands.items():
            with (folder / name).open("w") as out:
                children.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out))
        wait_for(lambda: _answers(site.portal) and _well("relay", environment) and _answers(site.https), within=120, what="portal, relay and proxy")
        yield site
    finally:
        for child in children:
            child.terminate()
        for child in children:
            child.wait(60)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _well(name: str, environment: dict[str, str]) -> bool:
    return subprocess.run([sys.executable, "deploy/health.py", name], cwd=ROOT, env=environment, capture_output=True, check=False).returncode == 0


@pytest.fixture
async def visitor(served: Site) -> AsyncIterator[aiohttp.ClientSession]:
    async with session_of(served) as session:
        yield session


async def sign_in(visitor: aiohttp.ClientSession, site: Site, password: str) -> None:
    """As a browser does it: the form, its CSRF field, the same cookies."""
    address = f"{site.portal_url}/accounts/login/"
    async with visitor.get(address) as page:
        field = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', await page.text())[0]
    data = {"login": ADMIN, "password": password, "csrfmiddlewaretoken": field}
    async with visitor.post(address, data=data, headers={"Origin": site.portal_url, "Referer": address}, allow_redirects=False) as answer:
        assert answer.status == 302, await answer.text()


async def test_the_portal_is_well_and_its_pages_insist_on_tls(visitor: aiohttp.ClientSession, served: Site) -> None:
    async with visitor.get(f"{served.portal_url}/healthz") as answer:
        assert (answer.status, await answer.json()) == (200, {"ok": True})
        assert answer.headers["Strict-Transport-Security"].startswith("max-age=31536000")
        assert "server" not in {name.lower() for name, value in answer.headers.items() if "uvicorn" in value.lower()}


async def test_a_person_signs_in_through_the_proxy_with_cookies_of_that_host_only(visitor: aiohttp.ClientSession, served: Site, password: str) -> None:
    await sign_in(visitor, served, password)
    cookies = {cookie.key: cookie for cookie in visitor.cookie_jar}
    session = cookies["__Host-gpulab_session"]
    assert session["secure"]
    assert session["httponly"]
    async with visitor.get(f"{served.portal_url}/", allow_redirects=False) as home:
        assert home.status == 200


async def test_every_script_and_style_of_a_page_is_served(visitor: aiohttp.ClientSession, served: Site) -> None:
    async with visitor.get(f"{served.portal_url}/accounts/login/") as page:
        files = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', await page.text()))
    assert files
    for path in files:
        async with visitor.get(f"{served.portal_url}{path}") as answer:
            assert answer.status == 200, path


async def test_the_live_stream_passes_for_the_portals_own_pages_only(visitor: aiohttp.ClientSession, served: Site, password: str) -> None:
    await sign_in(visitor, served, password)
    address = f"wss://{PORTAL}:{served.https}/ws/live/"
    async with visitor.ws_connect(address, origin=served.portal_url) as stream:
        assert not stream.closed
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await visitor.ws_connect(address, origin=f"https://lab-abcdefgh2345.{LABS}:{served.https}")


async def test_a_burst_of_visits_leaves_few_database_connections_behind(visitor: aiohttp.ClientSession, served: Site, database: str) -> None:
    async def visit() -> int:
        async with visitor.get(f"{served.portal_url}/healthz") as answer:
            return answer.status

    assert set(await asyncio.gather(*(visit() for _ in range(120)))) == {200}
    with psycopg.connect(database) as link:
        (count,) = link.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()").fetchone() or (0,)
    assert count < 20


async def test_a_foreign_host_name_is_refused_by_the_portal_itself(served: Site) -> None:
    async with aiohttp.ClientSession() as direct, direct.get(f"http://127.0.0.1:{served.portal}/healthz", headers={"Host": "evil.example.com"}) as answer:
        assert answer.status == 400


async def test_a_lab_that_is_none_is_answered_by_the_relay_in_words(visitor: aiohttp.ClientSession, served: Site) -> None:
    async with visitor.get(f"https://lab-abcdefgh2345.{LABS}:{served.https}/l/abcdefgh2345/lab", headers={"Accept": "text/html"}) as answer:
        assert answer.status in (401, 403, 404)
        assert "gpulab_session" not in str(answer.headers)
