"""A workspace without room, in the real image on the real engine: its Jupyter says it in words."""

import http.client
import json
from typing import Any

import docker
import pytest

from tests.contracts.engine import NODE, api, engine_address, engine_image, gateway, inside, make_spec, runtime  # noqa: F401  (fixtures)
from tests.contracts.runtime_contract import jupyter_of, ready
from worker.runtimes.base import LABEL_NODE, LabSpec, Observed
from worker.runtimes.mounts import Room

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]
GIB = 1024**3


@pytest.fixture
def small(api: Any, make_spec: Any):
    """The spec of a lab whose workspace holds 8 MiB."""
    spec = make_spec()
    options = {"type": "tmpfs", "device": "tmpfs", "o": f"size=8m,uid={spec.uid},gid={spec.gid},mode=700"}
    api.create_volume(spec.workspace, driver="local", driver_opts=options, labels={LABEL_NODE: NODE})
    yield spec
    for remove in (lambda: api.remove_container(spec.name, force=True), lambda: api.remove_volume(spec.workspace)):
        try:
            remove()
        except docker.errors.APIError:
            continue


def _save(seen: Observed, spec: LabSpec, path: str, text: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(*jupyter_of(seen), timeout=60)
    headers = {"Authorization": f"token {spec.token}", "Content-Type": "application/json"}
    connection.request("PUT", f"{spec.base_url}api/contents/{path}", json.dumps({"type": "file", "format": "text", "content": text}), headers)
    answer = connection.getresponse()
    said = json.load(answer)
    connection.close()
    return answer.status, said.get("message", "")


def test_a_save_without_room_is_told_in_words_and_so_is_a_new_file_above_the_quota(runtime: Any, small: LabSpec, api: Any) -> None:
    seen = ready(runtime, small)
    assert _save(seen, small, "run.py", "old")[0] == 201
    runtime.room_tell(small.name, Room(51 * GIB, 50 * GIB, "https://gpu.example.edu/quota/"))
    assert _save(seen, small, "run.py", "old\n")[0] == 200
    status, words = _save(seen, small, "new.py", "x")
    assert (status, words.partition(":")[0]) == (507, "Your workspace is over its quota")
    runtime.room_tell(small.name, Room(1 * GIB, 50 * GIB, "https://gpu.example.edu/quota/"))
    assert _save(seen, small, "new.py", "x")[0] == 201
    inside(api, small, "sh", "-c", "cat /dev/zero > /workspace/filler")
    status, words = _save(seen, small, "run.py", "new" * 10_000)
    assert (status, words.partition(":")[0]) == (507, "The disk that your workspace lies on is full")
    assert inside(api, small, "cat", "/workspace/run.py") == (0, "old\n")
