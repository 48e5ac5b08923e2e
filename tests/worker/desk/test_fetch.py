"""Files from the web: whole, under their own name, or not at all."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.support.waiting import wait_for
from tests.worker.desk.conftest import Page, tree
from worker.desk.errors import Wrong
from worker.desk.fetch import url_check

CONTENT = b"0123456789" * 100_000


class _Site(BaseHTTPRequestHandler):
    """A site with a file, a redirect, a lie about a length, and a leap to a file of the machine."""

    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/data/set%20one.bin?x=1")
            self.end_headers()
            return
        if self.path == "/leap":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
            return
        if self.path == "/nonsense":
            self.send_response(302)
            self.send_header("Location", f"http://{'x' * 70}.example.org/")
            self.end_headers()
            return
        if self.path == "/gone":
            self.send_error(404, "Not Found")
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT) + (5 if self.path == "/cut" else 0)))
        if self.path == "/named":
            self.send_header("Content-Disposition", 'attachment; filename="../../etc/cron.d/evil"')
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def fetched(page: Page, url: str) -> dict[str, Any]:
    """Begin, and wait for its end."""
    assert page.act("fetch", path="", url=url).status_code == 200

    def over() -> dict[str, Any] | None:
        one = page.client.get("api/fetches").json()["items"][0]
        return one if one["state"] != "running" else None

    return wait_for(over, within=30, what="the end of the fetch")


@pytest.mark.parametrize(
    ("path", "name"), [("/data.csv", "data.csv"), ("/moved", "moved"), ("/named", "evil"), ("/", "download"), ("/übung.csv?o=ö", "übung.csv")]
)
def test_a_file_comes_whole_under_its_own_name(page: Page, site: str, path: str, name: str) -> None:
    one = fetched(page, site + path)
    assert (one["state"], one["got"], one["name"]) == ("done", len(CONTENT), name)
    assert tree(page.folder) == [name]
    assert (page.folder / name).read_bytes() == CONTENT


@pytest.mark.parametrize(("path", "words"), [("/gone", "answered 404"), ("/cut", "broke off"), ("/leap", "not allowed"), ("/nonsense", "no sense")])
def test_what_breaks_leaves_nothing_and_says_why(page: Page, site: str, path: str, words: str) -> None:
    one = fetched(page, site + path)
    assert one["state"] == "failed"
    assert words in one["words"]
    assert tree(page.folder) == []
    assert [path.name for path in (page.folder / ".gpulab/uploads").iterdir()] == []


def test_a_second_file_of_a_name_is_kept_beside_and_the_limit_holds(page_of: Callable[..., Page], site: str) -> None:
    page = page_of(left=2_500_000)
    assert [fetched(page, f"{site}/a.bin")["name"] for _ in range(2)] == ["a.bin", "a (2).bin"]
    one = fetched(page, f"{site}/a.bin")
    assert (one["state"], "of your disk limit are left" in one["words"]) == ("failed", True)


@pytest.mark.parametrize(
    "url", ["", "ftp://x/y", "file:///etc/passwd", "http://", "https://a b", "http://a\n/", "//x/y", "javascript:alert(1)", "http://x:99999/"]
)
def test_only_addresses_of_the_web_are_fetched(url: str) -> None:
    with pytest.raises(Wrong):
        url_check(url)
