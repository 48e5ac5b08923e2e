"""The terminal's page on the lab's own origin: xterm.js before a terminal of the lab's Jupyter.

It is ours, and yet never on the portal's origin: what it shows comes from the lab. Its requests and its websocket go the
way of all others, so whoever may not enter the lab has no terminal, and whoever may no more is cut.
"""

import mimetypes
import secrets
from functools import cache
from html import escape
from pathlib import Path

from aiohttp import web

FOLDER = Path(__file__).parent / "static"
BELOW = "_gpulab/"
PAGE = BELOW + "terminal"
#: What the page is made of; nothing else of the folder is served.
PARTS = frozenset(("terminal.css", "terminal.js", "vendor/xterm/xterm.css", "vendor/xterm/xterm.js", "vendor/xterm-addon-fit/addon-fit.js"))
HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


def asked(request: web.BaseRequest, base: str) -> str:
    """Which of our own pages or parts below the lab's base path a request is for; empty for the lab's."""
    name = request.path.removeprefix(base)
    ours = name == PAGE or name.removeprefix(BELOW) in PARTS
    return name if ours and request.path.startswith(base + BELOW) and request.method in ("GET", "HEAD") else ""


def answer(name: str, *, base: str, own: str, portal: str) -> web.Response:
    """The page, with a policy that lets nothing in but its own parts, or a part. `portal` is the lab's page there."""
    if name != PAGE:
        part = name.removeprefix(BELOW)
        kind = mimetypes.guess_type(part)[0] or "application/octet-stream"
        response = web.Response(body=_read(part), content_type=kind, charset="utf-8", headers=HEADERS | {"Cache-Control": "private, max-age=300"})
        response.enable_compression()
        return response
    nonce = secrets.token_urlsafe(16)
    values = {"{base}": base, "{nonce}": nonce, "{portal}": portal}
    text = _read("terminal.html").decode()
    for mark, value in values.items():
        text = text.replace(mark, escape(value))
    headers = HEADERS | {"Cache-Control": "no-store", "Content-Security-Policy": _policy(nonce, own)}
    return web.Response(text=text, content_type="text/html", charset="utf-8", headers=headers)


def _policy(nonce: str, own: str) -> str:
    socket = own.replace("http", "ws", 1)
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; connect-src 'self' {socket}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


@cache
def _read(name: str) -> bytes:
    return (FOLDER / name).read_bytes()
