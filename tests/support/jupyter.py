"""Talking to a Jupyter server as a notebook does: a kernel over REST, a cell over its websocket."""

import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping

from websockets.sync.client import connect


def status_of(url: str, headers: Mapping[str, str]) -> int:
    """The HTTP status of a GET; 0 when nothing answers."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=dict(headers)), timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def kernel_start(base: str, headers: Mapping[str, str]) -> str:
    """A new Python kernel's id. `base` ends with the lab's /l/<id>/."""
    request = urllib.request.Request(f"{base}api/kernels", data=b'{"name": "python3"}', headers={**headers, "Content-Type": "application/json"}, method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(json.load(answer)["id"])


def cell_run(base: str, headers: Mapping[str, str], code: str, *, within: float = 60.0) -> str:
    """Run a cell in a kernel of its own; what it printed. An error of the cell fails the test with its traceback."""
    kernel = kernel_start(base, headers)
    url = f"{base.replace('http', 'ws', 1)}api/kernels/{kernel}/channels"
    asked = uuid.uuid4().hex
    content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
    header = {"msg_id": asked, "msg_type": "execute_request", "username": "", "session": asked, "version": "5.3"}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell", "buffers": []}
    printed, deadline = "", time.monotonic() + within
    with connect(url, additional_headers=dict(headers), open_timeout=30, max_size=None) as socket:
        socket.send(json.dumps(message))
        while time.monotonic() < deadline:
            answer = json.loads(socket.recv(timeout=max(0.1, deadline - time.monotonic())))
            if answer["parent_header"].get("msg_id") != asked:
                continue
            if answer["msg_type"] == "stream":
                printed += answer["content"]["text"]
            elif answer["msg_type"] == "error":
                raise AssertionError("\n".join(answer["content"]["traceback"]))
            elif answer["msg_type"] == "status" and answer["content"]["execution_state"] == "idle":
                return printed
    raise AssertionError(f"the cell did not end within {within:g} s; it printed {printed!r}")
