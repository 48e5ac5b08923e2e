"""What the idle loop sees and where it writes, with real sockets and a real terminal."""

import itertools
import os
import pty
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from labs.idleness.models import Idleness
from labs.lifecycle import states
from labs.lifecycle.models import Lab
from labs.people.models import User
from tests.support.waiting import wait_for
from worker.asking import Unanswered, ask
from worker.hands import Hands
from worker.loops import idle
from worker.runtimes.fake import FakeRuntime
from worker.sockets import connections_to
from worker.terminals import terminals_write


def test_an_open_connection_counts_once_and_a_closed_one_no_more() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert connections_to(port) == 0
        with closing(socket.create_connection(("127.0.0.1", port))), closing(server.accept()[0]):
            assert connections_to(port) == 1
        wait_for(lambda: connections_to(port) == 0, what="the end of the connection")


@pytest.fixture
def shell() -> Iterator[tuple[int, int]]:
    """A process with a terminal: its pid, and the end at which a person sits."""
    person, terminal = pty.openpty()
    process = subprocess.Popen(["sleep", "60"], stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True)
    os.close(terminal)
    yield process.pid, person
    process.kill()
    process.wait()
    os.close(person)


def test_words_reach_every_terminal_once(shell: tuple[int, int]) -> None:
    pid, person = shell
    assert terminals_write(pids=[pid, pid], words="It is stopped in 5 minutes.") == 1
    assert b"*** GPU Lab: It is stopped in 5 minutes. ***" in os.read(person, 1000)


def test_a_process_that_is_gone_and_one_without_a_terminal_are_no_matter(shell: tuple[int, int]) -> None:
    process = subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert terminals_write(pids=[process.pid, 4_000_000, shell[0]], words="x") == 1
    finally:
        process.kill()
        process.wait()


class Jupyter(BaseHTTPRequestHandler):
    """Answers as Jupyter does; the real one is asked in tests/journeys."""

    kernels, terminals = b"[]", b"[]"

    def do_GET(self) -> None:
        asked = self.headers.get("Authorization", "").startswith("token ")
        body = self.kernels if self.path.endswith("api/kernels") else self.terminals
        self.send_response(200 if asked else 403)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def running(alice: User, lab_of: Callable[..., Lab], now: datetime) -> Iterator[Lab]:
    """Alice's lab, whose Jupyter answers."""
    server = HTTPServer(("127.0.0.1", 0), Jupyter)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    lab = lab_of(alice)
    place = {"jupyter_host": "127.0.0.1", "jupyter_port": server.server_port}
    Lab.objects.filter(pk=lab.pk).update(state=states.RUNNING, node_id="n1", started_at=now, state_since=now, ends_at=now + timedelta(hours=9), **place)
    lab.refresh_from_db()
    yield lab
    server.shutdown()
    server.server_close()


def test_kernels_and_terminals_are_read_as_jupyter_tells_them(running: Lab, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Jupyter, "kernels", b'[{"execution_state": "busy", "last_activity": "2026-03-02T11:00:00.5Z"}, {"execution_state": "idle"}]')
    monkeypatch.setattr(Jupyter, "terminals", b'[{"name": "1", "last_activity": "2026-03-02T11:30:00Z"}]')
    signs = idle.signs_of(lab=running, now=now)
    assert (signs.jupyter, signs.kernels, signs.kernels_busy, signs.terminals) == (True, 2, 1, 1)
    assert signs.kernel_at == datetime.fromisoformat("2026-03-02T11:00:00.5Z")
    assert signs.terminal_at == datetime.fromisoformat("2026-03-02T11:30:00Z")


def test_a_jupyter_that_does_not_answer_is_not_called_unused(running: Lab, now: datetime) -> None:
    running.jupyter_port = 1
    assert not idle.signs_of(lab=running, now=now).jupyter


def test_a_warning_is_written_to_the_labs_terminals_and_has_arrived_by_that(
    running: Lab, now: datetime, shell: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = FakeRuntime()
    monkeypatch.setattr(runtime, "processes", lambda name: [shell[0]])
    monkeypatch.setattr(idle, "lab_usage_recent", lambda lab_id: [{"at": (now + timedelta(minutes=31)).timestamp(), "cpu_pct": 0.0, "gpus": []}])
    Idleness.objects.create(lab=running, used_at=now, seen_at=now, limit_min=60)
    idle.tick(hands=Hands(node_id="n1", runtime=runtime, probe=None), now=now + timedelta(minutes=31))  # type: ignore[arg-type]
    assert b"Nothing has used lab" in os.read(shell[1], 1000)
    assert Idleness.objects.get().delivered_at is not None


NONSENSE = {
    "numbers": b"[1]",
    "an object": b'{"no": "list"}',
    "half": b"[[",
    "a deep one": b"[" * 200_000,
    "no moment": b'[{"last_activity": "yesterday"}]',
    "a number": b'[{"last_activity": 7}]',
    "no zone": b'[{"last_activity": "2026-03-02T11:00:00"}]',
}


@pytest.mark.parametrize("said", NONSENSE.values(), ids=NONSENSE)
def test_whatever_a_lab_answers_the_others_are_looked_at_too(said: bytes, running: Lab, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Jupyter, "kernels", said)
    signs = idle.signs_of(lab=running, now=now)
    assert (signs.kernel_at, signs.kernels_busy) == (None, 0)


def test_a_lab_that_answers_a_byte_at_a_time_is_not_listened_to_for_ever() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            with server.accept()[0] as link, suppress(OSError):
                for byte in itertools.cycle(b"HTTP/1.1 200 OK\r\nX: "):
                    link.sendall(bytes([byte]))
                    time.sleep(0.05)

        threading.Thread(target=drip, daemon=True).start()
        began = time.monotonic()
        with pytest.raises(Unanswered):
            ask(address=server.getsockname(), path="/", within=0.5)
        assert time.monotonic() - began < 30


def test_a_file_with_a_terminals_name_is_left_alone(tmp_path: Path) -> None:
    """A lab without walls may show itself whatever `/dev/pts` it likes."""
    inside = tmp_path / "7" / "root" / "dev" / "pts"
    inside.mkdir(parents=True)
    (inside / "3").write_text("mine")
    (tmp_path / "7" / "fd").mkdir()
    (tmp_path / "7" / "fd" / "0").symlink_to("/dev/pts/3")
    assert terminals_write(pids=[7], words="x", proc=tmp_path) == 0
    assert (inside / "3").read_text() == "mine"
