"""FAULTS row 25: the web process is killed while many look, and all of them come back at once."""

import asyncio
import time
from collections.abc import Callable

import pytest

from benchmarks.live_client import Crowd, Socket
from benchmarks.live_feed import NODE
from tests.portal.live.test_served import Web, furnished, web  # noqa: F401  (fixtures)

pytestmark = pytest.mark.timeout(180)
WITHIN_S = 10
SHORT, ALL = 120, 500


async def come_back(web: Web, count: int) -> float:
    """So many sockets see the web process killed and started again, and connect anew at once; seconds until each is current.

    That is: it was sent the past that it lacked, by its number, and behind that, with none missing, a sample that was taken since.
    """
    before = Crowd(web.port, web.cookies, origin=web.url)
    await before.connect(count)
    await until(before, lambda one: one.samples > 0)
    web.kill()
    async with asyncio.timeout(60):
        while not all(one.transport.is_closing() for one in before.sockets):
            await asyncio.sleep(0.02)
    web.start()
    began, back = time.monotonic(), time.time()
    after = Crowd(web.port, web.cookies, origin=web.url, seen=[f"{NODE}:{one.number}" for one in before.sockets])
    await after.connect(count)
    await until(after, lambda one: one.follows >= 0 and one.at > back)
    took = time.monotonic() - began
    assert not any(one.transport.is_closing() for one in after.sockets), "nobody was turned away"
    assert sum(one.missed for one in after.sockets) == 0, "no sample was passed over"
    assert {one.follows for one in after.sockets} <= {one.number for one in before.sockets}, "each was sent what it lacked, and no more"
    after.close()
    return took


async def until(crowd: Crowd, so: Callable[[Socket], bool]) -> None:
    """Each of its sockets is so."""
    async with asyncio.timeout(60):
        while not all(map(so, crowd.sockets)):
            await asyncio.sleep(0.05)


def test_row_25_sockets_of_a_killed_web_process_are_all_current_again_in_time(web: Web) -> None:
    took = asyncio.run(come_back(web, SHORT))
    print(f"\n{SHORT} sockets current {took:.1f} s after the web process was back")
    assert took < WITHIN_S


@pytest.mark.long
def test_row_25_500_sockets_of_a_killed_web_process_are_all_current_again_in_time(web: Web) -> None:
    took = asyncio.run(come_back(web, ALL))
    print(f"\n{ALL} sockets current {took:.1f} s after the web process was back")
    assert took < WITHIN_S
