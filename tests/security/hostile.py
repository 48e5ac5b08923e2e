"""A portal, a relay and two labs for a browser: alice has opened a hostile notebook in lab A, and somebody's lab B runs beside it.

With an origin a lab, B is alice's own second lab, which her browser has a pass for. With one host for all labs B is bob's: labs of
one person share an origin there, which is why nobody ever enters another's. Run as a program it furnishes the database.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import django
from django.utils import timezone

if __name__ == "__main__":  # models can be imported only once the apps are loaded
    django.setup()

from tests.support.pages import PASSWORD
from tests.support.ports import port_free
from tests.support.served import ROOT, _answers, _environ, _listens, _running
from tests.support.waiting import wait_for

PAGE = b"<!doctype html><title>notebook</title><h1>A notebook</h1><p id=secret>only-in-this-lab</p>"
DRIP_S = 0.05
WORKER = b"self.addEventListener('fetch', event => event.respondWith(new Response('owned')));"


@dataclass
class LabServer:
    """What a lab's own server does, which its owner writes: it records all that reaches it, and answers with bad intent."""

    port: int = 0
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator["LabServer"]:
        """Serve for as long as the block lasts."""
        seen = self.seen

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                seen.append((self.command, self.path, dict(self.headers.items())))
                path = self.path.partition("?")[0]
                if path.endswith("/drip"):
                    self.drip()
                    return
                self.send_response(302 if path.endswith("/away") else 200)
                for name, value in _headers(path, self.headers.get("Host", "")).items():
                    self.send_header(name, value)
                body = WORKER if path.endswith("/worker.js") else PAGE
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815  (the names are the server's)

            def drip(self) -> None:
                self.send_response(200)
                self.end_headers()
                try:
                    while True:
                        self.wfile.write(b"data: still here\n\n")
                        time.sleep(DRIP_S)
                except OSError:
                    return

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()


def _headers(path: str, host: str) -> dict[str, str]:
    """What a hostile server would send."""
    sent = {"Content-Type": "text/javascript" if path.endswith(".js") else "text/html", "Access-Control-Allow-Origin": "*", "Service-Worker-Allowed": "/"}
    if path.endswith("/toss"):
        sent["Set-Cookie"] = f"gpulab_session=tossed; Domain={host.partition(':')[0].split('.')[-1]}; Path=/"
    if path.endswith("/away"):
        sent["Location"] = "https://evil.example/"
    return sent


@dataclass(frozen=True)
class Hostile:
    """Where everything is. `home` holds the database."""

    mode: str
    portal: str
    labs_port: int
    ids: dict[str, str]
    notebook: LabServer
    other: LabServer
    environ: dict[str, str]
    web: "subprocess.Popen[bytes]"
    stack: ExitStack

    def origin(self, lab: str) -> str:
        """Where the lab's pages are: lab "a" or "b"."""
        host = "127.0.0.1" if self.mode == "single" else f"lab-{self.ids[lab]}.localhost"
        return f"http://{host}:{self.labs_port}"

    def url(self, lab: str, path: str = "lab") -> str:
        """A page of the lab."""
        return f"{self.origin(lab)}/l/{self.ids[lab]}/{path}"

    def web_again(self) -> None:
        """Start the portal anew after it was killed; it ends with the house."""
        self.stack.enter_context(_running(_uvicorn(self.portal), self.environ))
        wait_for(lambda: _answers(f"{self.portal}/accounts/login/"), within=90, what="the portal answers")

    def ask(self, question: str) -> Any:
        """What the database says now."""
        program = f"import django, json; django.setup()\nfrom labs.lifecycle.models import Lab\nprint(json.dumps({question}))"
        found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=self.environ, capture_output=True, text=True, check=True)
        return json.loads(found.stdout)


def _uvicorn(url: str) -> list[str]:
    port = url.rpartition(":")[2]
    return [sys.executable, "-m", "uvicorn", "portal.asgi:application", "--host", "127.0.0.1", "--port", port, "--log-level", "warning"]


@dataclass(frozen=True)
class Furnished:
    """A database with people and labs in `home`, and the labs' servers."""

    home: Path
    secret: dict[str, str]
    ids: dict[str, str]
    notebook: LabServer
    other: LabServer


@contextmanager
def furnished_home(home: Path) -> Iterator[Furnished]:
    """Furnish it once, for both ways of naming labs."""
    with LabServer().running() as notebook, LabServer().running() as other:
        environ = _environ(str(home), 8000, 1)
        command = [sys.executable, "-m", "tests.security.hostile", str(notebook.port), str(other.port)]
        told = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=280)
        if told.returncode:
            raise RuntimeError(told.stderr)
        yield Furnished(home, {"GPULAB_SECRET_KEY": environ["GPULAB_SECRET_KEY"]}, json.loads(told.stdout), notebook, other)


@contextmanager
def hostile_house(mode: str, made: Furnished) -> Iterator[Hostile]:
    """Serve it; `mode` is that of GPULAB_LABS_ORIGIN."""
    with ExitStack() as stack:
        port, redis_port, labs_port, bytes_port = (port_free() for _ in range(4))
        domain = "127.0.0.1" if mode == "single" else "localhost"
        binds = {"GPULAB_RELAY_BIND": f"127.0.0.1:{labs_port}", "GPULAB_RELAY_BYTES_BIND": f"127.0.0.1:{bytes_port}"}
        environ = _environ(str(made.home), port, redis_port) | made.secret | binds | {"GPULAB_LABS_ORIGIN": mode, "GPULAB_LABS_DOMAIN": domain}
        stack.enter_context(_running(["redis-server", "--port", str(redis_port), "--bind", "127.0.0.1", "--save", "", "--dir", str(made.home)], environ))
        web = stack.enter_context(_running(_uvicorn(environ["GPULAB_PORTAL_URL"]), environ))
        stack.enter_context(_running([sys.executable, "manage.py", "relay"], environ))
        wait_for(lambda: _listens(labs_port), within=90, what="the relay listens")
        wait_for(lambda: _answers(f"http://localhost:{port}/accounts/login/"), within=90, what="the portal answers")
        ids = made.ids | {"b": made.ids["bobs" if mode == "single" else "b"]}
        yield Hostile(mode, f"http://localhost:{port}", labs_port, ids, made.notebook, made.other, environ, web, stack)


def furnish(notebook_port: int, other_port: int) -> dict[str, str]:
    """Two people with three running labs, two administrators, at those ports; their ids."""
    from django.core.management import call_command

    from labs.catalogue.models import Image
    from labs.fleet.models import Node, NodeImage
    from labs.lifecycle.models import Lab
    from labs.lifecycle.moves import lab_assign, lab_ready
    from labs.lifecycle.services import lab_request
    from labs.lifecycle.wishes import Wish
    from labs.people.services import person_create

    call_command("migrate", verbosity=0)
    now = timezone.now()
    people = {
        name: person_create(email=f"{name}@example.edu", display_name=name.capitalize(), role=role, group=None, actor=None, now=now, password=PASSWORD)
        for name, role in (("root", "administrator"), ("ruth", "administrator"), ("alice", "researcher"), ("bob", "researcher"))
    }
    image = Image.objects.create(slug="pytorch", title="PyTorch 2.9", repository="gpulab/pytorch-cuda", tag="test", torch="2.9.1", cuda="12.8", created_at=now)
    node = Node.objects.create(pk="local", name="local", runtime="docker", cpus=64, memory_mib=512 * 1024, heartbeat_at=now, gpu_ready=True)
    NodeImage.objects.create(node=node, image=image, state="present", percent=100, updated_at=now)
    ids = {}
    for name, owner, port in (("a", "alice", notebook_port), ("b", "alice", other_port), ("bobs", "bob", other_port)):
        wish = Wish(image_id=image.pk, name=f"lab-{name}", gpus=0, cpus=1, memory_gib=2, hours=4)
        lab = lab_request(owner=people[owner], wish=wish, now=now, actor=people[owner])
        lab_assign(lab_id=lab.pk, node_id="local", gpu_uuids=[], now=now)
        lab_ready(lab_id=lab.pk, attempt=1, verified={}, not_held=[], now=now)
        Lab.objects.filter(pk=lab.pk).update(jupyter_host="127.0.0.1", jupyter_port=port)
        ids[name] = lab.pk
    return ids


if __name__ == "__main__":
    print(json.dumps(furnish(int(sys.argv[1]), int(sys.argv[2]))))
