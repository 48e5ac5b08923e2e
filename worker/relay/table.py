"""The relay's last known truth: loaded in a thread every 2 s and at once on a ring, and good for 15 min."""

import asyncio
import logging
import time
from collections.abc import Callable

from labs.bus.seldom import Seldom
from labs.lifecycle.routes import RelaySnapshot, Route

log = logging.getLogger(__name__)
Load = Callable[[], RelaySnapshot]
REFRESH_S = 2.0
STANDS_S = 15 * 60.0


class Unknown(Exception):
    """Nothing is known, or what is known is too old to let anybody in."""


class Table:
    """Holds the snapshot. `load` blocks and runs in a thread; a failing load leaves the last one standing."""

    def __init__(self, load: Load, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._load = load
        self._clock = clock
        self._snapshot = RelaySnapshot()
        self._loaded_at: float | None = None
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()
        self._complaint = Seldom(log)
        self._listeners: list[Callable[[], None]] = []

    @property
    def snapshot(self) -> RelaySnapshot:
        """The last known truth. Raises Unknown when there is none or it is older than 15 min."""
        if self.age > STANDS_S:
            raise Unknown
        return self._snapshot

    def known(self, lab_id: str) -> Route | None:
        """What was known of a lab last, however long ago: for words, never for letting anybody in."""
        return self._snapshot.routes.get(lab_id)

    @property
    def age(self) -> float:
        """Seconds since the last good load; infinite before the first."""
        return float("inf") if self._loaded_at is None else self._clock() - self._loaded_at

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call it after every look, also after one that failed."""
        self._listeners.append(listener)

    def wake(self) -> None:
        """Look now instead of at the next period."""
        self._wake.set()

    async def refresh(self) -> None:
        """Look once. One at a time, so that an older answer never replaces a newer one."""
        async with self._turn:
            at = self._clock()
            try:
                self._snapshot = await asyncio.to_thread(self._load)
                self._loaded_at = at
            except Exception as error:
                self._complaint.warning("relay: the table is %.0f s old and was not refreshed: %s", self.age, error)
        for listener in self._listeners:
            listener()

    async def run(self) -> None:
        """Refresh until cancelled."""
        while True:
            self._wake.clear()
            await self.refresh()
            try:
                await asyncio.wait_for(self._wake.wait(), REFRESH_S)
            except TimeoutError:
                continue
