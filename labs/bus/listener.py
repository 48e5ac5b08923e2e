"""Hearing the loudspeaker from an event loop. Whoever listens also polls: a lost message costs one period."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import redis.asyncio
from redis.exceptions import RedisError

from labs.bus.bus import CHANNEL
from labs.bus.seldom import Seldom

log = logging.getLogger(__name__)
Heard = Callable[[str, dict[str, Any]], None]
RETRY_S = 1.0
LOOK_S = 10.0


async def listen(*, url: str, pattern: str, heard: Heard) -> None:
    """Call `heard(topic, message)` for what is said on topics that match the glob `pattern`, until cancelled."""
    complaint = Seldom(log)
    while True:
        try:
            await _listen_once(url, pattern, heard)
        except (RedisError, OSError) as error:
            complaint.warning("bus: not heard now, tried again every %.0f s: %s", RETRY_S, error)
        await asyncio.sleep(RETRY_S)


async def _listen_once(url: str, pattern: str, heard: Heard) -> None:
    async with redis.asyncio.Redis.from_url(url, socket_connect_timeout=2) as client, client.pubsub() as ear:
        await ear.psubscribe(CHANNEL + pattern)
        task = asyncio.current_task()
        if task and task.cancelling():  # redis-py loses a cancellation that comes while it connects
            raise asyncio.CancelledError
        while True:
            message = await _next(ear)
            if message and message["type"] == "pmessage":
                heard(message["channel"].decode().removeprefix(CHANNEL), _decoded(message["data"]))


async def _next(ear: redis.asyncio.client.PubSub) -> dict[str, Any] | None:
    """The next message, or None after a while without one. Raises ConnectionError for a link that is dead.

    redis-py takes the kernel's word that a link timed out for a time-out of its own, says at once that there is no message, and would say so for ever:
    its `listen()` spins on that without ever letting the loop go on.
    """
    clock = asyncio.get_running_loop().time
    began = clock()
    message: dict[str, Any] | None = await ear.get_message(timeout=LOOK_S)
    if message is None and clock() - began < LOOK_S / 2:
        raise ConnectionError("the link timed out")
    return message


def _decoded(data: bytes) -> dict[str, Any]:
    """The message; one that is not ours counts as empty."""
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
