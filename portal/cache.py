"""The shared cache, without which pages and sign-in still work.

With Redis away each process counts for itself: limits of tries are then a little wider, and never gone. After a failure
Redis is left alone for some seconds, so that no page waits for it again and again.
"""

import logging
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

import redis
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache

log = logging.getLogger(__name__)
REST_S = 5.0
VERBS = ("add", "get", "set", "touch", "delete", "get_many", "set_many", "delete_many", "has_key", "incr", "decr", "clear")


def _softly(verb: str) -> Callable[..., Any]:
    shared, own = getattr(RedisCache, verb), getattr(LocMemCache, verb)

    @wraps(shared)
    def answer(self: "SoftRedisCache", *args: Any, **kwargs: Any) -> Any:
        if time.monotonic() >= self._rests_until:
            try:
                return shared(self, *args, **kwargs)
            except redis.RedisError as error:
                log.warning("cache: each process counts for itself for %g s: %s", REST_S, error)
                self._rests_until = time.monotonic() + REST_S
        return own(self._own, *args, **kwargs)

    return answer


class SoftRedisCache(RedisCache):
    """Redis; this process's memory while it is away."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._own = LocMemCache("gpulab-soft", {})
        self._rests_until = 0.0


for _verb in VERBS:
    setattr(SoftRedisCache, _verb, _softly(_verb))
