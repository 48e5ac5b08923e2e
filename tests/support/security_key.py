"""A security key without the thing itself: an agent that answers OpenSSH's client as one does that holds a FIDO key, with or without a touch."""

import hashlib
import socketserver
import struct
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

KIND, APPLICATION = b"sk-ssh-ed25519@openssh.com", b"ssh:"
LISTED, SIGNED, FAILED = (11, 12), (13, 14), 5


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


class SecurityKey:
    """A key whose signatures say whether somebody touched it."""

    def __init__(self, *, touched: bool = True) -> None:
        self._private = Ed25519PrivateKey.generate()
        self._touched, self._counter = touched, 0
        self.blob = _string(KIND) + _string(self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)) + _string(APPLICATION)

    @property
    def line(self) -> str:
        """As it is pasted on the account page."""
        return f"{KIND.decode()} {b64encode(self.blob).decode()} token"

    def answer(self, request: bytes) -> bytes:
        """What an agent says to one message."""
        if request[0] == LISTED[0]:
            return struct.pack(">BI", LISTED[1], 1) + _string(self.blob) + _string(b"token")
        if request[0] == SIGNED[0]:
            start = 5 + len(self.blob)
            (length,) = struct.unpack_from(">I", request, start)
            return bytes((SIGNED[1],)) + _string(self._signature(request[start + 4 : start + 4 + length]))
        return bytes((FAILED,))

    def _signature(self, data: bytes) -> bytes:
        self._counter += 1
        told = struct.pack(">BI", int(self._touched), self._counter)
        signed = self._private.sign(hashlib.sha256(APPLICATION).digest() + told + hashlib.sha256(data).digest())
        return _string(KIND) + _string(signed) + told


@contextmanager
def agent_of(key: SecurityKey, path: Path) -> Iterator[Path]:
    """An agent that holds it, at that socket."""

    class Asked(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while head := self.rfile.read(4):
                said = key.answer(self.rfile.read(struct.unpack(">I", head)[0]))
                self.wfile.write(_string(said))

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True

    with Server(str(path), Asked) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield path
        server.shutdown()
