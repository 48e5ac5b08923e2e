"""What stands where a portal should be: sign-in pages of networks, addresses that are none; and lists that come in pages."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from portal.cli import house, show
from portal.cli.client import Api
from portal.cli.config import url_checked
from portal.cli.faults import UNREACHABLE, USAGE, Fault


class Hotel(BaseHTTPRequestHandler):
    """Answers everything with a page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>Accept our terms")

    def log_message(self, *_: object) -> None:
        """Quiet."""


class Paged(Hotel):
    """A portal with one more entry behind the first page."""

    def do_GET(self) -> None:
        behind = None if "cursor=c" in self.path else f"http://gpu.example.edu{self.path}&cursor=c"
        entry = {"place": 1 if behind else 2, "name": None, "gpus": 1, "estimate": None}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"items": [entry], "next": behind}).encode())


@contextmanager
def served(kind: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def hotel() -> Iterator[str]:
    with served(Hotel) as url:
        yield url


def test_a_page_in_place_of_an_answer_is_told_in_words(hotel: str) -> None:
    with pytest.raises(Fault) as told:
        Api(hotel, "none").get("/me")
    assert (told.value.code, told.value.words) == (UNREACHABLE, f"{hotel} answered 200, and not as a portal does.")


@pytest.mark.parametrize("url", ["https://gpu.example.edu:port", "https://[::1", "https://gpu:99999", "ftp://gpu", "https://a@gpu", "http://gpu"])
def test_an_address_that_is_none_is_told_in_words(url: str) -> None:
    with pytest.raises(Fault) as told:
        url_checked(url)
    assert told.value.code == USAGE


def test_the_whole_queue_is_told_page_after_page(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(show, "as_json", True)
    with served(Paged) as url:
        monkeypatch.setenv("GPULAB_URL", url)
        monkeypatch.setenv("GPULAB_TOKEN", "none")
        house.queue()
    assert [row["place"] for row in json.loads(capsys.readouterr().out)] == [1, 2]
