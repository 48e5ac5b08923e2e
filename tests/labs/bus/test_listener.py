"""Hearing the loudspeaker again after a link that died without a word."""

import asyncio
import errno
import json
import secrets
import time
from typing import Any

import pytest
import redis
from redis.asyncio.connection import AbstractConnection

from labs.bus import listener
from labs.bus.bus import CHANNEL
from tests.conftest import need


@pytest.mark.timeout(120)
async def test_a_link_that_the_kernel_gave_up_is_made_anew_and_holds_up_nobody(monkeypatch: pytest.MonkeyPatch):
    url, topic, heard = need("GPULAB_TEST_REDIS_URL", "Redis"), f"test.{secrets.token_hex(4)}", []
    read, dead, dying = AbstractConnection._read_response_from_parser, [], []

    async def timed_out(self: AbstractConnection, **how: Any) -> Any:
        """As the kernel says it of a link whose other end has been silent for too long: at once, and each time."""
        if dying and not dead:
            dead.append(self)
        if self in dead:
            raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")
        return await read(self, **how)

    async def told(count: int) -> None:
        deadline = time.monotonic() + 60
        while len(heard) < count:
            assert time.monotonic() < deadline, "nothing is heard"
            client.publish(CHANNEL + topic, json.dumps({}))
            await asyncio.sleep(0.1)

    monkeypatch.setattr(AbstractConnection, "_read_response_from_parser", timed_out)
    monkeypatch.setattr(listener, "LOOK_S", 0.5)
    with redis.Redis.from_url(url) as client:
        listening = asyncio.create_task(listener.listen(url=url, pattern=topic, heard=lambda *said: heard.append(said)))
        try:
            await told(1)
            dying.append(True)
            await told(len(heard) + 3)
            assert dead
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
