"""The socket at /ws/live/. It only sends: the client says which page it shows and what it has seen, in the address."""

import asyncio
import logging
from contextlib import suppress
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.core.exceptions import PermissionDenied

from labs.lifecycle.models import Lab
from labs.people.models import User
from labs.telemetry.audience import Audience
from labs.telemetry.queries import lab_usage_recent
from portal.live.access import subscribe
from portal.live.hub import GONE, hub
from portal.live.messages import encode, lab_usage, parse_seen
from portal.live.topics import Subscription
from portal.live.viewer import Viewer

log = logging.getLogger(__name__)
NOT_FOUND = 4404


class LiveConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """One viewer. No channel layer: the hub of this process holds it."""

    viewer: Viewer | None = None
    sender: "asyncio.Task[None] | None" = None

    async def connect(self) -> None:
        """Judge, greet with the past, and send from then on what is heard."""
        await self.accept()
        user, query = self.scope["user"], parse_qs(self.scope["query_string"].decode("latin1"))
        if not user.is_authenticated:
            await self.close(GONE)
            return
        try:
            wanted = await database_sync_to_async(subscribe)(user, query.get("page", [""])[0])
        except PermissionDenied:
            await self.close(GONE)
            return
        except Lab.DoesNotExist:
            await self.close(NOT_FOUND)
            return
        await self._begin(user, wanted, parse_seen(query.get("seen", [""])[0]))

    async def disconnect(self, code: int) -> None:
        """Leave."""
        if self.viewer:
            hub.leave(self.viewer)
        if self.sender:
            self.sender.cancel()

    async def _begin(self, user: User, wanted: Subscription, seen: dict[str, int]) -> None:
        viewer = Viewer(
            audience=Audience(user.pk, user.is_administrator),
            subscription=wanted,
            session_key=self.scope["session"].session_key or "",
            session_hash=user.get_session_auth_hash(),
        )
        hub.join(viewer)
        self.viewer = viewer
        try:
            past = await _past(viewer, seen)
        except BaseException:
            hub.leave(viewer)
            raise
        hello = {"topic": "live", "kind": "hello", "topics": wanted.names(), "period_s": settings.DEFAULTS["telemetry"]["sample_s"]}
        viewer.begin([encode(hello), *past])
        self.sender = asyncio.create_task(self._send(viewer))

    async def _send(self, viewer: Viewer) -> None:
        with suppress(OSError):  # the client is gone: `disconnect` follows
            while viewer.closing is None:
                for text in await viewer.take():
                    await self.base_send({"type": "websocket.send", "text": text})
            await self.close(viewer.closing)


async def _past(viewer: Viewer, seen: dict[str, int]) -> list[str]:
    """The last minutes of what it hears, in order."""
    texts = [text for lab in sorted(viewer.subscription.labs) for text in await database_sync_to_async(_lab_past)(lab)]
    if viewer.subscription.gpus:
        await hub.past.fill()
        texts += hub.past.texts(seen, viewer.audience)
    return texts


def _lab_past(lab_id: str) -> list[str]:
    samples = [lab_usage(sample) for sample in lab_usage_recent(lab_id=lab_id)]
    return [encode({"topic": f"lab.{lab_id}", "kind": "usage-history", "samples": samples})] if samples else []
