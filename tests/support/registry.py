"""A real registry on loopback (Debian's docker-registry), a slow door in front of it, and small images to put into it."""

import contextlib
import io
import os
import shutil
import socket
import subprocess
import tarfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.ports import port_free
from tests.support.waiting import wait_for

CONFIG = """version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {root}}}, delete: {{enabled: true}}}}
http: {{addr: 127.0.0.1:{port}}}
{auth}"""
AUTH = "auth: {{htpasswd: {{realm: tests, path: {file}}}}}\n"
#: "ada" and "byron-1815", as htpasswd -B writes it.
PERSON, SECRET = "ada", "byron-1815"
PIECE = 16 * 1024


@dataclass
class Registry:
    """Listens on `port`; `address` is the first part of a reference."""

    folder: Path
    port: int
    auth: Path | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def up(self) -> None:
        """Start it, or start it again with what it held."""
        file = self.folder / "registry.yml"
        auth = AUTH.format(file=self.auth) if self.auth else ""
        file.write_text(CONFIG.format(root=self.folder / "store", port=self.port, auth=auth))
        self.process = subprocess.Popen(["docker-registry", "serve", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self._answers, within=30, what="the registry")

    def down(self) -> None:
        """End it; what it holds stays."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False


def registry_made(folder: Path, *, auth: Path | None = None) -> Registry:
    """A registry that runs; without Debian's package a failure in CI, a skip elsewhere."""
    if shutil.which("docker-registry") is None:
        message = "needs docker-registry (.ci/install)"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    folder.mkdir(parents=True, exist_ok=True)
    made = Registry(folder, port_free(), auth)
    made.up()
    return made


class SlowDoor:
    """Passes bytes on to a registry, `rate` bytes a second; `cut` ends every link and takes no new one."""

    def __init__(self, *, to: int, rate: int) -> None:
        self.rate = rate
        self.passed = 0
        self._to = to
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                self._open += [client, server]
                threading.Thread(target=self._carry, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._carry, args=(server, client, True), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, slow: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(PIECE):
                target.sendall(piece)
                if slow:
                    self.passed += len(piece)
                    time.sleep(len(piece) / self.rate)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def links(self) -> int:
        """Links from an engine that are open now."""
        table = Path("/proc/net/tcp").read_text().splitlines()[1:]
        mine = f"0100007F:{self.port:04X}"
        return sum(1 for row in table if row.split()[1] == mine and row.split()[3] == "01")

    def cut(self) -> None:
        """Gone, from one moment to the next."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def layer(megabytes: int, *, seed: bytes = b"") -> bytes:
    """A tar with a file that does not compress, and a word of its own."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in (("data", os.urandom(megabytes * 1_000_000)), ("word", seed or os.urandom(8))):
            about = tarfile.TarInfo(name)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    return out.getvalue()


def image_put(api: Any, reference: str, *, megabytes: int = 1, changes: tuple[str, ...] = (), login: tuple[str, str] | None = None) -> str:
    """Make a small image, push it under the reference and take it from the engine again; its digest in the registry."""
    repository, _, tag = reference.rpartition(":")
    api.import_image_from_data(layer(megabytes), repository=repository, tag=tag, changes=list(changes))
    auth = {"username": login[0], "password": login[1]} if login else None
    for line in api.push(repository, tag=tag, stream=True, decode=True, auth_config=auth):
        assert "error" not in line, line
    digest = next(one for one in api.inspect_image(reference)["RepoDigests"] if one.startswith(repository)).partition("@")[2]
    api.remove_image(reference, force=True)
    return str(digest)


def digest_of(address: str, name: str, tag: str) -> str:
    """What the registry itself says that a tag is."""
    kinds = "application/vnd.docker.distribution.manifest.v2+json"
    asked = urllib.request.Request(f"http://{address}/v2/{name}/manifests/{tag}", headers={"Accept": kinds}, method="HEAD")
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return str(answer.headers["Docker-Content-Digest"])


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """One for a module's tests."""
    made = registry_made(tmp_path_factory.mktemp("registry"))
    yield made
    made.down()
