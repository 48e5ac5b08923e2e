"""Two relays: the one that people reach, and the one of the node that the lab is on, which know each other by certificates."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import WSMsgType, web
from aiohttp.test_utils import unused_port

from labs.lifecycle.routes import RelaySnapshot
from tests.support.echo import END, GREETING, lab_sshd, sent_and_read_back
from tests.worker.relay.authority import Authority
from tests.worker.relay.conftest import BASE, MIB, lab_application
from tests.worker.relay.world import ALICE, LAB, World, eventually, world
from worker.relay.behind import Behind
from worker.relay.table import Table
from worker.relay.ways import LAB_HEADER, Files

pytestmark = pytest.mark.asyncio


@dataclass
class TwoHosts:
    """The house with the front's relay, and the node's."""

    front: World
    node_port: int
    authority: Authority
    table: Table


@pytest_asyncio.fixture
async def hosts(tmp_path: Path) -> AsyncIterator[TwoHosts]:
    """Alice's lab is on gpu02, where only gpu02's own relay reaches it."""
    authority = Authority(tmp_path)
    mine = authority.files(organisation="gpulab-front", name="front.gpulab")
    async with world(lab_application(), files=mine) as front:
        here = front.snapshot.routes[LAB]
        table = Table(lambda: RelaySnapshot(routes={LAB: here}))
        await table.refresh()
        files = authority.files(organisation="gpulab-node", name="gpu02.node.gpulab")
        behind = Behind(table=table, files=files, token=lambda lab_id, attempt: f"of-the-node-{lab_id}-{attempt}")
        runner = web.ServerRunner(web.Server(behind.handle, access_log=None, handler_cancellation=True), shutdown_timeout=0.1)
        await runner.setup()
        port = unused_port()
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=files.answering()).start()
        front.route(node="gpu02", via=("127.0.0.1", port), jupyter=("127.0.0.1", 9), ssh=("127.0.0.1", 9))  # of the node's loopback, not ours
        await front.table.refresh()
        yield TwoHosts(front, port, authority, table)
        await runner.cleanup()
        await behind.close()


async def test_a_lab_on_another_host_is_visited_as_one_here_and_its_token_never_leaves_its_node(hosts: TwoHosts) -> None:
    async with hosts.front.ask(f"{BASE}/api/contents/a%2Fb?q=1&token=x") as answer:
        seen = await answer.json()
    told = dict(seen["headers"])
    assert seen["path"] == f"{BASE}/api/contents/a%2Fb?q=1"
    assert told["Authorization"] == f"token of-the-node-{LAB}-1"
    assert (told["Host"], told["X-Forwarded-For"]) == (hosts.front.host, "127.0.0.1")
    assert LAB_HEADER not in told and "gpulab_pass" not in str(seen)


async def test_uploads_downloads_and_sockets_pass_through_both_relays(hosts: TwoHosts) -> None:
    async with hosts.front.ask(f"{BASE}/upload", method="PUT", data=bytes(5 * MIB)) as answer:
        assert await answer.json() == {"size": 5 * MIB, "length": str(5 * MIB), "coding": None}
    async with hosts.front.ask(f"{BASE}/download?mib=5") as answer:
        assert len(await answer.read()) == 5 * MIB
    async with hosts.front.connect(f"{BASE}/echo", protocols=("v1.kernel.websocket.jupyter.org",)) as socket:
        assert socket.protocol == "v1.kernel.websocket.jupyter.org"
        await socket.send_bytes(bytes(MIB))
        assert await socket.receive_bytes() == bytes(MIB)
        await socket.send_str("close")
        message = await socket.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, 4001)
    async with hosts.front.ask(f"{BASE}/go?to=https%3A%2F%2Fevil.example") as answer:
        assert answer.status == 502 and "Location" not in answer.headers


async def test_ssh_bytes_pass_through_both_relays_and_an_end_stays_one(hosts: TwoHosts) -> None:
    async with lab_sshd() as address:
        route = hosts.table.snapshot.routes[LAB]
        hosts.table._snapshot = RelaySnapshot(routes={LAB: replace(route, ssh=address)})
        reader, writer = await asyncio.open_connection("127.0.0.1", hosts.front.bytes_port)
        writer.write(f"GPULAB/1 {hosts.front.mint('ssh')}\n".encode())
        assert await asyncio.wait_for(reader.readexactly(3), 30) == b"OK\n"
        assert await reader.readline() == GREETING
        sent = bytes(range(256)) * 8192
        assert await sent_and_read_back(reader, writer, sent) == sent + END
        await eventually(lambda: len(hosts.front.links) == 0, what="the end of the link")
        writer.close()


async def test_a_person_who_is_disabled_is_cut_on_the_other_host_too(hosts: TwoHosts) -> None:
    async with hosts.front.connect(f"{BASE}/echo") as socket:
        await socket.send_str("hello")
        assert await socket.receive_str() == "hello"
        hosts.front.person(ALICE, active=False)
        await hosts.front.table.refresh()
        assert (await asyncio.wait_for(socket.receive(), 30)).type in (WSMsgType.CLOSE, WSMsgType.CLOSED)


async def test_a_nodes_relay_answers_nobody_but_the_front(hosts: TwoHosts, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    stolen = hosts.authority.files(organisation="gpulab-node", name="gpu03.node.gpulab")
    foreign = Authority(elsewhere).files(organisation="gpulab-front", name="front.gpulab")
    assert await _status(hosts, stolen) == 403
    with pytest.raises((aiohttp.ClientError, OSError)):
        await _status(hosts, Files(foreign.cert, foreign.key, stolen.ca))
    with pytest.raises((aiohttp.ClientError, OSError)):
        await _status(hosts, None)


async def test_a_node_that_is_not_the_one_meant_is_not_spoken_to(hosts: TwoHosts) -> None:
    hosts.front.route(node="gpu07")
    await hosts.front.table.refresh()
    async with hosts.front.ask(f"{BASE}/x") as answer:
        assert answer.status == 502


@pytest.mark.parametrize("change", [{"via": None}, {"via": ("127.0.0.1", 9)}, {"attempt": 2}])
async def test_a_node_that_cannot_be_reached_is_told_in_words(hosts: TwoHosts, change: dict[str, object]) -> None:
    hosts.front.route(**change)
    await hosts.front.table.refresh()
    async with hosts.front.ask(f"{BASE}/lab", headers=hosts.front.visitor(Accept="text/html")) as answer:
        assert answer.status == 502 and ("does not answer" in (said := await answer.text()) or "cannot be reached" in said)


async def _status(hosts: TwoHosts, files: Files | None) -> int:
    """What the node answers to somebody with these files who asks for alice's lab."""
    context = files.dialling() if files else ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    url, headers = f"https://127.0.0.1:{hosts.node_port}{BASE}/x", {LAB_HEADER: f"{LAB} 1 0"}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers, ssl=context) as answer:
        return answer.status
