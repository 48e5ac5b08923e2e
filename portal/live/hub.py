"""One subscriber a web process: hears the bus once, encodes once an audience, and hands the text to every viewer."""

import asyncio
import logging
from collections.abc import Collection
from typing import Any

from channels.db import database_sync_to_async
from django.conf import settings

from labs.bus.listener import listen
from portal.live.access import Standings, standings
from portal.live.messages import encode, lab_usage
from portal.live.past import Past
from portal.live.viewer import Viewer

log = logging.getLogger(__name__)
CHECK_S = 4.0
#: Close codes: the first tells the page to give up, the second to connect again with the rights of now.
GONE, CHANGED = 4401, 4409
RESYNC = encode({"topic": "live", "kind": "resync"})


class Hub:
    """All viewers of this process. It listens while there is at least one."""

    def __init__(self) -> None:
        self.viewers: set[Viewer] = set()
        self.past = Past()
        self._tasks: set[asyncio.Task[None]] = set()

    def join(self, viewer: Viewer) -> None:
        """Add a viewer; the first one starts the ears."""
        if not self.viewers:
            self._start(listen(url=settings.REDIS_URL, pattern="*", heard=self.heard))
            self._start(self._check_for_ever())
        self.viewers.add(viewer)

    def leave(self, viewer: Viewer) -> None:
        """Remove a viewer; the last one stops the ears, and the past is no longer kept."""
        self.viewers.discard(viewer)
        if not self.viewers:
            for task in self._tasks:
                task.cancel()
            self.past = Past()

    def heard(self, topic: str, message: dict[str, Any]) -> None:
        """Hand a message of the bus to those who hear its topic."""
        kind = message.get("kind", "")
        if kind == "sample":
            self._sample(topic, message)
        elif kind == "usage":
            self._numbers(topic, encode(lab_usage(message)))
        elif kind == "revoked":
            self._start(self._check([one for one in self.viewers if topic == f"person.{one.audience.user_id}"]))
        elif topic != "relay":
            self._change(topic, message)

    async def check(self) -> None:
        """Close the sockets of everybody who may not look any more."""
        await self._check(list(self.viewers))

    def _sample(self, topic: str, message: dict[str, Any]) -> None:
        whole = self.past.add(message)
        encodings = self.past.encodings(message["node"])
        for viewer in self.viewers:
            if viewer.subscription.hears(topic):
                viewer.sample(topic, encodings.of(viewer.audience))
        if not whole:
            for viewer in self.viewers:
                viewer.change("resync", RESYNC)

    def _numbers(self, topic: str, text: str) -> None:
        for viewer in self.viewers:
            if viewer.subscription.hears(topic):
                viewer.sample(topic, text)

    def _change(self, topic: str, message: dict[str, Any]) -> None:
        text = encode(message)
        for viewer in self.viewers:
            viewer.subscription.follow(topic, message)
            if viewer.subscription.hears(topic):
                viewer.change(f"{topic} {message.get('kind')}", text)

    async def _check_for_ever(self) -> None:
        while True:
            await asyncio.sleep(CHECK_S)
            try:
                await self.check()
            except Exception:
                log.exception("the viewers could not be checked; they are again in %g s", CHECK_S)

    async def _check(self, viewers: Collection[Viewer]) -> None:
        ids = {one.audience.user_id for one in viewers}
        keys = {one.session_key for one in viewers}
        found = await database_sync_to_async(standings)(ids, keys)
        for viewer in viewers:
            code = verdict(viewer, found)
            if code:
                viewer.close(code)

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def verdict(viewer: Viewer, found: Standings) -> int:
    """0 when the viewer may go on, else the code to close with."""
    standing = found.people.get(viewer.audience.user_id)
    if standing is None or viewer.session_key not in found.sessions or standing.session_hash != viewer.session_hash:
        return GONE
    return CHANGED if standing.is_admin != viewer.audience.is_admin else 0


hub = Hub()
