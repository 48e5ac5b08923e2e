"""Hearing the bus ends when it is told to, at whatever point of connecting that is."""

import asyncio

import pytest

from labs.bus.listener import listen


@pytest.mark.parametrize("steps", range(0, 30, 1))
async def test_a_listener_that_is_cancelled_ends_however_far_it_was(redis_url: str, steps: int):
    ears = asyncio.create_task(listen(url=redis_url, pattern="*", heard=lambda topic, message: None))
    for _ in range(steps):
        await asyncio.sleep(0)
    ears.cancel()
    done, _ = await asyncio.wait({ears}, timeout=60)
    assert done, f"still listening after a cancellation at step {steps}"
