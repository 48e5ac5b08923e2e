"""The floor of the live stream: what Redis says is sent to every socket. No sessions, no rights, no past, nobody slow."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import redis.asyncio

Send = Callable[[dict[str, Any]], Awaitable[None]]
sends: set[Send] = set()
tasks: set[asyncio.Task[None]] = set()


async def application(scope: dict[str, Any], receive: Callable[[], Awaitable[dict[str, Any]]], send: Send) -> None:
    """Accept, and hold the socket until it is closed."""
    if scope["type"] != "websocket":
        return
    if not tasks:
        tasks.add(asyncio.create_task(_fan_out()))
    await receive()
    await send({"type": "websocket.accept"})
    sends.add(send)
    while (await receive())["type"] != "websocket.disconnect":
        pass
    sends.discard(send)


async def _fan_out() -> None:
    async with redis.asyncio.Redis.from_url(os.environ["GPULAB_REDIS_URL"]) as client, client.pubsub() as ear:
        await ear.psubscribe("gpulab:gpus.*")
        async for message in ear.listen():
            if message["type"] == "pmessage":
                text = {"type": "websocket.send", "text": message["data"].decode().replace(": ", ":").replace(", ", ",")}
                await asyncio.gather(*(send(text) for send in list(sends)), return_exceptions=True)
