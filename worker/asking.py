"""A question by HTTP to a program in a lab. What answers may be anything that its owner put there: so much of it is read at most, and for so long at most."""

import http.client
import json
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

#: Of one answer, bytes.
MOST = 4 * 1024 * 1024


class Unanswered(Exception):
    """Nobody answers there, not in time, or not as HTTP has it."""


class TooLong(Unanswered):
    """What answers there says more than is taken."""


class _Answer(http.client.HTTPResponse):
    """The library takes a part of a length below nothing for one that never ends, and reads it all at once."""

    def _read_next_chunk_size(self) -> int:
        size: int = super()._read_next_chunk_size()  # type: ignore[misc]  # not in the library's stubs
        if size < 0:
            raise http.client.HTTPException("a part of a length below nothing")
        return size


def ask(
    *,
    address: tuple[str, int],
    path: str,
    within: float,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
    most: int = MOST,
) -> tuple[int, bytes]:
    """Status and body of the answer, which has to be whole `within` so many seconds and of at most so many bytes. Raises Unanswered, TooLong."""
    connection = http.client.HTTPConnection(*address, timeout=within)
    connection.response_class = _Answer
    cut = threading.Timer(within, _cut, (connection,))  # the connection's own limit begins anew with every byte
    cut.daemon = True
    try:
        connection.connect()
        cut.args = (connection.sock,)
        cut.start()
        connection.request(method, path, body=body, headers=dict(headers or {}))
        answer = connection.getresponse()
        said = answer.read(most + 1)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Unanswered(str(error) or type(error).__name__) from error
    finally:
        cut.cancel()
        connection.close()
    if len(said) > most:
        raise TooLong("the answer is too long")
    if answer.length:
        raise Unanswered("the answer was cut off")
    return answer.status, said


def understood(said: bytes) -> Any:
    """What it says as JSON; None where that is none."""
    try:
        return json.loads(said)
    except (ValueError, RecursionError):
        return None


def _cut(link: socket.socket) -> None:
    with suppress(OSError):
        link.shutdown(socket.SHUT_RDWR)
