"""One request and its answer: who asks, forms, ranges, streams. What is answered is the routes' matter."""

import hmac
import json
import os
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import IO, Any, cast
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

from worker.desk.errors import Wrong, wrong_of

FORM_MOST, OBJECT_MOST = 64 * 1024, 2 * 1024**2
SILENT_S = 300.0
#: On every answer; a page of ours has a policy of its own besides. Without any referrer a browser names no origin with a form, and the relay lets none such in.
SAFE = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cache-Control": "no-store", "Cross-Origin-Resource-Policy": "same-origin"}
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
#: Of a file: whatever it is, it is no page with a say here.
FILE_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"


class Server(ThreadingHTTPServer):
    """Where it listens, what it serves below, what it asks for; when it was used last."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: "tuple[str, int]", *, base: str, token: str, route: "Callable[[Request], None]") -> None:
        super().__init__(address, Request)
        self.base, self.token, self.route = base, token, route
        self.used = time.monotonic()
        self.open = 0
        self.lock = threading.Lock()


class Request(BaseHTTPRequestHandler):
    """One connection. The relay's token on each request, then the route."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "gpulab-files", ""
    timeout = SILENT_S
    server: Server

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        self.query = _pairs(parts.query)
        self.begun = self.read = False
        if not parts.path.startswith(self.server.base):
            self.plain(404, "There is nothing here.")
            return
        self.place = parts.path[len(self.server.base) :]
        if self.place == "api":  # is it up? Nothing else is told without the token
            self.plain(200, "ok")
        elif not hmac.compare_digest(self.headers.get("Authorization", ""), f"token {self.server.token}"):
            self.plain(403, "This is reached by the relay only.")
        else:
            self._used()

    do_GET = do_HEAD = do_POST = do_PATCH = do_DELETE = do_OPTIONS = _answer  # noqa: N815

    def _used(self) -> None:
        """Count it as use, except what asks about use."""
        counts = self.place != "status"
        with self.server.lock:
            self.server.open += counts
        try:
            self._routed()
        finally:
            with self.server.lock:
                self.server.open -= counts
                if counts:
                    self.server.used = time.monotonic()

    def _routed(self) -> None:
        try:
            try:
                self.server.route(self)
            except OSError as error:
                if self.begun or isinstance(error, (ConnectionError, TimeoutError)):
                    raise
                raise wrong_of(error) from error
        except Wrong as wrong:
            self.refuse(wrong)
        except OSError:
            self.close_connection = True  # whoever asked is gone, or the answer is broken off

    def refuse(self, wrong: Wrong) -> None:
        """Say what cannot be, as a program reads it; routes of pages say it to people themselves."""
        self.drained()
        self.json({"message": wrong.words}, status=wrong.status)

    def drained(self) -> None:
        """A body that nobody reads would be taken for the next request."""
        if not self.read and (self.length or self.headers.get("Transfer-Encoding")):
            self.close_connection = True

    @property
    def length(self) -> int:
        """Bytes of the body, as it was said."""
        said = self.headers.get("Content-Length") or "0"
        return int(said) if said.isdigit() else 0

    @property
    def body(self) -> "IO[bytes]":
        """What comes with the request."""
        return cast("IO[bytes]", self.rfile)

    def form(self) -> "dict[str, str]":
        """The fields of a form, or of an object in JSON."""
        if self.length > FORM_MOST:
            raise Wrong("That is too much for a form.", 413)
        body = self.rfile.read(self.length)
        self.read = True
        if not self.headers.get("Content-Type", "").startswith("application/json"):
            return _pairs(body.decode("ascii", "replace"))
        return {str(name): str(value) for name, value in _object(body).items()}

    def object(self) -> "dict[str, Any]":
        """An object in JSON, as long as lists of files are."""
        if self.length > OBJECT_MOST:
            raise Wrong("That is too much at once.", 413)
        body = self.rfile.read(self.length)
        self.read = True
        return _object(body)

    def head(self, status: int, headers: "dict[str, str]") -> None:
        """Begin an answer."""
        self.begun = True
        self.send_response(status)
        for name, value in (SAFE | headers).items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def whole(self, status: int, body: bytes, kind: str, headers: "dict[str, str] | None" = None) -> None:
        """An answer in one piece."""
        self.head(status, {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(body)

    def page(self, body: bytes, status: int = 200) -> None:
        """A page of ours."""
        self.whole(status, body, "text/html; charset=utf-8", {"Content-Security-Policy": PAGE_POLICY})

    def json(self, value: Any, status: int = 200) -> None:
        """For programs."""
        self.whole(status, json.dumps(value).encode(), "application/json")

    def plain(self, status: int, words: str) -> None:
        """One line."""
        self.drained()
        self.whole(status, words.encode(), "text/plain; charset=utf-8")

    def nothing(self, status: int, headers: "dict[str, str] | None" = None) -> None:
        """An answer without a body."""
        self.head(status, {**({} if status == 204 else {"Content-Length": "0"}), **(headers or {})})

    @property
    def wants_json(self) -> bool:
        """Does a program ask?"""
        return "application/json" in self.headers.get("Accept", "")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the library's name)
        """Nothing: names of files are nobody's business."""


class Chunks:
    """An answer of unknown length, as a file that archives are written into."""

    def __init__(self, request: Request) -> None:
        self._out = request.wfile
        self._kept = bytearray()

    def write(self, data: bytes) -> int:
        """Kept until it is worth a packet."""
        self._kept += data
        if len(self._kept) >= FORM_MOST:
            self.flush()
        return len(data)

    def flush(self) -> None:
        """Send what is kept."""
        if self._kept:
            self._out.write(b"%x\r\n%b\r\n" % (len(self._kept), bytes(self._kept)))
            self._kept.clear()

    def end(self) -> None:
        """It is whole."""
        self.flush()
        self._out.write(b"0\r\n\r\n")


def _object(body: bytes) -> "dict[str, Any]":
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Wrong("Send one JSON object.")
    return found


def _pairs(query: str) -> "dict[str, str]":
    """Names and values; the very bytes that a path was made of."""
    try:
        raw = parse_qsl(query, keep_blank_values=True, encoding="latin-1", max_num_fields=50)
    except ValueError:  # more fields than any form of ours has
        raw = []
    return {name: os.fsdecode(value.encode("latin-1")) for name, value in raw}


def path_of(field: str) -> str:
    """A path that was written as an address has it."""
    return os.fsdecode(unquote_to_bytes(field))
