"""Chats, by one POST. The name is resolved once, every address is judged, and the connection goes to a judged one: no redirect, no second look-up."""

import json
import socket
import time
from collections.abc import Callable, Mapping, Sequence
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
        url = signed(message.to, message.secret, int(self.clock() * 1000))
        status, answer = call(url=url, body=json.dumps(body_of(message)).encode(), headers={}, whom="chat", allows=self.allows)
        if not 200 <= status < 300:
            gone = 300 <= status < 500 and status not in LATER
            raise NotifierFault(f"The chat answered with status {status}." + (" Is its address still right?" if gone else ""), permanent=gone)
        if refusal := refusal_of(message.shape, answer):
            raise NotifierFault(refusal)


def call(*, url: str, body: bytes, headers: Mapping[str, str], whom: str, allows: Judge) -> tuple[int, bytes]:
    """Status and the beginning of the answer to one POST. NotifierFault when `whom` may not be called, or does not answer."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    address = _address(host, port, whom, allows)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    name = f"[{host}]" if ":" in host else host
    own = {
        "Host": name if port == (443 if parts.scheme == "https" else 80) else f"{name}:{port}",
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "gpulab",
    }
    return _post(_pool(parts.scheme, host, address, port), target, body, own | dict(headers), whom)


def _address(host: str, port: int, whom: str, allows: Judge) -> str:
    try:
        found = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        raise NotifierFault(f"The {whom}'s host is not known to the name service.") from error
    if not allows(found):
        raise NotifierFault(f"The {whom}'s address points inside a private network, which is not called.", permanent=True)
    return found[0]


def _pool(scheme: str, host: str, address: str, port: int) -> urllib3.HTTPConnectionPool:
    """Connects to exactly that address, with the certificate of that host."""
    timeout = urllib3.Timeout(total=DEADLINE_S)
    if scheme == "https":
        return urllib3.HTTPSConnectionPool(address, port, timeout=timeout, server_hostname=host, assert_hostname=host)
    return urllib3.HTTPConnectionPool(address, port, timeout=timeout)


def _post(pool: urllib3.HTTPConnectionPool, target: str, body: bytes, headers: Mapping[str, str], whom: str) -> tuple[int, bytes]:
    try:
        answer = pool.request("POST", target, body=body, headers=headers, redirect=False, retries=False, preload_content=False)
        try:
            return answer.status, answer.read(MOST_ANSWER)
        finally:
            answer.close()
    except (HTTPError, OSError) as error:
        raise NotifierFault(f"The {whom}'s server does not answer, or not as it should.") from error
    finally:
        pool.close()
