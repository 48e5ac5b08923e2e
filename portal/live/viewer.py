"""One socket's outbox: bounded, so that a slow reader costs the house nothing and itself only what is out of date."""

import asyncio
from collections import deque

from labs.telemetry.audience import Audience
from portal.live.topics import Subscription

#: Samples of a topic that wait for a slow reader; an older one gives way to a newer one.
SAMPLES = 2


class Viewer:
    """What one socket hears and what waits to be sent to it."""

    def __init__(self, *, audience: Audience, subscription: Subscription, session_key: str, session_hash: str) -> None:
        self.audience = audience
        self.subscription = subscription
        self.session_key = session_key
        self.session_hash = session_hash
        self.closing: int | None = None
        self._first: deque[str] = deque()
        self._samples: dict[str, deque[str]] = {}
        self._changes: dict[str, str] = {}
        self._ready = asyncio.Event()

    def begin(self, texts: list[str]) -> None:
        """What comes before anything else: the greeting and the past."""
        self._first.extend(texts)
        self._ready.set()

    def sample(self, topic: str, text: str) -> None:
        """Numbers: only the newest few of a topic are worth sending."""
        waiting = self._samples.get(topic)
        if waiting is None:
            waiting = self._samples[topic] = deque(maxlen=SAMPLES)
        waiting.append(text)
        self._ready.set()

    def change(self, key: str, text: str) -> None:
        """Something changed: one notice of a kind is enough, however often it happened."""
        self._changes[key] = text
        self._ready.set()

    def close(self, code: int) -> None:
        """Send nothing more; the socket is closed with this code."""
        self.closing = code
        self._ready.set()

    async def take(self) -> list[str]:
        """All that waits, as soon as something does."""
        await self._ready.wait()
        self._ready.clear()
        taken = [*self._first, *self._changes.values(), *(text for waiting in self._samples.values() for text in waiting)]
        self._first.clear()
        self._changes.clear()
        self._samples.clear()
        return taken
