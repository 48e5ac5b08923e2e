"""A lab's own Jupyter, spoken to from its node: its terminals, in which the house runs tools for the lab's owner."""

import base64
import json
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from worker.asking import Unanswered, ask, understood

DEADLINE_S = 5
#: What the launcher says, and where it is.
SAID = re.compile(r"\x1b\]7700;(\{[^\x07]*\})\x07")
LAUNCHER = Path(__file__).parent / "launcher.py"
#: What a terminal printed before is sent at once; more than Jupyter keeps of that is nothing that it sent.
MOST_AT_ONCE = 64 * 1024 * 1024
#: So much of what a terminal prints is looked through at most.
LOOKED_THROUGH = 64 * 1024


class JupyterFault(Exception):
    """Jupyter does not answer, or not as it should."""


@dataclass(frozen=True, slots=True)
class Jupyter:
    """Where it answers, the path that it serves under, and the token that it asks for."""

    address: tuple[str, int]
    base_url: str
    token: str

    def terminals(self) -> set[str]:
        """The names of the terminals that are open."""
        found = self._asked("GET", "api/terminals")
        if not isinstance(found, list) or not all(isinstance(one, dict) and "name" in one for one in found):
            raise JupyterFault("its terminals are not listed as Jupyter lists them")
        return {str(one["name"]) for one in found}

    def terminal_open(self, name: str) -> None:
        """Open a terminal of that name; one that is open stays as it is."""
        if name not in self.terminals():
            self._asked("POST", "api/terminals", {"name": name})

    def terminal_end(self, name: str) -> None:
        """End a terminal and what runs in it; nothing happens where there is none, or where it has just ended by itself."""
        if name not in self.terminals():
            return
        try:
            self._asked("DELETE", f"api/terminals/{name}")
        except JupyterFault:
            if name in self.terminals():
                raise

    def tool_start(self, name: str, given: list[Any], *, within: float) -> dict[str, Any]:
        """Run the launcher in the terminal; what it says: `port`, or `error` (a word of its own). JupyterFault if it says nothing in time."""
        return self.said(name, line(given), within=within)

    def said(self, name: str, typed: str, *, within: float) -> dict[str, Any]:
        """Type a line into the terminal; what the program of the house that it runs says. JupyterFault if it says nothing in time."""
        url = f"ws://{self.address[0]}:{self.address[1]}{self.base_url}terminals/websocket/{name}"
        until, heard = monotonic() + within, ""
        try:
            with connect(url, additional_headers=self._headers(), open_timeout=DEADLINE_S, max_size=MOST_AT_ONCE) as socket:
                socket.send(json.dumps(["stdin", typed]))
                while not (said := SAID.search(heard)):
                    if monotonic() >= until:
                        raise TimeoutError("it says other things, on and on")
                    kind, *text = json.loads(socket.recv(timeout=max(until - monotonic(), 0.01)))
                    if kind == "disconnect":
                        break
                    heard = (heard + str(text[0]))[-LOOKED_THROUGH:] if kind == "stdout" else heard
        except (OSError, ValueError, TypeError, LookupError, RecursionError, WebSocketException) as error:
            raise JupyterFault(f"the terminal {name} said nothing: {error}") from error
        if said is None:
            raise JupyterFault(f"the terminal {name} ended: {heard[-300:]!r}")
        fact = understood(said[1].encode())
        if not isinstance(fact, dict):
            raise JupyterFault(f"the terminal {name} said something else")
        return fact

    def file_put(self, name: str, content: bytes) -> None:
        """Put a file at the top of the workspace, as the lab's user."""
        self._asked("PUT", f"api/contents/{name}", {"type": "file", "format": "base64", "content": base64.b64encode(content).decode()})

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self.token}"}

    def _asked(self, method: str, path: str, body: Any = None) -> Any:
        headers = self._headers() | ({"Content-Type": "application/json"} if body else {})
        text = json.dumps(body) if body else None
        try:
            status, said = ask(address=self.address, path=self.base_url + path, within=DEADLINE_S, method=method, headers=headers, body=text)
        except Unanswered as error:
            raise JupyterFault(str(error)) from error
        if status >= 300:
            raise JupyterFault(f"{method} {path} is answered with {status}")
        return understood(said)


def line(given: list[Any]) -> str:
    """What is typed: the launcher, packed, and its argument, both in letters that no shell reads anything into."""
    program = base64.b64encode(zlib.compress(LAUNCHER.read_bytes(), 9)).decode()
    argument = base64.b64encode(json.dumps(given).encode()).decode()
    return f" exec python3 -c 'import base64,zlib;exec(zlib.decompress(base64.b64decode(\"{program}\")))' {argument}\r"
