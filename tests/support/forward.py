"""A way to a port of loopback from other hosts, as a database that listens for them has one."""

import contextlib
import socket
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def forwarded(address: str, port: int, to: int) -> Iterator[None]:
    """What connects to `address:port` meanwhile reaches port `to` of loopback, in the network of the calling thread."""
    with socket.create_server((address, port)) as door:
        threading.Thread(target=_serve, args=(door, to), daemon=True).start()
        yield


def _serve(door: socket.socket, to: int) -> None:
    with contextlib.suppress(OSError):  # the door was shut
        while True:
            near, _ = door.accept()
            far = socket.create_connection(("127.0.0.1", to))
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(source, target), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
