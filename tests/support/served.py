"""The portal as a browser meets it: a Redis, a furnished database and uvicorn, all of this run's own and ended with it."""

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.kept import house_kept
from tests.support.ports import port_free
from tests.support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Served:
    """Where the portal answers, the ids of its labs by name, the secret of an open invitation, a class and its first meeting where there is one."""

    url: str
    labs: Mapping[str, str]
    invitation: str
    series: int = 0
    meeting: int = 0


@contextmanager
def served_house() -> Iterator[Served]:
    """Serve a furnished house, in which nothing moves, for as long as the block lasts."""
    with _house() as (environ, stack):
        command = [sys.executable, "-m", "tests.support.house"]
        furnished = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=300)
        if furnished.returncode:
            raise RuntimeError(furnished.stderr)
        yield _serve(environ, stack, furnished.stdout)


@contextmanager
def house_at_work() -> Iterator[Served]:
    """Serve a house whose loops tick, for as long as the block lasts."""
    with _house() as (environ, stack):
        command = [sys.executable, "-m", "tests.support.at_work"]
        loops = stack.enter_context(_running(command, environ, stdout=subprocess.PIPE))
        assert loops.stdout is not None
        facts = loops.stdout.readline().decode()  # it is furnished
        yield _serve(environ, stack, facts)


@contextmanager
def _house() -> Iterator[tuple[dict[str, str], ExitStack]]:
    """A folder, a Redis and an environment of this house's own; what else is entered on the stack ends before them."""
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="gpulab-browser-"))
        port, redis_port = port_free(), port_free()
        environ = _environ(home, port, redis_port)
        stack.enter_context(_running(["redis-server", "--port", str(redis_port), "--bind", "127.0.0.1", "--save", "", "--dir", home], environ))
        wait_for(lambda: _listens(redis_port), within=30, what="Redis answers")
        yield environ, stack


def _serve(environ: dict[str, str], stack: ExitStack, facts: str) -> Served:
    """The portal, answering; `facts` are what the furnishing printed."""
    told, url = json.loads(facts), environ["GPULAB_PORTAL_URL"]
    port = url.rsplit(":", 1)[1]
    command = [sys.executable, "-m", "uvicorn", "portal.asgi:application", "--host", "127.0.0.1", "--port", port, "--log-level", "warning"]
    stack.enter_context(_running(command, environ))
    wait_for(lambda: _answers(f"{url}/accounts/login/"), within=90, what="the portal answers")
    return Served(url, told["labs"], told["invitation"], told.get("series", 0), told.get("meeting", 0))


def _environ(home: str, port: int, redis_port: int) -> dict[str, str]:
    """The environment of every process of the house; nothing of the caller's own GPU Lab reaches it."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("GPULAB_", "DJANGO_"))}
    return bare | {
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "GPULAB_SECRET_KEY": secrets.token_urlsafe(48),
        "GPULAB_HOME": home,
        "GPULAB_DATABASE_URL": f"sqlite:///{home}/db.sqlite3",
        "GPULAB_REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
        "GPULAB_PORTAL_URL": f"http://localhost:{port}",
        "PORT": str(min(max(port, 1024), 65000)),
    }


@contextmanager
def _running(command: list[str], environ: Mapping[str, str], stdout: int = subprocess.DEVNULL) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(command, cwd=ROOT, env=dict(environ), stdout=stdout)
    try:
        yield process
        house_kept(environ, Path(environ["GPULAB_HOME"]))
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{url} answers {error.code}") from error
    except OSError:
        return False
