"""Files from the web, fetched here: this program is in its owner's own network, and reaches what their labs reach and nothing else."""

import http.client
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from string import punctuation
from typing import IO, Any, TypeVar
from urllib.parse import quote, unquote, urlsplit

from worker.desk.errors import FULL, Wrong, wrong_of
from worker.desk.room import Room
from worker.desk.uploads import MOST, Upload, Uploads

T = TypeVar("T")
AT_ONCE, REMEMBERED = 3, 20
SILENT_S = 60.0
CHUNK = 1024 * 1024
RUNNING, DONE, FAILED, CANCELLED = "running", "done", "failed", "cancelled"
NAMED = re.compile(r"filename\*?=(?:UTF-8'')?\"?([^\";]+)", re.IGNORECASE)


@dataclass
class Fetch:
    """One file: where from, how much of it is here (bytes; `size` None is not known), how it stands, and what to tell."""

    id: int
    url: str
    name: str
    folder: str
    got: int = 0
    size: "int | None" = None
    state: str = RUNNING
    words: str = ""
    began: float = 0.0


def remembered(known: "list[T]", most: int) -> "list[T]":
    """The newest so many, and all that are under way: what is forgotten could not be cancelled, and the page would close over it."""
    return [one for place, one in enumerate(known) if getattr(one, "state", "") == RUNNING or place >= len(known) - most]


class _Web(urllib.request.HTTPRedirectHandler):
    """The web only, also when it leads on."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> "urllib.request.Request | None":
        url_check(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class Fetches:
    """Those of one workspace since the page was opened."""

    def __init__(self, uploads: Uploads, room: Room) -> None:
        self._uploads = uploads
        self._room = room
        self._known: list[Fetch] = []
        self._lock = threading.Lock()
        self._opener = urllib.request.OpenerDirector()
        handlers = (urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler, urllib.request.HTTPDefaultErrorHandler)
        for handler in (*handlers, _Web, urllib.request.HTTPErrorProcessor):
            self._opener.add_handler(handler())

    def all(self) -> list[Fetch]:
        """The newest first."""
        return list(reversed(self._known))

    @property
    def busy(self) -> bool:
        """Is one under way?"""
        return any(one.state == RUNNING for one in self._known)

    def start(self, url: str, folder: str) -> Fetch:
        """Begin to fetch into a folder. Raises Wrong."""
        url = url_check(url.strip())
        with self._lock:
            if sum(one.state == RUNNING for one in self._known) >= AT_ONCE:
                raise Wrong("Three files are being fetched already. Wait for one of them.", HTTPStatus.TOO_MANY_REQUESTS)
            number = self._known[-1].id + 1 if self._known else 1
            one = Fetch(number, url, _name_in(urlsplit(url).path), folder, began=time.time())
            self._known = [*remembered(self._known, REMEMBERED), one]
        threading.Thread(target=self._run, args=(one,), daemon=True).start()
        return one

    def cancel(self, number: int) -> None:
        """Let it be; nothing of it stays."""
        for one in self._known:
            if one.id == number and one.state == RUNNING:
                one.state = CANCELLED

    def _run(self, one: Fetch) -> None:
        try:
            self._fetch(one)
        except Wrong as wrong:
            self._fail(one, wrong.words)
        except urllib.error.HTTPError as error:
            self._fail(one, f"The server answered {error.code} {error.reason}.")
        except (TimeoutError, urllib.error.URLError, http.client.HTTPException, ConnectionError) as error:
            why = getattr(error, "reason", None) or error
            self._fail(one, f"It could not be reached or broke off ({why}). Your labs reach the internet, not private networks.")
        except OSError as error:
            self._fail(one, wrong_of(error).words)
        except Exception:  # whatever a server makes of its answer: one that never ended would keep the page open for ever
            self._fail(one, "What the server answered makes no sense.")

    def _fail(self, one: Fetch, words: str) -> None:
        if one.state == RUNNING:
            one.state, one.words = FAILED, words

    def _fetch(self, one: Fetch) -> None:
        request = urllib.request.Request(_sayable(one.url), headers={"User-Agent": "gpulab-files"})  # noqa: S310  (url_check let it pass)
        with self._opener.open(request, timeout=SILENT_S) as answer:
            length = answer.headers.get("Content-Length", "")
            one.size = int(length) if length.isascii() and length.isdigit() else None
            one.name = _name_said(answer.headers.get("Content-Disposition", "")) or one.name
            kept = self._uploads.create(length=one.size or 0, folder=one.folder, name=one.name, mode="keep")
            try:
                self._carry(one, kept, answer)
            finally:
                with suppress(Wrong, OSError):
                    self._uploads.forget(kept.id)

    def _carry(self, one: Fetch, kept: Upload, answer: IO[bytes]) -> None:
        for chunk in _chunks(answer):
            if one.state != RUNNING:
                return
            one.got = self._uploads.append(kept, chunk)
            if one.got > MOST:
                raise Wrong(FULL)
        if one.size is not None and one.got < one.size:
            raise ConnectionError("it ended too early")
        one.name = self._uploads.place(kept.id).rpartition("/")[2]
        one.state = DONE


def _chunks(answer: IO[bytes]) -> Iterator[bytes]:
    while chunk := answer.read(CHUNK):
        yield chunk


def url_check(url: str) -> str:
    """The address, if it is one of the web. Raises Wrong."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and url.isprintable() and " " not in url and len(url) <= 2000
        good = good and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise Wrong("Give a whole address that begins with https:// or http://.")
    return url


def _sayable(url: str) -> str:
    """The address as it goes out: letters that are none of ASCII's by their bytes, a host's by its other name. Raises Wrong."""
    parts = urlsplit(url)
    try:
        host = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode()
    except UnicodeError:
        raise Wrong("There can be no such host.") from None
    return parts._replace(netloc=host, path=quote(parts.path, safe=punctuation), query=quote(parts.query, safe=punctuation), fragment="").geturl()


def _name_in(path: str) -> str:
    return _clean(unquote(path).rstrip("/").rpartition("/")[2]) or "download"


def _name_said(disposition: str) -> str:
    found = NAMED.search(disposition)
    return _clean(unquote(found[1]).replace("\\", "/").rpartition("/")[2]) if found else ""


def _clean(name: str) -> str:
    name = "".join(letter for letter in name if letter.isprintable() and letter != "/").strip()[:120]
    return "" if name in (".", "..") else name
