"""From where the doors may be used, and how a caller's address is known behind proxies."""

from ipaddress import ip_network

import pytest
from asgiref.testing import ApplicationCommunicator

from labs.bus.callers import allowed, caller_address
from portal.reach import doors_kept

CAMPUS = (ip_network("10.1.0.0/16"), ip_network("2001:db8::/32"))


@pytest.mark.parametrize(
    ("address", "may"),
    [("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("2001:db8::7", True), ("10.2.0.1", False), ("::1", False), ("", False), ("10.1.2.3.evil.example", False)],
)
def test_only_addresses_of_the_ranges_are_let_in(address: str, may: bool) -> None:
    assert allowed(address, CAMPUS) is may
    assert allowed(address, ())


@pytest.mark.parametrize(
    ("forwarded", "proxies", "found"),
    [
        ("10.1.0.1", 0, "192.0.2.1"),  # nobody of ours wrote it
        ("10.1.0.1", 1, "10.1.0.1"),
        ("10.1.0.1, 198.51.100.7", 1, "198.51.100.7"),  # what the caller wrote himself stands before it
        ("10.1.0.1, 198.51.100.7, 127.0.0.1", 2, "198.51.100.7"),
        ("", 1, "192.0.2.1"),
    ],
)
def test_a_caller_cannot_choose_the_address_that_he_is_taken_for(forwarded: str, proxies: int, found: str) -> None:
    assert caller_address(peer="192.0.2.1", forwarded=forwarded, proxies=proxies) == found


async def _inside(scope: object, receive: object, send: object) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator]
    await send({"type": "http.response.body", "body": b""})  # type: ignore[operator]


async def _status(path: str, forwarded: str) -> int:
    headers = [(b"x-forwarded-for", forwarded.encode())]
    asked = ApplicationCommunicator(doors_kept(_inside), {"type": "http", "path": path, "headers": headers, "client": ("127.0.0.1", 1)})
    await asked.send_input({"type": "http.request"})
    answer = await asked.receive_output(5)
    await asked.receive_output(5)
    return int(answer["status"])


@pytest.mark.asyncio
async def test_each_door_has_ranges_of_its_own(settings) -> None:
    settings.TRUSTED_PROXIES = 1
    settings.ALLOW_PAGES, settings.ALLOW_API = CAMPUS, ()
    assert await _status("/", "10.1.2.3") == 200
    assert await _status("/", "203.0.113.9") == 403
    assert await _status("/healthz", "203.0.113.9") == 200
    assert await _status("/api/v1/labs", "203.0.113.9") == 200
    settings.ALLOW_API = CAMPUS
    assert await _status("/api/v1/labs", "203.0.113.9") == 403


@pytest.mark.asyncio
async def test_a_live_stream_from_elsewhere_is_closed_before_it_begins(settings) -> None:
    settings.ALLOW_PAGES = CAMPUS
    asked = ApplicationCommunicator(doors_kept(_inside), {"type": "websocket", "path": "/ws/", "headers": [], "client": ("203.0.113.9", 1)})
    await asked.send_input({"type": "websocket.connect"})
    assert (await asked.receive_output(5))["type"] == "websocket.close"
