"""The byte door: a stream to the lab's sshd for whoever shows an ssh pass."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.echo import END, GREETING, lab_sshd, sent_and_read_back
from tests.worker.relay.world import ALICE, BOB, OTHER, World, eventually

pytestmark = pytest.mark.asyncio
MIB = 1024 * 1024
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest_asyncio.fixture
async def sshd(house: World) -> AsyncIterator[World]:
    """The house, with an echo where the lab's sshd would be."""
    async with lab_sshd() as address:
        house.route(ssh=address)
        await house.table.refresh()
        yield house


async def _knock(house: World, greeting: bytes) -> tuple[bytes, Stream]:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.bytes_port)
    writer.write(greeting)
    return await asyncio.wait_for(reader.read(3), 30), (reader, writer)


def _greeting(text: str) -> bytes:
    return b"GPULAB/1 " + text.encode() + b"\n"


async def test_bytes_pass_both_ways_and_an_end_is_passed_on_as_one(sshd: World) -> None:
    answer, (reader, writer) = await _knock(sshd, _greeting(sshd.mint("ssh")))
    assert answer == b"OK\n"
    assert await reader.readline() == GREETING
    sent = bytes(range(256)) * 40960
    assert await sent_and_read_back(reader, writer, sent) == sent + END
    writer.close()
    await eventually(lambda: len(sshd.links) == 0, what="the end of the link")


async def test_no_other_pass_opens_it(sshd: World) -> None:
    for greeting in (
        _greeting(sshd.mint("browser")),
        _greeting(sshd.mint("ticket")),
        _greeting(sshd.mint("ssh", user_id=BOB)),
        _greeting(sshd.mint("ssh", user_id=BOB, lab_id=OTHER)),
        _greeting(sshd.mint("ssh", ago=31)),
        _greeting("nonsense"),
        b"SSH-2.0-OpenSSH\r\n",
        b"x" * 300_000 + b"\n",
    ):
        answer, (_, writer) = await _knock(sshd, greeting)
        assert answer == b"NO\n"
        writer.close()


async def test_a_lab_whose_sshd_is_away_is_answered_no(sshd: World) -> None:
    sshd.route(ssh=("127.0.0.1", 9))
    await sshd.table.refresh()
    assert (await _knock(sshd, _greeting(sshd.mint("ssh"))))[0] == b"NO\n"


async def test_a_stream_is_cut_when_its_person_is_disabled(sshd: World) -> None:
    _, (reader, writer) = await _knock(sshd, _greeting(sshd.mint("ssh")))
    await reader.readline()
    sshd.person(ALICE, active=False)
    await sshd.table.refresh()
    with contextlib.suppress(ConnectionError):  # a cut may look like an end or like a reset
        assert await asyncio.wait_for(reader.read(-1), 30) == b""
    writer.close()
    await eventually(lambda: len(sshd.links) == 0, what="the end of the link")
