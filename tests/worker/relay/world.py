"""A relay on real sockets before a lab that is a small aiohttp server; what the database says is an attribute."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import aiohttp
from aiohttp import web
from aiohttp.test_utils import unused_port
from yarl import URL

from labs.bus.secrets import secret_digest
from labs.lifecycle import states
from labs.lifecycle.passes import Kind, Role, mint
from labs.lifecycle.routes import Person, RelaySnapshot, Route
from worker.relay.app import House, Relay
from worker.relay.bytes_door import ByteDoor
from worker.relay.enter import Tickets
from worker.relay.links import Links
from worker.relay.origins import Origins
from worker.relay.table import Table
from worker.relay.tunnels import CHUNK
from worker.relay.ways import Clients

KEY = b"k" * 32
ALICE, BOB, ROOT = 1, 2, 9
LAB, OTHER = "abcdefghijkl", "mnopqrstuvwx"
TOKEN = "gpl_a-token-of-alice-for-her-lab"
PASS_COOKIE = "gpulab_pass"


async def eventually(condition: Callable[[], bool], *, within: float = 30.0, what: str = "the condition") -> None:
    """Wait for a condition without stopping the loop that brings it about."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true within {within:g} s"
        await asyncio.sleep(0.01)


@dataclass
class World:
    """The relay, what it is told, and a client that names the lab by its Host header, as a browser's DNS would."""

    snapshot: RelaySnapshot
    session: aiohttp.ClientSession
    relay_port: int = 0
    bytes_port: int = 0
    table: Table = None  # type: ignore[assignment]
    links: Links = None  # type: ignore[assignment]
    broken: bool = False
    used: set[str] = field(default_factory=set)  # digests of the tokens whose use was told

    @property
    def host(self) -> str:
        return f"lab-{LAB}.localhost:{self.relay_port}"

    @property
    def origin(self) -> str:
        return f"http://{self.host}"

    def load(self) -> RelaySnapshot:
        if self.broken:
            raise OSError("the database is away")
        return self.snapshot

    def say(self, **changes: object) -> None:
        """Change what the database says."""
        self.snapshot = replace(self.snapshot, **changes)  # type: ignore[arg-type]

    def person(self, user_id: int, **changes: object) -> None:
        """Change a person."""
        self.say(people={**self.snapshot.people, user_id: replace(self.snapshot.people[user_id], **changes)})  # type: ignore[arg-type]

    def route(self, **changes: object) -> None:
        """Change alice's lab."""
        self.say(routes={**self.snapshot.routes, LAB: replace(self.snapshot.routes[LAB], **changes)})  # type: ignore[arg-type]

    def mint(
        self, kind: Kind = "browser", user_id: int = ALICE, role: Role = "owner", lab_id: str = LAB, ago: float = 0.0, path: str = "lab", **more: object
    ) -> str:
        """A signed pass, minted `ago` seconds ago."""
        return mint(key=KEY, kind=kind, user_id=user_id, lab_id=lab_id, role=role, now=time.time() - ago, path=path, **more)  # type: ignore[arg-type]

    def visitor(self, user_id: int = ALICE, role: Role = "owner", **headers: str) -> dict[str, str]:
        """Headers of a browser with that person's pass."""
        return {"Host": self.host, "Cookie": f"{PASS_COOKIE}={self.mint(user_id=user_id, role=role)}", **headers}

    def ask(self, path: str, *, method: str = "GET", headers: dict[str, str] | None = None, **how: object) -> "aiohttp.client._RequestContextManager":
        """A request to the relay; as alice's browser unless headers say otherwise."""
        return self.session.request(
            method,
            URL(f"http://127.0.0.1:{self.relay_port}{path}", encoded=True),
            headers=headers or self.visitor(),
            allow_redirects=False,
            **how,  # type: ignore[arg-type]
        )

    def connect(self, path: str, *, headers: dict[str, str] | None = None, **how: object) -> "aiohttp.client._WSRequestContextManager":
        """A websocket to the relay."""
        return self.session.ws_connect(
            f"http://127.0.0.1:{self.relay_port}{path}",
            headers=headers or self.visitor(Origin=self.origin),
            max_msg_size=0,
            **how,  # type: ignore[arg-type]
        )


@asynccontextmanager
async def world(lab: web.Application, *, scheme: str = "http", single: bool = False, **more: object) -> AsyncIterator[World]:
    """A relay before `lab`, with alice's running lab, bob's queued one and an administrator; `more` is of the relay's `House`."""
    lab_port = unused_port()
    lab_runner = web.AppRunner(lab, access_log=None, handler_cancellation=True)
    await lab_runner.setup()
    await web.TCPSite(lab_runner, "127.0.0.1", lab_port).start()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False) as session:
        made = World(_snapshot(lab_port), session)
        made.table = Table(made.load)
        made.links = Links(made.table)
        await made.table.refresh()
        origins = Origins(scheme, "localhost", single)
        house = House(origins, "http://localhost:8000", KEY, lambda lab_id, attempt: f"upstream-{lab_id}-{attempt}", made.used.update, **more)  # type: ignore[arg-type]
        tickets = Tickets(KEY, now=time.time() - 30)
        clients = Clients(house.files, lambda: made.table.snapshot.routes)
        relay = Relay(house, table=made.table, links=made.links, tickets=tickets, clients=clients)
        remembering = asyncio.create_task(relay.remember(0.05))
        runner = web.ServerRunner(web.Server(relay.handle, access_log=None, handler_cancellation=True), shutdown_timeout=0.1)
        await runner.setup()
        made.relay_port, made.bytes_port = unused_port(), unused_port()
        await web.TCPSite(runner, "127.0.0.1", made.relay_port).start()
        byte_door = ByteDoor(table=made.table, links=made.links, key=KEY, clients=clients)
        door = await asyncio.start_server(byte_door.serve, "127.0.0.1", made.bytes_port, limit=CHUNK)
        try:
            yield made
        finally:
            remembering.cancel()
            door.close()
            await runner.cleanup()
            await clients.close()
            await lab_runner.cleanup()


def _snapshot(lab_port: int) -> RelaySnapshot:
    return RelaySnapshot(
        routes={
            LAB: Route(LAB, 1, ALICE, states.RUNNING, ("127.0.0.1", lab_port), None),
            OTHER: Route(OTHER, 1, BOB, states.QUEUED),
        },
        people={ALICE: Person(True, False, 0.0), BOB: Person(True, False, 0.0), ROOT: Person(True, True, 0.0)},
        tokens={secret_digest(TOKEN): (LAB, 5)},
    )
