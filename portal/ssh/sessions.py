"""The table of connected people: looked through every 2 s and on a ring, and cut when their key no longer holds."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from portal.ssh.found import Directory

log = logging.getLogger(__name__)
LOOK_S = 2.0
Cut = Callable[[], None]


class Sessions:
    """Which connection stands on which key. Nobody is let stay for longer than a look after a revocation."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._open: dict[Cut, int] = {}
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, key_id: int, cut: Cut) -> None:
        """A connection made with that key; `cut` ends it."""
        self._open[cut] = key_id

    def remove(self, cut: Cut) -> None:
        """It ended."""
        self._open.pop(cut, None)

    def wake(self) -> None:
        """Look now."""
        self._wake.set()

    async def look(self) -> None:
        """Cut every connection whose key was removed or whose owner was disabled."""
        if not self._open:
            return
        standing = await asyncio.to_thread(self._directory.standing, set(self._open.values()))
        for cut in [cut for cut, key_id in self._open.items() if key_id not in standing]:
            log.info("ssh: a connection was cut, its key no longer holds")
            cut()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self._wake.clear()
            try:
                await self.look()
            except Exception as error:
                log.warning("ssh: revocations were not looked up: %s", error)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), LOOK_S)
