"""What a runtime promises of file pages: the workspace and nothing else, as its owner, in its limits, with the program packed into one file."""

import http.client
import json
from collections.abc import Callable
from typing import Any

from tests.contracts.runtime_contract import named
from tests.support.waiting import wait_for
from worker.runtimes.base import Desk, LabSpec, Observed, Runtime

Specs = Callable[..., LabSpec]
NOTEBOOK = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {},
    "cells": [
        {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# Eleven\n<script>document.title = 'ran'; parent.document.title = 'ran'</script>"},
        {"cell_type": "code", "id": "b", "metadata": {}, "execution_count": 1, "source": "6*7", "outputs": []},
    ],
}


def asked(seen: Observed, spec: LabSpec, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """One request as the relay makes it."""
    assert seen.jupyter
    connection = http.client.HTTPConnection(*seen.jupyter, timeout=60)
    try:
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, spec.base_url + path, body=body, headers={"Authorization": f"token {spec.token}", **told})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def put(seen: Observed, spec: LabSpec, name: str, content: bytes) -> None:
    """Upload a file in one piece."""
    from base64 import b64encode

    facts = f"filename {b64encode(name.encode()).decode()}"
    status, headers, _ = asked(seen, spec, "POST", "upload", Tus_Resumable="1.0.0", Upload_Length=str(len(content)), Upload_Metadata=facts)
    assert status == 201
    kind = "application/offset+octet-stream"
    place = headers["Location"].removeprefix(spec.base_url)
    assert asked(seen, spec, "PATCH", place, content, Tus_Resumable="1.0.0", Upload_Offset="0", Content_Type=kind)[0] == 204


def sent(seen: Observed, spec: LabSpec) -> dict[str, Any]:
    """The folder that is sent to a store, as the page tells it."""
    return dict(json.loads(asked(seen, spec, "GET", "api/exports")[2])["items"][0])


def answers(seen: Observed, spec: LabSpec) -> bool:
    try:
        return asked(seen, spec, "GET", "api")[0] == 200
    except OSError:
        return False


class DeskContract:
    """The promises; a runtime's test module says how it and its specs are made."""

    def test_a_file_page_serves_the_workspace_alone_within_its_limits_and_ends(self, runtime: Runtime, make_spec: Specs) -> None:
        spec = make_spec(cpus=1, memory_mib=512, shm_mib=16, pids=128, desk=Desk(portal="http://localhost:8000", node="local", left=10_000_000))
        seen = runtime.start(spec)
        assert not runtime.verify(spec).differences
        wait_for(lambda: answers(seen, spec), within=90, what="the file page")
        put(seen, spec, "eleven.ipynb", json.dumps(NOTEBOOK).encode())
        status, _, body = asked(seen, spec, "GET", "api/list")
        listed: dict[str, Any] = json.loads(body)
        assert (status, [one["name"] for one in listed["entries"]]) == (200, ["eleven.ipynb"])
        assert b"eleven.ipynb" in asked(seen, spec, "GET", "")[2]
        assert b"tus" in asked(seen, spec, "GET", "static/vendor/tus/tus.min.js")[2]
        assert asked(seen, spec, "GET", "raw?path=../../etc/passwd")[0] == 400
        assert asked(seen, spec, "GET", "", Authorization="token guessed")[0] == 403
        status, headers, shown = asked(seen, spec, "GET", "notebook?path=eleven.ipynb")
        assert (status, b"Eleven" in shown, headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")) == (200, True, True)
        keys = {"endpoint": "http://127.0.0.1:9", "bucket": "runs", "key": "access", "secret": "of-nobody"}
        body = json.dumps({"do": "send", **keys}).encode()
        assert asked(seen, spec, "POST", "act", body, Content_Type="application/json", Accept="application/json")[0] == 200
        wait_for(lambda: sent(seen, spec)["state"] != "running", within=120, what="the library's word that nobody answers")
        assert "could not be reached (EndpointConnectionError)" in sent(seen, spec)["words"]
        assert not runtime.verify(spec).differences
        owner = runtime.workspace_measure(spec.workspace, 30)
        assert owner and owner.size > 0
        runtime.stop(spec.name, 5.0)
        assert named(runtime, spec.name) is None
