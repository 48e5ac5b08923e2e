"""How many requests a token may make: a count a minute in the shared cache, told in headers."""

import logging
import time

import redis
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from ninja.errors import Throttled

log = logging.getLogger(__name__)
WINDOW_S = 60
#: Requests in one window: reading is cheap, writing is not.
READS, WRITES = 600, 60


def rate_spend(*, request: HttpRequest, key: str) -> None:
    """Count one request; Throttled when the window's share is used up. Without a cache nobody is held up."""
    kind, limit = ("read", READS) if request.method in ("GET", "HEAD") else ("write", WRITES)
    now = time.time()
    reset = WINDOW_S - int(now) % WINDOW_S
    try:
        used = _count(f"api-rate:{kind}:{key}:{int(now) // WINDOW_S}")
    except redis.RedisError as error:
        log.warning("API: rates are not counted now: %s", error)
        return
    request.rate_headers = {  # type: ignore[attr-defined]  # read by `rate_headers_set`
        "RateLimit-Limit": str(limit),
        "RateLimit-Remaining": str(max(limit - used, 0)),
        "RateLimit-Reset": str(reset),
    }
    if used > limit:
        raise Throttled(wait=reset)


def rate_headers_set(request: HttpRequest, response: HttpResponse) -> None:
    """Tell the caller what is left of its rate."""
    for name, value in getattr(request, "rate_headers", {}).items():
        response[name] = value


def _count(key: str) -> int:
    cache.add(key, 0, timeout=2 * WINDOW_S)
    try:
        return cache.incr(key)
    except ValueError:  # it ran out between the two calls
        return 1
