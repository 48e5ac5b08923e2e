"""The same end of a move on another node: its relay is asked by mutual TLS, and does there what `here` does."""

import contextlib
import http.client
import json
import socket
import ssl
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from worker.carrying.here import CHUNK, Size, Stuck

PATH = "/_gpulab/move/{mark}/{tries}/{verb}"
#: Before the number of a move whose workspace's snapshots are meant.
KEPT = "kept/"
UID_HEADER = "X-GPULab-Uid"
NODE_NAME = "{}.node.gpulab"
CONNECT_S = 5.0
#: The far side says something more often than this, even if only that it is at work.
SILENT_S = 60.0


class _Connection(http.client.HTTPSConnection):
    """To an address, whose certificate must be of that node."""

    def __init__(self, address: tuple[str, int], name: str, context: ssl.SSLContext) -> None:
        super().__init__(name, address[1], context=context, timeout=SILENT_S)
        self._address, self._tls = address, context

    def connect(self) -> None:
        """With a deadline of its own."""
        plain = socket.create_connection(self._address, CONNECT_S)
        plain.settimeout(SILENT_S)
        self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)


@dataclass(frozen=True, slots=True)
class There:
    """One end of one try of a move on the node `node_id`, whose relay is at `address`."""

    name: str
    node_id: str
    address: tuple[str, int]
    context: ssl.SSLContext
    mark: str
    tries: int
    uid: int

    def size(self) -> Size:
        """What is to be carried."""
        return Size(**self._asked("GET", "size"))

    def digest(self) -> Size:
        """What it holds now."""
        return Size(**self._asked("GET", "digest"))

    def room_check(self, size: Size) -> None:
        """Raises Stuck where its disk has no room."""
        self._asked("POST", "room", json.dumps(asdict(size)).encode())

    @contextlib.contextmanager
    def packed(self) -> Iterator[Iterator[bytes]]:
        """Its files as a stream; raises Stuck when it breaks."""
        with self._answer("GET", "tree") as answer:
            yield _chunks(answer)

    def unpack(self, chunks: Iterable[bytes]) -> None:
        """Hand it a stream."""
        try:
            self._asked("PUT", "tree", chunks)
        except Stuck:
            why = self._why()
            if why is None:
                raise
            raise why from None

    def land(self) -> None:
        """Put the arrived copy in place."""
        self._asked("POST", "land")

    def set_aside(self) -> None:
        """What was left behind is no workspace any more."""
        self._asked("POST", "aside")

    def put_back(self) -> None:
        """It is again."""
        self._asked("POST", "back")

    def tidy(self) -> None:
        """Remove what does not count."""
        self._asked("POST", "tidy")

    def _why(self) -> Stuck | None:
        """What the far side says of a stream that it took no more of."""
        try:
            self._asked("GET", "why")
        except Stuck as stuck:
            return stuck if stuck.final else None
        return None

    def _asked(self, method: str, verb: str, body: bytes | Iterable[bytes] | None = None) -> Any:
        with self._answer(method, verb, body) as answer:
            said = answer.read()
        try:
            return _result(said)
        except (ValueError, KeyError) as error:
            raise Stuck(f"Node {self.name} gave no answer that makes sense.") from error

    @contextlib.contextmanager
    def _answer(self, method: str, verb: str, body: bytes | Iterable[bytes] | None = None) -> Iterator[http.client.HTTPResponse]:
        link = _Connection(self.address, NODE_NAME.format(self.node_id), self.context)
        path = PATH.format(mark=self.mark, tries=self.tries, verb=verb)
        try:
            link.request(method, path, body, headers={UID_HEADER: str(self.uid)}, encode_chunked=True)
            answer = link.getresponse()
            if answer.status == http.client.CONFLICT:
                _result(answer.read())
            if answer.status != http.client.OK:
                raise Stuck(f"Node {self.name} refused the move ({answer.status}).")
            yield answer
        except (OSError, http.client.HTTPException) as error:
            raise Stuck(f"The link to node {self.name} broke: {error or type(error).__name__}.") from error
        finally:
            link.close()


def _result(said: bytes) -> Any:
    found = json.loads(said)
    if "stuck" in found:
        raise Stuck(found["stuck"], final=found["final"])
    return found["result"]


def _chunks(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    while chunk := answer.read(CHUNK):
        yield chunk
