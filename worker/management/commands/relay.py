"""`manage.py relay`: the one process of a node that connects to labs."""

from functools import lru_cache
from typing import Any

import uvloop
from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import close_old_connections
from django.utils import timezone

from labs.bus.secrets import derive
from labs.lifecycle.passes import KEY_PURPOSE
from labs.lifecycle.queries import relay_snapshot
from labs.lifecycle.routes import RelaySnapshot
from labs.lifecycle.services import lab_tokens_used
from labs.lifecycle.tokens import upstream_token
from worker.relay.app import House
from worker.relay.origins import Origins
from worker.relay.run import Doors, serve


class Command(BaseCommand):
    """Carries HTTP, websockets and SSH bytes between people and the labs of this node."""

    help = "Run the relay: it carries the bytes between people and the labs of this node."

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until told to end."""
        house = House(
            origins=Origins(scheme=settings.LABS_SCHEME, domain=settings.LABS_DOMAIN, single=settings.LABS_ORIGIN == "single"),
            portal_url=settings.PORTAL_URL,
            key=derive(KEY_PURPOSE),
            upstream_token=lru_cache(maxsize=1024)(lambda lab_id, attempt: upstream_token(lab_id=lab_id, attempt=attempt)),
            tokens_used=_tokens_used,
        )
        doors = Doors((settings.RELAY_HOST, settings.RELAY_PORT), (settings.RELAY_BYTES_HOST, settings.RELAY_BYTES_PORT), settings.REDIS_URL)
        uvloop.run(serve(house=house, doors=doors, load=_load))


def _tokens_used(digests: set[str]) -> None:
    close_old_connections()
    try:
        lab_tokens_used(digests=digests, now=timezone.now())
    finally:
        close_old_connections()


def _load() -> RelaySnapshot:
    """Runs in a thread; a connection that the database has closed is opened anew."""
    close_old_connections()
    try:
        return relay_snapshot(node_id=settings.NODE_ID)
    finally:
        close_old_connections()
