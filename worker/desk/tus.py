"""The protocol of uploads with resume, tus 1.0 with creation, expiration and termination: headers in, headers out."""

import os
import time
from http import HTTPStatus
from urllib.parse import quote

from worker.desk.errors import Wrong
from worker.desk.http import Request
from worker.desk.uploads import MOST, Uploads, expires, metadata_of

VERSION = "1.0.0"
ALL = {"Tus-Resumable": VERSION, "Tus-Version": VERSION, "Tus-Extension": "creation,expiration,termination", "Tus-Max-Size": str(MOST)}


class Tus:
    """Below `upload`: POST begins, HEAD asks, PATCH goes on, DELETE ends."""

    def __init__(self, uploads: Uploads, base: str) -> None:
        self._uploads = uploads
        self._base = base

    def __call__(self, request: Request, key: str) -> None:
        """Answer."""
        if request.command == "OPTIONS":
            request.nothing(204, ALL)
            return
        if request.headers.get("Tus-Resumable") != VERSION:
            raise Wrong("Uploads speak tus 1.0.0.", HTTPStatus.PRECONDITION_FAILED)
        acts = {"POST": self._create, "HEAD": self._look, "PATCH": self._add, "DELETE": self._end}
        act = acts.get(request.command)
        if act is None or (request.command == "POST") != (key == ""):
            raise Wrong("This cannot be done here.", HTTPStatus.METHOD_NOT_ALLOWED)
        act(request, key)

    def _create(self, request: Request, _: str) -> None:
        facts = metadata_of(request.headers.get("Upload-Metadata", ""))
        length = _number(request.headers.get("Upload-Length", ""))
        made = self._uploads.create(length=length, folder=facts.get("path", ""), name=facts.get("filename", ""), mode=facts.get("mode", "ask"))
        path = self._uploads.place(made.id) if length == 0 else ""
        request.nothing(201, ALL | {"Location": f"{self._base}upload/{made.id}", "Upload-Expires": expires(time.time()), **_placed(path)})

    def _look(self, request: Request, key: str) -> None:
        known, here = self._uploads.find(key)
        request.nothing(200, ALL | {"Upload-Offset": str(here), "Upload-Length": str(known.length), "Upload-Expires": expires(time.time())})

    def _add(self, request: Request, key: str) -> None:
        if request.headers.get("Content-Type") != "application/offset+octet-stream":
            raise Wrong("This is no piece of an upload.", HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        offset = _number(request.headers.get("Upload-Offset", ""))
        here, path = self._uploads.write(key, offset, request.body, request.length)
        request.read = here - offset == request.length
        request.drained()
        request.nothing(204, ALL | {"Upload-Offset": str(here), "Upload-Expires": expires(time.time()), **_placed(path)})

    def _end(self, request: Request, key: str) -> None:
        self._uploads.forget(key)
        request.nothing(204, ALL)


def _placed(path: str) -> "dict[str, str]":
    return {"X-GPULab-Path": quote(os.fsencode(path))} if path else {}


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise Wrong("A length or an offset is missing.")
    return int(text)
