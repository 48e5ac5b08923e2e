"""A workspace goes from one node to another: by mutual TLS, by a move on record, once a try. A stolen node fetches nothing."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import unused_port

from labs.lifecycle.routes import RelaySnapshot
from tests.worker.carrying.test_here import UID, end
from tests.worker.relay.authority import Authority
from worker.carrying.here import Here, Stuck
from worker.carrying.kept import Kept
from worker.carrying.there import KEPT, There
from worker.relay.behind import Behind
from worker.relay.moving import DESTINATION, FOLLOWING, SOURCE, Moves, Order
from worker.relay.table import Table
from worker.relay.ways import Files

pytestmark = pytest.mark.asyncio
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@dataclass
class Host:
    """A joined node with its relay, what its record says, and one workspace's place."""

    name: str
    folder: Path
    files: Files
    order: Order | None
    kept: Order | None = None  # what it says of the snapshots that follow
    port: int = 0
    now: datetime = NOW
    asked: list[int] = field(default_factory=list)

    def end(self, order: Order, move_id: int, uid: int) -> Here:
        self.asked.append(uid)
        if order.state == FOLLOWING:
            name = self.name
            return Kept(name=name, mark="7", tries=order.tries, uid=UID, find=lambda make: _made(self.folder.with_name("kept"), make), drop=lambda: None)
        return replace(end(self.folder, tries=order.tries, name=self.name), mark=str(move_id))

    def of(self, context: ssl.SSLContext, *, tries: int = 1, mark: str = "7") -> There:
        """That node, as somebody with this certificate sees it."""
        return There(self.name, self.name, ("127.0.0.1", self.port), context, mark, tries, UID)


@dataclass
class Two:
    """Two of them, and the house's worker between."""

    source: Host
    destination: Host
    authority: Authority
    front: ssl.SSLContext


def _made(folder: Path, make: bool) -> Path | None:
    if make:
        folder.mkdir(parents=True, exist_ok=True)
    return folder if folder.is_dir() else None


async def _up(host: Host) -> Any:
    table = Table(lambda: RelaySnapshot())
    moves = Moves(order=lambda move_id, kept: (host.kept if kept else host.order) if move_id == 7 else None, end=host.end, now=lambda: host.now)
    behind = Behind(table=table, files=host.files, token=lambda *_: "", moves=moves)
    runner = web.ServerRunner(web.Server(behind.handle, access_log=None, handler_cancellation=True), shutdown_timeout=0.1)
    await runner.setup()
    host.port = unused_port()
    await web.TCPSite(runner, "127.0.0.1", host.port, ssl_context=host.files.answering()).start()

    async def down() -> None:
        await runner.cleanup()
        await behind.close()

    return down


@pytest_asyncio.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    """A workspace of 30 MiB on n2, to be moved to n3."""
    tmp_path.chmod(0o755)
    authority = Authority(tmp_path)
    hosts = [
        Host(name, tmp_path / name / "ws", authority.files(organisation="gpulab-node", name=f"{name}.node.gpulab"), Order(1, side, "copying", 1, NOW))
        for name, side in (("n2", SOURCE), ("n3", DESTINATION))
    ]
    hosts[0].folder.mkdir(parents=True)
    (hosts[0].folder / "model.bin").write_bytes(os.urandom(30 * 1024 * 1024))
    os.chown(hosts[0].folder / "model.bin", UID, UID)
    downs = [await _up(host) for host in hosts]
    front = authority.files(organisation="gpulab-front", name="front.gpulab").dialling()
    yield Two(*hosts, authority, front)
    for down in downs:
        await down()


def _carry(source: Any, destination: Any) -> None:
    size = source.size()
    destination.room_check(size)
    with source.packed() as chunks:
        destination.unpack(chunks)


async def _state(two: Two, state: str, tries: int = 1) -> None:
    for host in (two.source, two.destination):
        assert host.order
        host.order = replace(host.order, state=state, tries=tries)


async def test_a_workspace_goes_from_node_to_node(two: Two) -> None:
    source, destination = two.source.of(two.front), two.destination.of(two.front)
    await asyncio.to_thread(_carry, source, destination)
    sent, arrived = await asyncio.gather(asyncio.to_thread(source.digest), asyncio.to_thread(destination.digest))
    assert sent == arrived and sent.files == 2
    await _state(two, "landing")
    for _ in range(2):
        await asyncio.to_thread(destination.land)
        await asyncio.to_thread(source.set_aside)
    assert (two.destination.folder / "model.bin").stat().st_uid == UID
    assert list(two.source.folder.iterdir()) == []
    await _state(two, "moved")
    await asyncio.to_thread(source.tidy)
    assert list(two.source.folder.parent.iterdir()) == []
    assert set(two.source.asked) == {UID}


async def test_snapshots_follow_under_a_grant_of_their_own_and_land_beside_what_is_there(two: Two) -> None:
    source, destination = (host.of(two.front, mark=f"{KEPT}7") for host in (two.source, two.destination))
    for host, number in ((two.source, 1), (two.destination, 2)):
        _made(host.folder.with_name("kept"), True)
        (host.folder.with_name("kept") / f"{number}.tar.gz").write_bytes(b"packed")
    await _state(two, "moved")
    with pytest.raises(Stuck, match="403"):
        await asyncio.to_thread(source.size)
    for host, side in ((two.source, SOURCE), (two.destination, DESTINATION)):
        host.kept = Order(1, side, FOLLOWING, 1, NOW)
    with pytest.raises(Stuck, match="403"):
        await asyncio.to_thread(two.source.of(two.front).size)  # the workspace itself stays shut
    await asyncio.to_thread(_carry, source, destination)
    assert await asyncio.to_thread(source.digest) == await asyncio.to_thread(destination.digest)
    await asyncio.to_thread(destination.land)
    assert sorted(one.name for one in two.destination.folder.with_name("kept").iterdir()) == ["1.tar.gz", "2.tar.gz"]
    for verb in ("set_aside", "tidy", "put_back"):
        with pytest.raises(Stuck, match="403"):
            await asyncio.to_thread(getattr(source, verb))


async def test_each_way_is_opened_once_a_try_and_soon(two: Two) -> None:
    source = two.source.of(two.front)

    def fetch(tries: int = 1) -> int:
        with replace(source, tries=tries).packed() as chunks:
            return sum(map(len, chunks))

    assert await asyncio.to_thread(fetch) > 30 * 1024 * 1024
    with pytest.raises(Stuck, match="403"):
        await asyncio.to_thread(fetch)
    with pytest.raises(Stuck, match="403"):
        await asyncio.to_thread(fetch, 2)
    await _state(two, "copying", 2)
    assert await asyncio.to_thread(fetch, 2) > 0
    await _state(two, "copying", 3)
    two.source.now = NOW + timedelta(minutes=11)
    with pytest.raises(Stuck, match="403"):
        await asyncio.to_thread(fetch, 3)


@pytest.mark.parametrize("state", ["asked", "landing", "moved", "cancelled", "failed"])
async def test_nothing_leaves_or_comes_but_while_it_is_copied(two: Two, state: str) -> None:
    await _state(two, state)
    with pytest.raises(Stuck, match="403"):
        await asyncio.to_thread(two.source.of(two.front).size)
    with pytest.raises(Stuck):
        await asyncio.to_thread(two.destination.of(two.front).unpack, [b"x" * 512])
    assert not list(two.destination.folder.parent.glob(".gpulab-*"))


async def test_a_move_that_is_not_on_record_opens_nothing(two: Two) -> None:
    two.source.order = None
    with pytest.raises(Stuck, match="403"):
        await asyncio.to_thread(two.source.of(two.front).size)


@pytest.mark.parametrize("name", ["n3.node.gpulab", "n2.node.gpulab"])
async def test_a_stolen_node_fetches_nothing(two: Two, name: str) -> None:
    thief = two.authority.files(organisation="gpulab-node", name=name).dialling()
    for verb in ("size", "digest", "land", "tidy"):
        with pytest.raises(Stuck, match="403"):
            await asyncio.to_thread(getattr(two.source.of(thief), verb))


async def test_a_stranger_is_not_spoken_to(two: Two, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    foreign = Authority(elsewhere).files(organisation="gpulab-front", name="front.gpulab")
    context = Files(foreign.cert, foreign.key, two.source.files.ca).dialling()
    with pytest.raises(Stuck, match="broke"):
        await asyncio.to_thread(two.source.of(context).size)


async def test_another_node_under_that_address_is_not_believed(two: Two) -> None:
    with pytest.raises(Stuck, match="broke"):
        await asyncio.to_thread(replace(two.source.of(two.front), node_id="n9").size)


async def test_a_full_disk_is_told_by_the_far_side(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Here, chunks: Any) -> None:
        next(iter(chunks))
        raise Stuck("The disk of the node filled up.", final=True)

    monkeypatch.setattr(Here, "unpack", full)
    with pytest.raises(Stuck, match="filled up") as stuck:
        await asyncio.to_thread(_carry, two.source.of(two.front), two.destination.of(two.front))
    assert stuck.value.final


async def test_a_source_that_breaks_off_leaves_nothing_at_the_destination(two: Two) -> None:
    def part(chunks: Any) -> Any:
        yield next(chunks)
        raise ConnectionResetError("cut")

    def carry() -> None:
        with two.source.of(two.front).packed() as chunks:
            two.destination.of(two.front).unpack(part(chunks))

    with pytest.raises(Stuck):
        await asyncio.to_thread(carry)
    deadline = asyncio.get_running_loop().time() + 60
    while list(two.destination.folder.parent.glob(".gpulab-*")):
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.05)
