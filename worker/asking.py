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


def ask(
    *, address: tuple[str, int], path: str, within: float, method: str = "GET", headers: Mapping[str, str] | None = None, body: str | None = None
) -> tuple[int, bytes]:
    """Status and body of the answer, which has to be whole `within` so many seconds. Raises Unanswered."""
    connection = http.client.HTTPConnection(*address, timeout=within)
    cut = threading.Timer(within, _cut, (connection,))  # the connection's own limit begins anew with every byte
    cut.daemon = True
    try:
        connection.connect()
        cut.args = (connection.sock,)
        cut.start()
        connection.request(method, path, body=body, headers=dict(headers or {}))
        answer = connection.getresponse()
        said = answer.read(MOST + 1)
    except (OSError, http.client.HTTPException) as error:
        raise Unanswered(str(error) or type(error).__name__) from error
    finally:
        cut.cancel()
        connection.close()
    if len(said) > MOST or (answer.length and answer.length > 0):
        raise Unanswered("the answer is too long, or was cut off")
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
