"""Jupyter in a workspace whose file system keeps its owner's limit. Not collected by itself: test_kept_quota.py runs it in a machine of its own, as root."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.contracts.in_kernel_quotas import DISKS, mounted  # noqa: F401  (fixture)
from tests.embedded.conftest import envs, gateway  # noqa: F401  (fixtures)
from tests.embedded.test_full_workspace import ASK, GIB, MIB, Jupyter, _spec, _started
from worker.quotas.base import number_of
from worker.quotas.linux import ProjectQuotas
from worker.runtimes.mounts import Room
from worker.runtimes.process.runtime import ProcessRuntime

ALLOWED = 24 * MIB


@dataclass(frozen=True)
class Kept:
    """A running lab, and the limit of its workspace."""

    jupyter: Jupyter
    quotas: ProjectQuotas
    number: int

    def fill(self) -> None:
        """As the owner, to the last block."""
        os.setegid(20001)
        os.seteuid(20001)
        try:
            with (self.jupyter.workspace / "filler").open("ab", buffering=0) as file:
                for size in (MIB, 4096):
                    try:
                        while True:
                            file.write(b"x" * size)
                            os.fsync(file.fileno())
                    except OSError:
                        continue
        finally:
            os.seteuid(0)
            os.setegid(0)


@pytest.fixture
def kept(mounted: Path, envs: Path, gateway: Path) -> Iterator[Kept]:
    """A lab of the process runtime, all of whose folders lie on a file system that keeps limits."""
    for folder in mounted.parents:
        folder.chmod(folder.stat().st_mode | 0o011)
    runtime = ProcessRuntime(home=mounted / "home", envs=envs, node_id="local")
    spec = _spec(gateway)
    workspace = runtime.homes / spec.workspace
    workspace.mkdir(mode=0o700)
    os.chown(workspace, spec.uid, spec.gid)
    quotas, number = ProjectQuotas(), number_of(spec.uid)
    quotas.mark(workspace, number)
    quotas.allow(workspace, number, size=ALLOWED, files=1000)
    try:
        yield Kept(_started(runtime, spec, workspace), quotas, number)
    finally:
        for lab in runtime.observe():
            runtime.stop(lab.name, 2.0)


def test_a_full_limit_says_so_in_jupyter_and_a_lab_starts_in_a_full_workspace(kept: Kept, gateway: Path) -> None:
    jupyter = kept.jupyter
    assert jupyter.put("notes.txt", "old")[0] == 201
    # 3 of the 50 GiB are somewhere else, so the workspace may have 24 MiB only where the owner holds nearly all of them there.
    jupyter.runtime.room_tell(jupyter.spec.name, Room(50 * GIB - ALLOWED, 50 * GIB, ASK, ALLOWED))
    kept.fill()
    for name in ("notes.txt", "new.txt"):
        status, said = jupyter.put(name, "new" * 100_000)
        assert status == 507
        assert said["message"].startswith("Your workspace is full: 50.0 of 50 GiB. Nothing was saved, and what was saved before is whole."), said
    assert (jupyter.workspace / "notes.txt").read_text() == "old"
    jupyter.runtime.stop(jupyter.spec.name, 5.0)
    again = _started(jupyter.runtime, replace(jupyter.spec, attempt=2), jupyter.workspace)
    again.runtime.room_tell(again.spec.name, Room(50 * GIB, 50 * GIB, ASK, ALLOWED))
    assert again.put("notes.txt", "new" * 100_000)[0] == 507
    (jupyter.workspace / "filler").unlink()
    assert again.put("notes.txt", "new" * 100_000)[0] == 200


def test_too_many_files_say_so_in_jupyter(kept: Kept) -> None:
    jupyter = kept.jupyter
    assert jupyter.put("first.txt", "x")[0] == 201
    there = kept.quotas.held(jupyter.workspace)[kept.number].files
    kept.quotas.allow(jupyter.workspace, kept.number, size=ALLOWED, files=there)
    jupyter.runtime.room_tell(jupyter.spec.name, Room(GIB, 50 * GIB, ASK, ALLOWED))
    status, said = jupyter.put("second.txt", "x")
    assert status == 507
    assert said["message"].startswith(f"Your workspace holds as many files and folders as it may: {there:,}. Nothing was saved"), said


__all__ = ["DISKS"]
