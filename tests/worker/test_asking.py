"""Questions by HTTP to programs in labs: what answers is their owner's to write, down to the last byte."""

import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from worker.asking import TooLong, Unanswered, ask, understood

Answering = Callable[..., tuple[str, int]]
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
MIB = 1024 * 1024


@pytest.fixture
def answering() -> Iterator[Answering]:
    """A server that gives one answer as these bytes, and goes on with `then` until nobody listens."""
    servers: list[socket.socket] = []

    def begin(answer: bytes, then: bytes = b"") -> tuple[str, int]:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def serve() -> None:
            with suppress(OSError), server.accept()[0] as link:
                link.recv(65536)
                link.sendall(answer)
                while then:
                    link.sendall(then)

        threading.Thread(target=serve, daemon=True).start()
        host, port = server.getsockname()
        return host, port

    yield begin
    for server in servers:
        server.close()


def _asked(address: tuple[str, int], most: int = MIB) -> tuple[int, bytes]:
    return ask(address=address, path="/", within=2, most=most)


def test_an_answer_comes_whole_in_parts_or_at_once(answering: Answering) -> None:
    assert _asked(answering(CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")) == (200, b"abcde")
    assert _asked(answering(b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno")) == (404, b"no")


@pytest.mark.parametrize("size", [b"-5", b"zz", b"-0x1", b""], ids=["below-nothing", "no-number", "hexadecimal", "none"])
def test_a_part_of_a_strange_length_is_no_answer(answering: Answering, size: bytes) -> None:
    with pytest.raises(Unanswered):
        _asked(answering(CHUNKED + size + b"\r\nabc"))


def test_a_part_without_an_end_takes_no_memory(answering: Answering) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(Unanswered):
        _asked(answering(CHUNKED + b"-1\r\n", then=b"x" * MIB))
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 64


def test_more_than_is_taken_is_told_from_what_was_cut_off(answering: Answering) -> None:
    with pytest.raises(TooLong):
        _asked(answering(b"HTTP/1.1 200 OK\r\n\r\n", then=b"x" * MIB))
    with pytest.raises(Unanswered) as cut:
        _asked(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"))
    assert not isinstance(cut.value, TooLong)


def test_what_is_no_json_is_nothing() -> None:
    assert [understood(said) for said in (b"[1]", b"", b"{", b"[" * 200_000, b"\xff")] == [[1], None, None, None, None]
