"""What the house does in a workspace: only known names, nothing behind a link, nothing that is still written, nothing but what was asked."""

import os
import time
from pathlib import Path
from typing import Any

from tests.worker.desk.conftest import Page

OLD = time.time() - 3600


def chore(page: Page, do: str, **asked: Any) -> dict[str, Any]:
    answer = page.client.post("chore", json={"do": do, **asked})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def lay(folder: Path, name: str, size: int = 5000, *, at: float = OLD) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(size))
    os.utime(path, (at, at))
    return path


def looked(page: Page, *folders: str) -> dict[str, dict[str, Any]]:
    return {one["path"]: one for one in chore(page, "look", folders=list(folders))["found"]}


def test_checkpoints_are_found_by_their_names_in_folders_of_runs_too(page: Page) -> None:
    for name in ("checkpoints/a.ckpt", "checkpoints/run/b.pt", "checkpoints/checkpoint-500/model.bin", "checkpoints/notes.txt", "elsewhere/c.pt"):
        lay(page.folder, name)
    found = looked(page, "checkpoints", "nowhere")
    assert set(found) == {"checkpoints/a.ckpt", "checkpoints/run/b.pt", "checkpoints/checkpoint-500"}
    assert found["checkpoints/checkpoint-500"]["size"] >= 5000
    assert chore(page, "look", folders=["nowhere"])["missing"] == ["nowhere"]


def test_no_link_leads_out_and_what_a_link_leads_to_is_marked(page: Page, tmp_path: Path) -> None:
    lay(tmp_path, "outside/secret.ckpt")
    lay(page.folder, "checkpoints/epoch=3.ckpt")
    (page.folder / "checkpoints/last.ckpt").symlink_to("epoch=3.ckpt")
    (page.folder / "checkpoints/run").symlink_to(tmp_path / "outside")
    (page.folder / "linked").symlink_to(tmp_path / "outside")
    found = looked(page, "checkpoints", "linked", "../outside")
    assert {path: one["linked"] for path, one in found.items()} == {"checkpoints/epoch=3.ckpt": True}


def test_only_what_is_still_what_was_seen_goes_and_it_can_be_brought_back(page: Page, monkeypatch) -> None:
    for name in ("old", "written", "young"):
        lay(page.folder, f"checkpoints/{name}.ckpt")
    lay(page.folder, "other/old.ckpt")
    seen = looked(page, "checkpoints", "other")
    items = [{"path": path, "changed": one["changed"]} for path, one in seen.items()] + [{"path": "../x", "changed": 1}]
    assert chore(page, "throw", folders=["checkpoints"], items=items)["gone"] == [], "touched a moment ago, whatever was asked"
    ahead = time.time() + 1200
    monkeypatch.setattr("worker.desk.checkpoints.time.time", lambda: ahead)
    lay(page.folder, "checkpoints/written.ckpt", at=OLD + 5)
    os.utime(page.folder / "checkpoints/young.ckpt", (ahead, ahead))
    assert chore(page, "throw", folders=["checkpoints"], items=items)["gone"] == ["checkpoints/old.ckpt"]
    assert sorted(path.name for path in page.folder.rglob("*.ckpt")) == ["old.ckpt", "written.ckpt", "young.ckpt"]
    kept = page.client.get("api/trash").json()["items"]
    assert [one["path"] for one in kept] == ["checkpoints/old.ckpt"]
    assert page.act("restore", id=kept[0]["id"]).status_code == 200
    assert (page.folder / "checkpoints/old.ckpt").stat().st_size == 5000


def test_caches_are_emptied_and_the_sign_in_beside_them_stays(page: Page, tmp_path: Path) -> None:
    lay(page.folder, ".cache/pip/http/a", 40_000)
    lay(page.folder, ".cache/huggingface/hub/models--x/blobs/b", 80_000)
    token = lay(page.folder, ".cache/huggingface/token", 20)
    lay(tmp_path, "outside/keep", 10)
    (page.folder / ".cache/torch").symlink_to(tmp_path / "outside")
    sizes = chore(page, "look", folders=[])["caches"]
    assert (sizes["pip"] >= 40_000, sizes["huggingface"] >= 80_000, sizes["torch"], sizes["conda"]) == (True, True, 0, 0)
    freed = chore(page, "clear", caches=["huggingface", "torch", "root"])["freed"]
    assert freed == {"huggingface": sizes["huggingface"], "torch": 0}
    assert (token.exists(), (tmp_path / "outside/keep").exists(), chore(page, "look")["caches"]["pip"]) == (True, True, sizes["pip"])


def test_what_is_not_known_is_refused_in_words(page: Page) -> None:
    assert page.client.post("chore", json={"do": "format"}).json()["message"] == "This cannot be done here."
    assert page.client.post("chore", content=b"[]").status_code == 400
    assert page.client.get("chore").status_code == 404
