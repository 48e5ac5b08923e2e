"""The floor under every launch: the same image with the same limits by the engine alone, to Jupyter's own answer."""

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from typing import Any, TypeVar

import docker

from benchmarks.image_start import TOKEN, answers, body

#: Holds on a machine that does much else.
DEADLINE_S = 300.0
POLL_S = 0.01
PATH = "/l/bench/api/status"

T = TypeVar("T")
#: Called between the answer and the end of what was started.
Hold = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Sizes:
    """What every lab of the measurement has."""

    cpus: int = 2
    memory_gib: int = 2
    shm_gib: int = 1
    pids: int = 8192


def at_will() -> None:
    """Hold nothing: end at once."""


class Floor:
    """`docker run` without anything of ours; a context that holds the folder with Jupyter's token."""

    def __init__(self, engine: str, image: str, sizes: Sizes) -> None:
        self.api = docker.APIClient(base_url=engine, version="auto", timeout=120)
        self.image = image
        self.sizes = sizes
        self._folder = tempfile.TemporaryDirectory()

    def __enter__(self) -> "Floor":
        given = Path(self._folder.name)
        given.chmod(0o755)
        (given / "token").write_text(TOKEN)
        (given / "authorized_keys").write_text("# nobody\n")
        (given / "passwd").write_text("root:x:0:0::/root:/bin/sh\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\nlab:x:1000:1000::/workspace:/bin/bash\n")
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()
        self.api.close()

    def config(self) -> dict[str, Any]:
        """The hardened container of benchmarks/image_start.py with the sizes of this measurement."""
        given = Path(self._folder.name)
        made: dict[str, Any] = body(self.image, given, None)
        host, memory = made["HostConfig"], self.sizes.memory_gib << 30
        host |= {"Memory": memory, "MemorySwap": memory, "NanoCpus": self.sizes.cpus * 10**9, "PidsLimit": self.sizes.pids, "ShmSize": self.sizes.shm_gib << 30}
        return made

    def once(self, hold: Hold = at_will) -> float:
        """Seconds from create to the first 200; the container goes when `hold` returns."""
        began = time.perf_counter()
        made = self.api.create_container_from_config(self.config())["Id"]  # type: ignore[no-untyped-call]
        try:
            self.api.start(made)
            port = int(self.api.inspect_container(made)["NetworkSettings"]["Ports"]["8888/tcp"][0]["HostPort"])
            wait(lambda: answers(port, PATH), "a bare container's Jupyter")
            seconds = time.perf_counter() - began
            hold()
            return seconds
        finally:
            self.api.remove_container(made, force=True)


def wait(condition: Callable[[], bool], what: str) -> None:
    """Poll until it is true; TimeoutError in words."""
    until = time.perf_counter() + DEADLINE_S
    while not condition():
        if time.perf_counter() > until:
            raise TimeoutError(f"{what} did not answer within {DEADLINE_S:g} s")
        time.sleep(POLL_S)


def at_once(what: Callable[[int, Hold], T], count: int) -> list[T]:
    """`what(n, hold)` in `count` threads that begin at the same moment, and keep what they started until all have answered."""
    together, answered = Barrier(count), Barrier(count, timeout=DEADLINE_S)

    def hold() -> None:
        answered.wait()

    def one(n: int) -> T:
        together.wait()
        return what(n, hold)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))
