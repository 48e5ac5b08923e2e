"""The one Redis client of a process: the loudspeaker and the shelf of latest readings, never the truth."""

from functools import cache

import redis
from django.conf import settings


@cache
def client() -> redis.Redis:
    """A client with short time-outs: a slow Redis may cost a refresh, never a request."""
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=1)
