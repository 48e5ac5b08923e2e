"""FAULTS row 25: the web process is killed while many look, and all of them come back at once."""

import asyncio
import time

import pytest

from benchmarks.live_client import Crowd
from tests.portal.live.test_served import Web, furnished, web  # noqa: F401  (fixtures)

pytestmark = pytest.mark.timeout(180)
WITHIN_S = 10
SHORT, ALL = 120, 500


async def come_back(web: Web, count: int) -> float:
    """So many sockets see the web process killed and started again, and connect anew at once; seconds until each is current."""
    before = Crowd(web.port, web.cookies, origin=web.url)
    await before.connect(count)
    await all_current(before)
    web.kill()
    async with asyncio.timeout(10):
        while not all(one.transport.is_closing() for one in before.sockets):
            await asyncio.sleep(0.02)
    web.start()
    began, after = time.monotonic(), Crowd(web.port, web.cookies, origin=web.url)
    await after.connect(count)
    await all_current(after)
    took = time.monotonic() - began
    assert not any(one.transport.is_closing() for one in after.sockets), "nobody was turned away"
    after.close()
    return took


async def all_current(crowd: Crowd) -> None:
    """Each socket has the newest sample, behind the past that it lacked."""
    async with asyncio.timeout(60):
        while not all(one.samples for one in crowd.sockets):
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
