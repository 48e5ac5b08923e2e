"""The loudspeaker: says after commit that something changed. Losing a message costs one refresh."""

import json
import logging
from typing import Any

import redis
from django.db import transaction

from labs.bus.redis import client

log = logging.getLogger(__name__)
CHANNEL = "gpulab:"


def publish(topic: str, kind: str, **fact: Any) -> None:
    """Publish `{"topic", "kind", **fact}` on `gpulab:<topic>` once the transaction has committed."""
    message = json.dumps({"topic": topic, "kind": kind, **fact}, default=str)
    transaction.on_commit(lambda: _send(topic, message))


def _send(topic: str, message: str) -> None:
    try:
        client().publish(CHANNEL + topic, message)
    except redis.RedisError as error:
        log.warning("bus: %s was not published: %s", topic, error)
