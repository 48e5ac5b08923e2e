"""A container engine that plays back what a real one answered: as many containers as one likes, and every call counted. It refuses to do anything."""

import json
import os
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

#: What a real engine (20.10) says of one of our containers in its list; the names are filled in.
ROW: dict[str, Any] = {
    "Image": "gpulab/pytorch-cuda:2.9.1-cuda12.8",
    "ImageID": "sha256:" + "ab" * 32,
    "Command": "/usr/bin/tini -g -- /opt/lab/bin/start",
    "Created": 1763712000,
    "State": "running",
    "Status": "Up 3 hours",
    "HostConfig": {"NetworkMode": "gpulab-test-p1"},
    "NetworkSettings": {
        "Networks": {
            "gpulab-test-p1": {
                "IPAMConfig": None, "Links": None, "Aliases": None, "NetworkID": "cd" * 32, "EndpointID": "ef" * 32, "Gateway": "10.200.0.1",
                "IPAddress": "10.200.0.2", "IPPrefixLen": 28, "IPv6Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0,
                "MacAddress": "02:42:0a:c8:00:02", "DriverOpts": None,
            }
        }
    },
    "Mounts": [
        {"Type": "bind", "Source": f"/var/lib/gpulab/x/{name}", "Destination": f"/etc/{name}", "Mode": "", "RW": False, "Propagation": "rprivate"}
        for name in ("passwd", "group", "secrets")
    ],
}  # fmt: skip


class RecordedEngine:
    """The containers, by name, and the calls so far."""

    def __init__(self, realm: str) -> None:
        self.realm = realm
        self.rows: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []

    def add(self, lab_id: str, attempt: int, port: int) -> None:
        """A running lab."""
        name = f"gpulab-{lab_id}-{attempt}"
        ports = [{"IP": "127.0.0.1", "PrivatePort": inner, "PublicPort": port + n, "Type": "tcp"} for n, inner in enumerate((8888, 2222))]
        labels = {"gpulab.lab": lab_id, "gpulab.attempt": str(attempt), "gpulab.node": self.realm}
        self.rows[name] = ROW | {"Id": name.encode().hex().ljust(64, "0")[:64], "Names": [f"/{name}"], "Labels": labels, "Ports": ports}

    def ends(self, name: str) -> None:
        """Its main process ended with status 1."""
        self.rows[name] |= {"State": "exited", "Status": "Exited (1) 2 seconds ago", "Ports": []}

    def answer(self, path: str) -> Any:
        """The body for a GET of that path, without the version in front."""
        self.calls.append(path)
        if path.startswith("/containers/json"):
            return list(self.rows.values())
        if path.startswith("/containers/") and path.endswith("/json"):
            key = path.split("/")[2]
            return next((self._inspected(row) for name, row in self.rows.items() if key in (name, row["Id"])), None)
        return ""  # logs

    def _inspected(self, row: dict[str, Any]) -> dict[str, Any]:
        running = row["State"] == "running"
        state = {
            "Running": running,
            "ExitCode": 0 if running else 1,
            "OOMKilled": False,
            "Error": "",
            "Pid": os.getpid() if running else 0,
            "Status": row["State"],
        }
        return {
            "Id": row["Id"],
            "Name": row["Names"][0],
            "State": state,
            "Config": {"Labels": row["Labels"]},
            "HostConfig": row["HostConfig"],
            "NetworkSettings": {"Ports": {}},
        }

    @contextmanager
    def served(self, folder: Path) -> Iterator[str]:
        """On a socket in that folder; its address."""
        engine = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path = self.path if self.path.startswith("/version") else "/" + self.path.split("/", 2)[2]
                found = {"ApiVersion": "1.41", "Version": "20.10.24"} if path.startswith("/version") else engine.answer(path)
                body = json.dumps(found).encode() if found != "" else b""
                self.send_response(200 if found is not None else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                self._refused(500)

            def do_DELETE(self) -> None:
                self._refused(404)

            def _refused(self, status: int) -> None:
                engine.calls.append(f"{self.command} /{self.path.split('/', 2)[2].partition('?')[0]}")
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def address_string(self) -> str:
                return "engine"

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the library's name)
                """Say nothing."""

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True

        path = folder / "engine.sock"
        with Server(str(path), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"unix://{path}"
            server.shutdown()
