"""What is typed into a lab's terminal, and what the launcher says of the tool that it starts."""

import json
import re
import subprocess
import sys
import threading
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from worker.jupyter import SAID, Jupyter, JupyterFault, line

HOSTILE = "it's $(touch pwned) `touch pwned`; touch pwned \" \\ \n"


def typed(commands: list[list[str]], folder: str, home: Path, within: float = 60.0) -> subprocess.CompletedProcess[str]:
    """A login shell in which the line is typed."""
    words = line([commands, folder, "127.0.0.1", within])
    environment = {"HOME": str(home), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    return subprocess.run(["bash"], input=words.replace("\r", "\n"), env=environment, cwd=home, capture_output=True, text=True, timeout=120, check=False)


def said(ran: subprocess.CompletedProcess[str]) -> dict[str, object]:
    found = SAID.search(ran.stdout)
    assert found, ran
    fact: dict[str, object] = json.loads(found[1])
    return fact


def server(seconds: float) -> list[str]:
    """A tool that listens on its port for so long."""
    code = f"import socket,sys,time;s=socket.create_server((sys.argv[1],int(sys.argv[2])));time.sleep({seconds})"
    return ["python3", "-c", code, "{host}", "{port}", "{folder}"]


def test_a_tool_is_said_to_answer_once_it_does(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    assert 1024 < int(str(said(typed([["no-such-tool"], server(1.0)], "runs", tmp_path))["port"])) < 65536


@pytest.mark.parametrize(
    ("commands", "folder", "error"),
    [([["no-such-tool"]], "", "missing"), ([["true"]], "nowhere", "no folder"), ([["true"]], "", "no answer"), ([["sleep", "30"]], "", "no answer")],
)
def test_what_does_not_start_is_said_in_a_word(tmp_path: Path, commands: list[list[str]], folder: str, error: str) -> None:
    assert said(typed(commands, folder, tmp_path, within=0.3)) == {"error": error}


def test_a_folders_name_reaches_no_shell(tmp_path: Path) -> None:
    assert said(typed([["true"]], HOSTILE, tmp_path)) == {"error": "no folder"}
    assert list(tmp_path.iterdir()) == []


def test_the_line_fits_into_a_terminal_that_is_not_read_yet() -> None:
    text = line([[["code-server", "--auth", "none"] * 5] * 2, "é" * 200, "0.0.0.0", 60])
    assert len(text) < 4095
    assert re.fullmatch(r" exec python3 -c '[\w(),;.\"=+/ ]+' [\w=+/]+\r", text)


class Ending(BaseHTTPRequestHandler):
    """A Jupyter whose terminal is there when it is asked for, and has just ended when it is to be ended."""

    open_terminals: ClassVar[list[dict[str, str]]] = []

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(self.open_terminals).encode())

    def do_DELETE(self) -> None:
        if self.path.endswith("/gone"):
            self.open_terminals.clear()
        self.send_response(404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing to say."""


@pytest.mark.parametrize(("name", "is_fault"), [("gone", False), ("stays", True)])
def test_a_terminal_that_ends_by_itself_meanwhile_is_ended(name: str, is_fault: bool) -> None:
    Ending.open_terminals[:] = [{"name": name}]
    with HTTPServer(("127.0.0.1", 0), Ending) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        jupyter = Jupyter(("127.0.0.1", served.server_port), "/", "a-token")
        with pytest.raises(JupyterFault) if is_fault else nullcontext():
            jupyter.terminal_end(name)
        served.shutdown()


@pytest.mark.parametrize("listed", [b"null", b"[1]", b"{}", b"[{}]", b"<html>"])
def test_terminals_that_are_listed_otherwise_are_a_fault_and_no_crash(listed: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.jupyter.ask", lambda **_: (200, listed))
    with pytest.raises(JupyterFault):
        Jupyter(("127.0.0.1", 1), "/", "token").terminals()
