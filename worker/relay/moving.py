"""The door through which workspaces leave this node and come to it: for the house's own worker, with its certificate, and only by a move on record.

A grant is the record's word for one try of one move of one workspace, to or from this very node. It opens each way once, soon after the try began,
and a later try makes it worthless. No node can write such a record, so a stolen one can fetch nothing from another.
"""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from queue import Full, Queue
from typing import Any

from aiohttp import web

from worker.carrying.here import CHUNK, Here, Size, Stuck
from worker.carrying.there import UID_HEADER

PATH = re.compile(r"/_gpulab/move/(kept/)?(\d{1,18})/(\d{1,5})/([a-z]{2,6})\Z")
BEFORE = "/_gpulab/move/"
#: How soon after a try began its streams must.
SOON = timedelta(minutes=10)
#: A long answer says that it is coming.
PULSE_S = 5.0
SOURCE, DESTINATION = "source", "destination"
#: The state of a move that was made while its workspace's snapshots follow; these are meant then, and nothing else.
FOLLOWING = "following"
#: Side and state -> what may be done.
MAY: Mapping[tuple[str, str], frozenset[str]] = {
    (SOURCE, "copying"): frozenset(("GET size", "GET tree", "GET digest")),
    (DESTINATION, "copying"): frozenset(("POST room", "PUT tree", "GET digest", "GET why")),
    (DESTINATION, "landing"): frozenset(("POST land",)),
    (SOURCE, "landing"): frozenset(("POST aside", "POST back")),
    (SOURCE, "moved"): frozenset(("POST tidy",)),
    (DESTINATION, "cancelled"): frozenset(("POST tidy",)),
    (DESTINATION, "failed"): frozenset(("POST tidy", "GET why")),
    (SOURCE, FOLLOWING): frozenset(("GET size", "GET tree", "GET digest")),
    (DESTINATION, FOLLOWING): frozenset(("POST room", "PUT tree", "GET digest", "GET why", "POST land")),
}
STREAMS = frozenset(("GET tree", "PUT tree"))


@dataclass(frozen=True, slots=True)
class Order:
    """What the record says of a move that concerns this node. `side`: which end of it this node is."""

    owner_id: int
    side: str
    state: str
    tries: int
    began_at: datetime | None


@dataclass(frozen=True, slots=True)
class Moves:
    """What the door is told. `order(move, kept)` reads the record, where `kept` means the workspace's snapshots; `end(order, move, uid)` is this
    node's end of it; both may block."""

    order: Callable[[int, bool], Order | None]
    end: Callable[[Order, int, int], Here]
    now: Callable[[], datetime]


class MoveDoor:
    """Answers the house's worker."""

    def __init__(self, moves: Moves) -> None:
        self._moves = moves
        self._used: set[tuple[str, str, str]] = set()
        self._stuck: dict[tuple[str, str], Stuck] = {}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One verb; that the house asks was checked before."""
        found = PATH.match(request.path)
        uid = request.headers.get(UID_HEADER, "")
        if found is None or not uid.isdigit():
            return web.Response(status=404)
        kept, number, tries, verb = found.groups()
        mark = f"{kept or ''}{number}"
        order = await asyncio.to_thread(self._moves.order, int(number), bool(kept))
        what = f"{request.method} {verb}"
        if order is None or not self._granted(order, mark, tries, what):
            return web.Response(status=403)
        end = await asyncio.to_thread(self._moves.end, order, int(number), int(uid))
        if what == "GET tree":
            return await _sent(request, end)
        if what == "PUT tree":
            return await _answered(request, self._taken(request, end, (mark, tries)))
        body = await request.read()
        return await _answered(request, asyncio.to_thread(self._done, what, end, body, (mark, tries)))

    def _granted(self, order: Order, mark: str, tries: str, what: str) -> bool:
        if what not in MAY.get((order.side, order.state), ()) or tries != str(order.tries):
            return False
        if what not in STREAMS:
            return True
        if (mark, tries, what) in self._used or order.began_at is None or self._moves.now() - order.began_at > SOON:
            return False
        self._used.add((mark, tries, what))
        return True

    def _done(self, what: str, end: Here, body: bytes, key: tuple[str, str]) -> Any:
        match what:
            case "GET size":
                return asdict(end.size())
            case "GET digest":
                return asdict(end.digest())
            case "POST room":
                return end.room_check(Size(**json.loads(body)))
            case "GET why":
                if key in self._stuck:
                    raise self._stuck[key]
                return None
        return {"POST land": end.land, "POST aside": end.set_aside, "POST back": end.put_back, "POST tidy": end.tidy}[what]()

    async def _taken(self, request: web.BaseRequest, end: Here, key: tuple[str, str]) -> None:
        try:
            await _received(request, end)
        except Stuck as stuck:
            self._stuck[key] = stuck
            raise


async def _sent(request: web.BaseRequest, end: Here) -> web.StreamResponse:
    """The workspace as a stream. One that is not whole ends with a broken link."""
    packed = end.packed()
    response = web.StreamResponse()
    try:
        chunks = await asyncio.to_thread(packed.__enter__)
    except Stuck as stuck:
        return web.json_response(_said(stuck), status=409)
    try:
        await response.prepare(request)
        while chunk := await asyncio.to_thread(next, chunks, b""):
            await response.write(chunk)
        await asyncio.to_thread(packed.__exit__, None, None, None)
    except BaseException as error:
        await asyncio.shield(asyncio.to_thread(_abandoned, packed, error))
        if request.transport:
            request.transport.abort()
        raise
    await response.write_eof()
    return response


def _abandoned(packed: Any, error: BaseException) -> None:
    """Let go of the program that packs; that it complains is no news."""
    try:
        packed.__exit__(type(error), error, error.__traceback__)
    except BaseException as again:
        if again is not error:
            raise


async def _received(request: web.BaseRequest, end: Here) -> None:
    """A stream into the folder beside the workspace's place, at the disk's pace."""
    chunks: Queue[bytes | None] = Queue(maxsize=8)

    def handed() -> Any:
        while (chunk := chunks.get()) is not None:
            if not chunk:
                raise Stuck("The stream broke off.")
            yield chunk

    work = _awaited(asyncio.to_thread(end.unpack, handed()))
    last: bytes | None = b""
    try:
        async for chunk in _until(request, work):
            await asyncio.to_thread(_put, chunks, chunk, work)
        last = None
    finally:
        await asyncio.shield(asyncio.to_thread(_put, chunks, last, work))
    await work


def _awaited(work: Coroutine[Any, Any, Any]) -> "asyncio.Future[Any]":
    """Begun; what it says is of no interest to anybody once the caller has gone."""
    doing = asyncio.ensure_future(work)
    doing.add_done_callback(lambda done: done.cancelled() or done.exception())
    return doing


async def _until(request: web.BaseRequest, work: "asyncio.Future[None]") -> AsyncIterator[bytes]:
    """What comes, until it ends or nobody takes it any more."""
    async for chunk in request.content.iter_chunked(CHUNK):
        if work.done():
            return
        yield chunk


def _put(chunks: "Queue[bytes | None]", chunk: bytes | None, work: "asyncio.Future[None]") -> None:
    """Hand it to whoever takes, at their pace; nobody may any more."""
    while not work.done():
        with contextlib.suppress(Full):
            chunks.put(chunk, timeout=0.5)
            return


async def _answered(request: web.BaseRequest, work: Coroutine[Any, Any, Any]) -> web.StreamResponse:
    """The result as JSON, with spaces before it while it is awaited."""
    doing = _awaited(work)
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    while not doing.done():
        await asyncio.wait([doing], timeout=PULSE_S)
        if not doing.done():
            await response.write(b" ")
    try:
        said: dict[str, Any] = {"result": doing.result()}
    except Stuck as stuck:
        said = _said(stuck)
    await response.write(json.dumps(said).encode())
    await response.write_eof()
    return response


def _said(stuck: Stuck) -> dict[str, Any]:
    return {"stuck": stuck.words, "final": stuck.final}
