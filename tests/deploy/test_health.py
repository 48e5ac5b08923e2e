"""deploy/health.py: well is 0, unwell is 1, and it never starts Django to find out."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from django.db import connection

from labs.fleet.models import Node

HEALTH = Path(__file__).resolve().parents[2] / "deploy/health.py"


def health(name: str, **environment: str) -> int:
    return subprocess.run([sys.executable, HEALTH, name], env=environment, capture_output=True, check=False, timeout=90).returncode


@contextmanager
def relay_that_answers(status: int) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/_gpulab/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("status", "answer"), [(200, 0), (503, 1)])
def test_a_relay_is_as_well_as_it_says(status: int, answer: int) -> None:
    with relay_that_answers(status) as port:
        assert health("relay", GPULAB_RELAY_BIND=f"127.0.0.1:{port}") == answer


@pytest.mark.parametrize(("banner", "answer"), [(b"SSH-2.0-x\r\n", 0), (b"HTTP/1.1 400", 1)])
def test_a_gateway_is_well_when_it_speaks_ssh(banner: bytes, answer: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            link, _ = server.accept()
            with link:
                link.sendall(banner)

        thread = threading.Thread(target=greet)
        thread.start()
        assert health("ssh", GPULAB_SSH_BIND=f"0.0.0.0:{server.getsockname()[1]}") == answer
        thread.join()


def test_what_does_not_answer_is_not_well() -> None:
    assert health("relay", GPULAB_RELAY_BIND="127.0.0.1:1") == 1
    assert health("ssh", GPULAB_SSH_BIND="127.0.0.1:1") == 1


def test_a_name_that_is_none_is_a_mistake_of_its_own() -> None:
    assert health("nothing") == 2


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("silent_s", "answer"), [(5, 0), (120, 1)])
def test_a_worker_is_well_while_its_node_reports(node: Node, silent_s: int, answer: int) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("a deployment's worker has PostgreSQL")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE fleet_node SET heartbeat_at = now() - %s * interval '1 second'", [silent_s])
    told = connection.get_connection_params()
    url = f"postgres://{told['user']}:{told['password']}@{told['host']}:{told['port']}/{told['dbname']}"
    assert health("worker", GPULAB_DATABASE_URL=url, GPULAB_NODE=node.pk) == answer
