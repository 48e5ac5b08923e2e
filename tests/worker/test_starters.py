"""A template's files in a workspace: put there once, whole or not at all, as they were made; and what the house's own folder tells."""

import contextlib
import functools
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from django.conf import settings

from worker.jupyter import SAID
from worker.loops import starters
from worker.shipped import Folder, archive, shipped

FILES = {"first.ipynb": b"{}", "data/a.csv": b"1,2\n"}


def placed(home: Path, **what: object) -> dict[str, object]:
    """What the program says, run as in a lab's terminal."""
    carried = archive(**({"folder": "templates/tour-v1", "first": "first.ipynb", "data": [], "files": FILES} | what))  # type: ignore[arg-type]
    (home / "carried.pyz").write_bytes(carried)
    environment = {"HOME": str(home), "PATH": os.environ["PATH"]}
    ran = subprocess.run([sys.executable, "-I", str(home / "carried.pyz")], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert not (home / "carried.pyz").exists()
    found = SAID.search(ran.stdout)
    assert found, ran
    fact: dict[str, object] = json.loads(found[1])
    return fact


def tree(folder: Path) -> Mapping[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts}


def test_files_are_put_there_once_and_never_overwritten(tmp_path: Path) -> None:
    assert placed(tmp_path) == {"kept": False, "first": True, "missing": []}
    assert tree(tmp_path / "templates/tour-v1") == FILES
    (tmp_path / "templates/tour-v1/first.ipynb").write_bytes(b"my own work")
    (tmp_path / "templates/tour-v1/data/a.csv").unlink()
    assert placed(tmp_path) == {"kept": True, "first": True, "missing": []}
    assert tree(tmp_path / "templates/tour-v1") == {"first.ipynb": b"my own work"}
    assert placed(tmp_path, folder="templates/tour-v2")["kept"] is False
    assert sorted(one.name for one in (tmp_path / "templates").iterdir()) == ["tour-v1", "tour-v2"]


def test_data_that_is_not_there_and_a_notebook_that_is_not_are_said(tmp_path: Path) -> None:
    assert placed(tmp_path, first="no.ipynb", data=["coco@2017"]) == {"kept": False, "first": False, "missing": ["coco@2017"]}


@pytest.mark.parametrize("kind", ["link", "file"])
def test_what_is_no_folder_is_not_written_through(tmp_path: Path, kind: str) -> None:
    elsewhere, home = tmp_path / "elsewhere", tmp_path / "home"
    elsewhere.mkdir()
    home.mkdir()
    if kind == "link":
        (home / "templates").symlink_to(elsewhere)
        assert placed(home) == {"error": "in the way", "words": "templates"}
    else:
        (home / "templates").write_text("mine")
        assert placed(home)["error"] in ("in the way", "disk")
    assert list(elsewhere.iterdir()) == []


def test_a_link_of_its_name_counts_as_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/tour-v1").symlink_to(tmp_path / "nowhere")
    assert placed(tmp_path)["kept"] is True
    assert not (tmp_path / "nowhere").exists()


def test_no_name_in_an_archive_leads_out_of_the_folder(tmp_path: Path) -> None:
    assert placed(tmp_path, files={"../../out": b"x", "/etc/x": b"x", "a/../../out": b"x", "good": b"y"})["kept"] is False
    assert tree(tmp_path) == {"templates/tour-v1/good": b"y"}


def test_whoever_was_cut_off_has_left_nothing_half_and_is_tidied_up_after(tmp_path: Path) -> None:
    left, fresh = tmp_path / "templates/.gpulab-old", tmp_path / "templates/.gpulab-new"
    left.mkdir(parents=True)
    fresh.mkdir()
    os.utime(left, (0, 0))
    assert placed(tmp_path)["kept"] is False
    assert not left.exists() and fresh.exists()


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    name = "n" * 300  # no file system takes that
    assert placed(tmp_path, files={name: b"x"}) == {"error": "disk", "words": "File name too long"}
    assert list((tmp_path / "templates").iterdir()) == []


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """A repository on a plain web server, and its two commits."""
    work = tmp_path / "work"
    work.mkdir()
    commits = []
    _git(work, "init", "-q", "-b", "main")
    for text in ("one", "two"):
        (work / "first.ipynb").write_text(text)
        _git(work, "add", ".")
        _git(work, "-c", "user.name=a", "-c", "user.email=a@example.edu", "commit", "-q", "-m", text)
        commits.append(_git(work, "rev-parse", "HEAD"))
    _git(tmp_path, "clone", "-q", "--bare", str(work), "served.git")
    _git(tmp_path / "served.git", "update-server-info")
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/served.git", commits
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


def test_a_repository_is_had_at_its_commit(repository: tuple[str, list[str]], tmp_path: Path) -> None:
    url, commits = repository
    home = tmp_path / "home"
    home.mkdir()
    assert placed(home, url=url, commit=commits[0]) == {"kept": False, "first": True, "missing": []}
    assert (home / "templates/tour-v1/first.ipynb").read_text() == "one"
    assert placed(home, url=url, commit=commits[1])["kept"] is True
    assert (home / "templates/tour-v1/first.ipynb").read_text() == "one"


def test_a_commit_that_is_not_there_is_said_and_leaves_nothing(repository: tuple[str, list[str]], tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    said = placed(home, url=repository[0], commit="f" * 40)
    assert said["error"] == "git" and said["words"]
    assert placed(home, url="http://127.0.0.1:9/none.git", commit="f" * 40)["error"] == "git"
    assert list((home / "templates").iterdir()) == []


def test_the_same_files_make_the_same_digest_and_another_byte_another(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "starter.toml").write_text(name)
        (tmp_path / name / "x.ipynb").write_text("{}")
        (tmp_path / name / ".ipynb_checkpoints").mkdir()
        (tmp_path / name / ".ipynb_checkpoints/x.ipynb").write_text(name)
    assert Folder(tmp_path / "a").files() == {"x.ipynb": b"{}"}
    assert Folder(tmp_path / "a").digest() == Folder(tmp_path / "b").digest()
    (tmp_path / "b/x.ipynb").write_text("{ }")
    assert Folder(tmp_path / "a").digest() != Folder(tmp_path / "b").digest()


@pytest.mark.django_db
def test_what_ships_with_the_house_is_complete_and_told_once(now) -> None:  # type: ignore[no-untyped-def]
    from labs.starters.models import Version

    starters.ship(now=now)
    starters.ship(now=now)
    told = {one.template.slug: one for one in Version.objects.select_related("template")}
    folders = list(shipped(settings.BASE_DIR / "starters"))
    assert len(folders) == len(told) == Version.objects.count() >= 6
    for folder in folders:
        files, version = folder.files(), told[folder.slug]
        assert version.first in files, folder.slug
        assert version.least_gpus == 0, "it runs without a GPU"
        assert sum(map(len, files.values())) < 200_000, folder.slug
        for name in files:
            if name.endswith(".ipynb"):
                cells = json.loads(files[name])["cells"]
                assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")], f"{name} has outputs"


def _git(folder: Path, *words: str) -> str:
    with contextlib.suppress(KeyError):
        os.environ.pop("GIT_DIR")
    return subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("said", [{}, {"error": "other", "words": "{0.__class__}"}, {"error": "git", "words": "{broken"}, {"words": ["{}"]}], ids=str)
def test_what_a_labs_program_says_is_filled_into_words_of_ours_and_is_none_itself(said: dict[str, object]) -> None:
    words = starters._words(said)
    assert words == (starters.WORDS["git"].format(words="{broken") if said.get("error") == "git" else starters.UNHEARD)
