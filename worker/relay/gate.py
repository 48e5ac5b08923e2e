"""Who asks: the pass in the cookie or the token in the header, and whether the browser meant to."""

import time
from functools import lru_cache
from urllib.parse import urlsplit

from aiohttp import web

from labs.bus.secrets import secret_digest
from labs.lifecycle.passes import Pass, PassRefused, check, opened
from labs.lifecycle.routes import RelaySnapshot
from worker.relay.access import Grant, token_grant
from worker.relay.headers import bearer_of, cookie_of
from worker.relay.origins import Target

SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
#: What a navigation may load into. A frame, a script or an image of another origin is none of these.
PAGES = frozenset(("document", ""))


class Gate:
    """Reads grants off requests. Signatures once read are remembered; times and revocations never are."""

    def __init__(self, key: bytes) -> None:
        self._opened = lru_cache(maxsize=4096)(lambda text: opened(text, key=key))

    def grant(self, request: web.BaseRequest, target: Target, snapshot: RelaySnapshot) -> Grant | None:
        """The grant that the request shows for that lab; None when it shows none that is valid."""
        if target.cookies:
            stated = self._cookie_pass(request, target)
            if stated is not None:
                return Grant.of_pass(stated) if is_same_origin(request, target) else None
        if target.port:
            return None  # a header of that name is the app's own affair
        secret = bearer_of(request.headers)
        return token_grant(secret_digest(secret), target.lab_id, snapshot) if secret else None

    def _cookie_pass(self, request: web.BaseRequest, target: Target) -> Pass | None:
        text = cookie_of(request.headers, target.cookie)
        if not text:
            return None
        try:
            stated = check(self._opened(text), kind="browser", now=time.time())
        except PassRefused:
            return None
        return stated if (stated.lab_id, stated.port) == (target.lab_id, target.port) else None


def is_same_origin(request: web.BaseRequest, target: Target) -> bool:
    """Did the lab's own page ask? The lab is given its token by us and checks no forgery itself, so we do.

    Another lab is the same *site*, so that its requests carry the cookie: only Origin and Sec-Fetch tell.
    """
    headers = request.headers
    origin = headers.get("Origin")
    if is_upgrade(request):
        return origin is None or origin.lower() == target.own
    if origin is not None and request.method not in SAFE:
        return origin.lower() == target.own
    site = headers.get("Sec-Fetch-Site", "none")
    if site in ("same-origin", "none"):
        return True
    visits = headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest", "") in PAGES
    return visits and request.method in SAFE


def is_upgrade(request: web.BaseRequest) -> bool:
    """Does it ask for a websocket?"""
    return request.headers.get("Upgrade", "").lower() == "websocket"


def wants_page(request: web.BaseRequest) -> bool:
    """Would a person see the answer?"""
    return request.method == "GET" and not is_upgrade(request) and "text/html" in request.headers.get("Accept", "")


def leads_out(location: str, own: str) -> bool:
    """Does a redirect lead to another origin than the lab's own?"""
    parts = urlsplit(location.replace("\\", "/"))  # browsers read both slashes alike
    return bool(parts.scheme or parts.netloc) and f"{parts.scheme or urlsplit(own).scheme}://{parts.netloc}".lower() != own
