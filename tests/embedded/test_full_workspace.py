"""What a person sees in Jupyter when nothing more can be written to the workspace: JupyterLab's own server, and a file system that is really full."""

import base64
import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.embedded.conftest import IMAGE, TOKEN
from tests.embedded.test_process_runtime import lab_up, url_of
from worker.runtimes.base import LabSpec
from worker.runtimes.mounts import Room
from worker.runtimes.process.runtime import ProcessRuntime

pytestmark = [pytest.mark.timeout(600), pytest.mark.skipif(os.geteuid() != 0, reason="needs root: only root can mount a small file system")]
GIB, MIB = 1024**3, 1024**2
ASK = "https://gpu.example.edu/quota/"
SIZE_MIB = 24


@dataclass(frozen=True)
class Jupyter:
    """A lab's Jupyter as JupyterLab speaks to it."""

    runtime: ProcessRuntime
    spec: LabSpec
    url: str
    workspace: Path

    def put(self, path: str, content: str, **more: object) -> tuple[int, dict[str, Any]]:
        """Save a file: the status, and what JupyterLab shows."""
        return self._ask("PUT", path, {"type": "file", "format": "text", "content": content, **more})

    def notebook(self, path: str, source: str) -> tuple[int, dict[str, Any]]:
        """Save a notebook with one cell."""
        cell = {"cell_type": "code", "id": "one", "source": source, "metadata": {}, "outputs": [], "execution_count": None}
        content = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        return self._ask("PUT", path, {"type": "notebook", "format": "json", "content": content})

    def copy(self, path: str) -> tuple[int, dict[str, Any]]:
        """Make a copy of a file."""
        return self._ask("POST", "", {"copy_from": path})

    def checkpoint(self, path: str) -> tuple[int, dict[str, Any]]:
        """What JupyterLab asks for after each save."""
        return self._ask("POST", f"{path}/checkpoints", None)

    def told(self, held_gib: float, limit_gib: int) -> None:
        """The house says how much the owner holds."""
        self.runtime.room_tell(self.spec.name, Room(int(held_gib * GIB), limit_gib * GIB, ASK))

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"token {TOKEN}", "Content-Type": "application/json"}
        data = json.dumps(body).encode() if body is not None else b""
        request = urllib.request.Request(f"{self.url}api/contents/{path}", data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory, envs: Path, gateway: Path) -> Iterator[Jupyter]:
    """A lab whose workspace is a file system of a few MiB."""
    home = tmp_path_factory.mktemp("full") / "home"
    runtime = ProcessRuntime(home=home, envs=envs, node_id="local")
    workspace = home / "workspaces" / "gpulab-ws-full"
    workspace.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m,uid=20001,gid=20001,mode=700", "tmpfs", workspace], check=True)
    try:
        yield _started(runtime, _spec(gateway), workspace)
    finally:
        for lab in runtime.observe():
            runtime.stop(lab.name, 2.0)
        subprocess.run(["umount", "-l", workspace], check=True)


def _spec(gateway: Path) -> LabSpec:
    limits = {"cpus": 1.5, "memory_mib": 1024, "shm_mib": 64, "pids": 200}
    names = {
        "lab_id": "fulllabfulll",
        "attempt": 1,
        "node_id": "local",
        "image": IMAGE,
        "image_digest": "",
        "username": "lab",
        "base_url": "/l/fulllabfulll/",
    }
    key = gateway.with_suffix(".pub").read_text()
    given = {"gpu_uuids": (), "workspace": "gpulab-ws-full", "shared_data": "", "token": TOKEN, "gateway_key": key, "network": None}
    return LabSpec(uid=20001, gid=20001, **limits, **names, **given)  # type: ignore[arg-type]


def _started(runtime: ProcessRuntime, spec: LabSpec, workspace: Path) -> Jupyter:
    return Jupyter(runtime, spec, url_of(spec, lab_up(runtime, spec)), workspace)


@pytest.fixture
def full(jupyter: Jupyter) -> Iterator[Callable[[], None]]:
    """Fills the file system to the last byte; afterwards there is room again."""
    filler = jupyter.workspace / "filler"

    def fill() -> None:
        with filler.open("ab", buffering=0) as file:
            for size in (MIB, 4096, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    continue

    yield fill
    filler.unlink(missing_ok=True)
    jupyter.told(1, 50)


def test_a_save_on_a_full_disk_says_so_in_words_and_the_old_file_stays_whole(jupyter: Jupyter, full: Callable[[], None]) -> None:
    assert jupyter.notebook("night.ipynb", "train()")[0] == 201
    assert jupyter.put("notes.txt", "old")[0] == 201
    before = (jupyter.workspace / "night.ipynb").read_bytes()
    full()
    for status, said in (jupyter.notebook("night.ipynb", "train()\n" * 20_000), jupyter.notebook("new.ipynb", "x = 1")):
        assert status == 507
        assert said["message"].startswith("The disk that your workspace lies on is full:")
        assert "Nothing was saved" in said["message"]
    assert jupyter.put("notes.txt", "new" * 10_000)[0] == 507
    assert (jupyter.workspace / "night.ipynb").read_bytes() == before
    assert (jupyter.workspace / "notes.txt").read_text() == "old"
    assert not [one.name for one in jupyter.workspace.iterdir() if one.name.startswith(".~") or one.name == "new.ipynb"]


def test_a_copy_a_checkpoint_and_the_rest_of_an_upload_say_it_too_and_leave_nothing_half(jupyter: Jupyter, full: Callable[[], None]) -> None:
    part = base64.b64encode(b"x" * MIB).decode()
    assert jupyter.put("large.bin", part, format="base64", chunk=1)[0] == 201
    assert jupyter.put("model.txt", "x" * MIB)[0] == 201
    full()
    answers = [jupyter.copy("model.txt"), jupyter.checkpoint("model.txt"), jupyter.put("large.bin", part, format="base64", chunk=2)]
    assert [status for status, _ in answers] == [507, 507, 507]
    assert all("is full" in said["message"] for _, said in answers)
    assert not (jupyter.workspace / "large.bin").exists()
    assert not (jupyter.workspace / "model-Copy1.txt").exists()


def test_over_a_measured_quota_what_is_open_is_saved_and_no_new_file_is_made(jupyter: Jupyter, full: Callable[[], None]) -> None:
    assert jupyter.notebook("open.ipynb", "x = 1")[0] == 201
    jupyter.told(50.4, 50)
    assert jupyter.notebook("open.ipynb", "x = 2")[0] == 200
    status, said = jupyter.notebook("another.ipynb", "x = 1")
    assert status == 507
    assert said["message"].startswith("Your workspace is over its quota: 50.4 of 50 GiB")
    assert ASK in said["message"]
    jupyter.told(49, 50)
    assert jupyter.notebook("another.ipynb", "x = 1")[0] == 201


def test_a_full_disk_of_who_is_over_the_quota_is_called_the_quota(jupyter: Jupyter, full: Callable[[], None]) -> None:
    assert jupyter.put("mine.txt", "old")[0] == 201
    jupyter.told(50.4, 50)
    full()
    status, said = jupyter.put("mine.txt", "new" * 10_000)
    assert status == 507
    assert said["message"].startswith("Your workspace is full: 50.4 of 50 GiB. Nothing was saved, and what was saved before is whole.")


def test_a_link_a_second_name_and_the_mode_of_a_file_outlive_a_save(jupyter: Jupyter) -> None:
    assert jupyter.put("plain.sh", "old")[0] == 201
    plain = jupyter.workspace / "plain.sh"
    plain.chmod(0o755)
    (jupyter.workspace / "link.sh").symlink_to("plain.sh")
    assert jupyter.put("link.sh", "new")[0] == 200
    assert (plain.read_text(), plain.stat().st_mode & 0o777, (jupyter.workspace / "link.sh").is_symlink()) == ("new", 0o755, True)
    os.link(plain, jupyter.workspace / "twin.sh")
    assert jupyter.put("plain.sh", "newer")[0] == 200
    assert (jupyter.workspace / "twin.sh").read_text() == "newer"
