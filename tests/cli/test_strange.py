"""What stands where a portal should be: sign-in pages of networks, addresses that are none."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

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


@pytest.fixture
def hotel() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Hotel)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_page_in_place_of_an_answer_is_told_in_words(hotel: str) -> None:
    with pytest.raises(Fault) as told:
        Api(hotel, "none").get("/me")
    assert (told.value.code, told.value.words) == (UNREACHABLE, f"{hotel} answered 200, and not as a portal does.")


@pytest.mark.parametrize("url", ["https://gpu.example.edu:port", "https://[::1", "https://gpu:99999", "ftp://gpu", "https://a@gpu", "http://gpu"])
def test_an_address_that_is_none_is_told_in_words(url: str) -> None:
    with pytest.raises(Fault) as told:
        url_checked(url)
    assert told.value.code == USAGE
