"""The websockets, tried by everybody: the rows SOCKET of `matrix.csv`."""

from collections.abc import Iterator
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.test import Client
from django.utils import timezone

from portal.live.hub import hub
from portal.live.routing import websocket_application
from tests.security.test_matrix import EXPECTED, SOCKET
from tests.security.world import CALLERS, World, world_make

pytestmark = pytest.mark.django_db(transaction=True)
PAGES = [page for method, page in EXPECTED if method == SOCKET]


@pytest.fixture
def world(redis_url: str) -> Iterator[World]:
    """The house, written for good: a socket reads it from a thread of its own."""
    yield world_make(now=timezone.now())
    assert not hub.viewers


def headers(browser: Client) -> list[tuple[bytes, bytes]]:
    """What this browser sends."""
    kept = browser.cookies.get(settings.SESSION_COOKIE_NAME)
    cookies = [(b"cookie", f"{settings.SESSION_COOKIE_NAME}={kept.value}".encode())] if kept else []
    return [(b"origin", settings.PORTAL_URL.encode()), *cookies]


async def meets(path: str, browser: Client) -> str:
    """`in` where the stream greets, `out` where it closes."""
    socket: Any = WebsocketCommunicator(websocket_application, path, headers=headers(browser))
    await socket.connect(60)
    output = await socket.receive_output(60)
    await socket.disconnect()
    return "out" if output["type"] == "websocket.close" else "in"


async def test_a_stream_opens_to_those_in_its_row_alone(world: World) -> None:
    for page in PAGES:
        path = "/" + page.replace("<lab_id>", world.values["lab_id"])
        found = {caller: await meets(path, world.browsers[caller]) for caller in CALLERS}
        assert found == EXPECTED[SOCKET, page], page
