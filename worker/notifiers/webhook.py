"""Chats, by one POST. The name is resolved once, every address is judged, and the connection goes to a judged one: no redirect, no second look-up."""

import json
import socket
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from worker.notifiers.base import Message, NotifierFault
from worker.notifiers.shapes import body_of, refusal_of, signed

DEADLINE_S = 10.0
MOST_ANSWER = 64 * 1024
#: Answers after which the same message may pass later.
LATER = {408, 425, 429}
Judge = Callable[[Sequence[str]], bool]


class WebhookNotifier:
    """`allows` judges the addresses of a name: True when all of them may be called."""

    kind = "webhook"

    def __init__(self, *, allows: Judge, clock: Callable[[], float] = time.time) -> None:
        self.allows = allows
        self.clock = clock

    def send(self, message: Message) -> None:
        """One POST. An address that may not be called, or a chat that is gone, is permanent."""
        parts = urlsplit(message.to)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        address = self._address(host, port)
        path = urlsplit(signed(message.to, message.secret, int(self.clock() * 1000)))
        target = (path.path or "/") + (f"?{path.query}" if path.query else "")
        status, answer = _post(parts.scheme, host, address, port, target, json.dumps(body_of(message)).encode())
        if not 200 <= status < 300:
            gone = 300 <= status < 500 and status not in LATER
            raise NotifierFault(f"The chat answered with status {status}." + (" Is its address still right?" if gone else ""), permanent=gone)
        if refusal := refusal_of(message.shape, answer):
            raise NotifierFault(refusal)

    def _address(self, host: str, port: int) -> str:
        try:
            found = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        except (OSError, UnicodeError) as error:
            raise NotifierFault("The chat's host is not known to the name service.") from error
        if not self.allows(found):
            raise NotifierFault("The chat's address points inside a private network, which is not called.", permanent=True)
        return found[0]


def _post(scheme: str, host: str, address: str, port: int, target: str, body: bytes) -> tuple[int, bytes]:
    """Status and the beginning of the answer, from exactly that address, with the certificate of that host."""
    timeout = urllib3.Timeout(total=DEADLINE_S)
    if scheme == "https":
        pool: urllib3.HTTPConnectionPool = urllib3.HTTPSConnectionPool(address, port, timeout=timeout, server_hostname=host, assert_hostname=host)
    else:
        pool = urllib3.HTTPConnectionPool(address, port, timeout=timeout)
    default = port == (443 if scheme == "https" else 80)
    name = f"[{host}]" if ":" in host else host
    headers = {"Host": name if default else f"{name}:{port}", "Content-Type": "application/json; charset=utf-8", "User-Agent": "gpulab"}
    try:
        answer = pool.request("POST", target, body=body, headers=headers, redirect=False, retries=False, preload_content=False)
        try:
            return answer.status, answer.read(MOST_ANSWER)
        finally:
            answer.close()
    except (HTTPError, OSError) as error:
        raise NotifierFault("The chat's server does not answer, or not as it should.") from error
    finally:
        pool.close()
