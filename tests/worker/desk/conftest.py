"""A file page over a folder of the test, served in this process, and a client that asks as the relay does."""

import base64
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from worker.desk.http import Server
from worker.desk.main import server_of

BASE, TOKEN = "/l/aaaaaaaaaaaa/", "token-of-the-relay"


@dataclass
class Page:
    """The folder, the server, and a client with the token."""

    folder: Path
    server: Server
    client: httpx.Client

    def act(self, do: str, **fields: str) -> httpx.Response:
        """An action as a program asks for it."""
        return self.client.post("act", json={"do": do, **fields}, headers={"Accept": "application/json"})

    def begin(self, name: str, size: int, *, path: str = "", mode: str = "ask") -> httpx.Response:
        """Begin an upload."""
        facts = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in {"filename": name, "path": path, "mode": mode}.items())
        begun = self.client.post("upload", headers={"Tus-Resumable": "1.0.0", "Upload-Length": str(size), "Upload-Metadata": facts})
        if "Location" in begun.headers:
            assert begun.headers["Location"].startswith(BASE)
            begun.headers["Location"] = begun.headers["Location"].removeprefix(BASE)  # the client puts it before all paths
        return begun

    def add(self, place: str, offset: int, content: bytes) -> httpx.Response:
        """Go on with one."""
        headers = {"Tus-Resumable": "1.0.0", "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        return self.client.patch(place, content=content, headers=headers)

    def put(self, name: str, content: bytes, **how: str) -> httpx.Response:
        """All of a file; the last answer."""
        begun = self.begin(name, len(content), **how)
        return self.add(begun.headers["Location"], 0, content) if begun.status_code == 201 and content else begun


@pytest.fixture
def page_of(tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Makes one, with so many bytes of the limit left."""
    made: list[Page] = []

    def make(left: int | None = None) -> Page:
        folder = tmp_path / "workspace"
        folder.mkdir(exist_ok=True)
        token = tmp_path / "token"
        token.write_text(TOKEN)
        plan = {"workspace": str(folder), "host": "127.0.0.1", "port": 0, "base": BASE, "token_file": str(token), "left": left}
        server = server_of(plan | {"portal": "https://gpu.example.edu", "node": "local"})
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        client = httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}{BASE}", headers={"Authorization": f"token {TOKEN}"}, timeout=60)
        made.append(Page(folder, server, client))
        return made[-1]

    yield make
    for one in made:
        one.client.close()
        one.server.shutdown()
        one.server.server_close()


@pytest.fixture
def page(page_of: Callable[..., Page]) -> Page:
    """One without a limit."""
    return page_of()


def tree(folder: Path) -> list[str]:
    """Everything below, the house's own left out."""
    found = [str(path.relative_to(folder)) for path in folder.rglob("*")]
    return sorted(name for name in found if not name.startswith(".gpulab"))
