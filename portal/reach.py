"""From where pages and API may be visited at all: asked before anything else, of HTTP and websockets alike."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.conf import settings

from labs.bus.callers import allowed, caller_address

Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Any, Any], Awaitable[None]]
#: Whoever watches over the house may always ask whether it is well.
ALWAYS = frozenset(("/healthz",))
API = "/api/"
WORDS = b"GPU Lab is not open to this network. Ask for the campus network or its VPN, and try again.\n"


def doors_kept(application: Application) -> Application:
    """The application, for callers from the ranges of each door."""

    async def kept(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] in ("http", "websocket") and scope["path"] not in ALWAYS and not allowed(_caller(scope), _ranges(scope["path"])):
            await _refused(scope, receive, send)
            return
        await application(scope, receive, send)

    return kept


def _ranges(path: str) -> Any:
    return settings.ALLOW_API if path.startswith(API) else settings.ALLOW_PAGES


def _caller(scope: Scope) -> str:
    forwarded = ", ".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for")
    peer = scope.get("client") or ("", 0)
    return caller_address(peer=peer[0], forwarded=forwarded, proxies=settings.TRUSTED_PROXIES)


async def _refused(scope: Scope, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 4403})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(WORDS)).encode()), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": WORDS})
