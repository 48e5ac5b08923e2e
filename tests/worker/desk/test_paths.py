"""Nothing leads out of the workspace: no path, no link, and no link that is put there in the middle of it."""

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.worker.desk.conftest import Page
from worker.desk.errors import Wrong
from worker.desk.moves import folder_make, move, remove
from worker.desk.paths import Root, parts_of
from worker.desk.trash import throw

SECRET = b"somebody else's"
PIECES = ["..", ".", "", "~", "\0", "a", "out", "file", "loop", "%2e%2e", "..\\", "/", "//", ".gpulab", "é", "\udcff", "x" * 300, "proc", "self", "\n"]


def outside(tmp_path: Path) -> Path:
    """A workspace with links to a folder beside it, which holds a secret."""
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out/secret").write_bytes(SECRET)
    workspace = tmp_path / "ws"
    (workspace / "a").mkdir(parents=True, exist_ok=True)
    for name, target in {"out": "../out", "a/out": "/", "a/up": "..", "file": "../out/secret", "loop": "loop"}.items():
        with suppress(FileExistsError):
            (workspace / name).symlink_to(target)
    return workspace


@given(st.lists(st.sampled_from(PIECES), max_size=6).map("/".join) | st.text(max_size=60))
@example("out/secret")
@example("a/up/../out/secret")
@example("a/out/etc/passwd")
@example("../out/secret")
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_path_reads_makes_moves_or_deletes_anything_outside(tmp_path: Path, path: str) -> None:
    workspace = outside(tmp_path)
    root = Root(str(workspace))
    with suppress(Wrong, OSError), root.file(parts_of(path)) as (handle, _):
        assert os.read(handle, 100) != SECRET
    with suppress(Wrong, OSError), root.folder(parts_of(path)) as folder:
        assert "secret" not in os.listdir(folder)
    with suppress(Wrong, OSError):
        folder_make(root, parts_of(path), "made")
    with suppress(Wrong, OSError):
        move(root, ("a",), parts_of(path), "moved")
    with suppress(Wrong, OSError):
        throw(root, parts_of(path))
    assert sorted(os.listdir(tmp_path)) == ["out", "ws"]
    assert os.listdir(tmp_path / "out") == ["secret"]
    assert (tmp_path / "out/secret").read_bytes() == SECRET


@pytest.mark.parametrize("path", ["file", "out/secret", "a/up/a", "loop", "out", "a/out/etc/passwd", "../ws", "a/../file", "/etc/passwd"])
def test_every_way_of_the_page_refuses_what_leads_out_in_words(page: Page, tmp_path: Path, path: str) -> None:
    links = outside(tmp_path)
    for name in os.listdir(links):
        (links / name).rename(page.folder / name)
    (page.folder / "a/out").unlink()
    (page.folder / "a/out").symlink_to("/")
    for place in ("raw", "archive", "notebook", "api/list"):
        answer = page.client.get(place, params={"path": path}, headers={"Accept": "application/json"})
        assert answer.status_code in (400, 404), (place, answer.text)
        assert answer.json()["message"]
        assert SECRET not in answer.content
    assert SECRET not in page.client.get("view", params={"path": path}).content


def test_folders_that_are_swapped_for_links_in_the_middle_never_lead_out(tmp_path: Path) -> None:
    workspace = tmp_path / "ws"
    (workspace / "d/e").mkdir(parents=True)
    (workspace / "d/e/secret").write_bytes(b"mine")
    (tmp_path / "out/e").mkdir(parents=True)
    (tmp_path / "out/e/secret").write_bytes(SECRET)
    root, over = Root(str(workspace)), threading.Event()

    def swapping() -> None:
        while not over.is_set():
            with suppress(OSError):
                (workspace / "d").rename(workspace / "kept")
                (workspace / "d").symlink_to("../out")
                (workspace / "d").unlink()
            with suppress(OSError):
                (workspace / "kept").rename(workspace / "d")

    swapper = threading.Thread(target=swapping)
    swapper.start()
    read, until = 0, time.monotonic() + 1.5
    try:
        while time.monotonic() < until or (read <= 10 and time.monotonic() < until + 60):
            with suppress(Wrong, OSError), root.file(("d", "e", "secret")) as (handle, _):
                assert os.read(handle, 100) == b"mine"
                read += 1
            with suppress(Wrong, OSError):
                folder_make(root, ("d", "e"), "made")
            with suppress(Wrong, OSError), root.folder(("d", "e")) as folder:
                remove(folder, "made")
            with suppress(Wrong, OSError):
                move(root, ("d", "e", "secret"), ("d", "e"), "other")
            with suppress(Wrong, OSError):
                move(root, ("d", "e", "other"), ("d", "e"), "secret")
    finally:
        over.set()
        swapper.join()
    assert read > 10
    assert os.listdir(tmp_path / "out") == ["e"]
    assert (tmp_path / "out/e/secret").read_bytes() == SECRET
    assert os.listdir(tmp_path / "out/e") == ["secret"]


def test_deleting_for_ever_leaves_what_links_point_to(tmp_path: Path) -> None:
    workspace = outside(tmp_path)
    with Root(str(workspace)).folder(()) as folder:
        for name in os.listdir(folder):
            remove(folder, name)
    assert os.listdir(workspace) == []
    assert (tmp_path / "out/secret").read_bytes() == SECRET


def test_the_houses_own_folder_and_the_workspace_itself_are_not_changed(page: Page) -> None:
    for do, fields in {
        "delete": {"path": ".gpulab"},
        "move": {"path": ".gpulab/trash", "to": "", "name": "x"},
        "mkdir": {"path": ".gpulab", "name": "x"},
    }.items():
        assert page.act(do, **fields).status_code == 403, do
    assert page.act("delete", path="").status_code == 403
    assert page.begin("x", 5, path=".gpulab/trash").status_code == 403
