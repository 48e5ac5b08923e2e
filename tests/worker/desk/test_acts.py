"""What a person does with files: look, make, move, delete, bring back, download."""

import io
import json
import os
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from tests.worker.desk.conftest import Page, tree
from worker.desk.store import Store
from worker.desk.trash import KEPT_S

HOSTILE = "<img src=x onerror=alert(1)>\"'&.txt"


def test_folders_come_first_and_ten_thousand_files_come_in_pages(page: Page) -> None:
    (page.folder / "zoo").mkdir()
    (page.folder / ".hidden").touch()
    for number in range(10_000):
        (page.folder / f"{number:05}").touch()
    began = time.monotonic()
    first = page.client.get("api/list").json()
    assert time.monotonic() - began < 5
    assert (first["total"], first["hidden"], first["pages"]) == (10_001, 2, 51)
    assert [one["name"] for one in first["entries"][:3]] == ["zoo", "00000", "00001"]
    last = page.client.get("api/list", params={"page": "51", "down": "1"}).json()
    assert last["entries"][-1]["name"] == "00000"
    assert ".hidden" in page.client.get("", params={"hidden": "1"}).text
    assert "Page 2 of 51" in page.client.get("", params={"page": "2"}).text


def test_size_and_age_sort_either_way_and_nonsense_is_the_first_page(page: Page) -> None:
    for name, size in {"b": 3, "a": 1, "c": 2}.items():
        (page.folder / name).write_bytes(b"x" * size)
        os.utime(page.folder / name, (size, size))
    for sort in ("size", "changed"):
        assert [one["name"] for one in page.client.get("api/list", params={"sort": sort, "down": "1"}).json()["entries"]] == ["b", "c", "a"]
    assert page.client.get("api/list", params={"sort": "x", "page": "-7"}).json()["page"] == 1


def test_a_folder_is_made_renamed_and_moved_and_nothing_is_overwritten(page: Page) -> None:
    assert page.act("mkdir", path="", name="data").status_code == 200
    assert page.act("mkdir", path="", name="data").status_code == 409
    (page.folder / "one.txt").write_text("one")
    (page.folder / "data/one.txt").write_text("other")
    refused = page.act("move", path="one.txt", to="data")
    assert (refused.status_code, "already" in refused.json()["message"]) == (409, True)
    assert page.act("move", path="one.txt", to="data", name="two.txt").status_code == 200
    assert page.act("move", path="data", to="data/x").status_code in (400, 404)
    assert (page.folder / "data/two.txt").read_text() == "one"
    assert page.act("mkdir", path="", name="a/b").status_code == 400


def test_a_form_leads_back_to_the_folder_and_says_what_was_done(page: Page) -> None:
    answer = page.client.post("act", data={"do": "mkdir", "way": "", "name": "süd & nord"})
    assert answer.status_code == 303
    shown = page.client.get(answer.headers["Location"].removeprefix("/l/aaaaaaaaaaaa/"))
    assert "The folder is made." in shown.text
    assert "süd &amp; nord" in shown.text


def test_what_is_deleted_lies_in_the_trash_and_comes_back_beside_what_took_its_name(page: Page) -> None:
    (page.folder / "d").mkdir()
    (page.folder / "d/f.txt").write_text("old")
    assert page.act("delete", path="d/f.txt").status_code == 200
    assert page.act("delete", path="d").status_code == 200
    assert tree(page.folder) == []
    things = {one["path"]: one["id"] for one in page.client.get("api/trash").json()["items"]}
    (page.folder / "d").mkdir()
    (page.folder / "d/f.txt").write_text("new")
    assert page.act("restore", id=things["d/f.txt"]).status_code == 200
    assert {name: (page.folder / "d" / name).read_text() for name in ("f.txt", "f (2).txt")} == {"f.txt": "new", "f (2).txt": "old"}
    assert "d</span>" in page.client.get("trash").text
    assert page.act("purge", id=things["d"]).status_code == 200
    assert page.client.get("api/trash").json()["items"] == []
    assert page.act("restore", id="../../x").status_code == 404


def test_deleting_for_ever_asks_first(page: Page) -> None:
    (page.folder / "thesis.tex").touch()
    page.act("delete", path="thesis.tex")
    key = page.client.get("api/trash").json()["items"][0]["id"]
    asked = page.client.get("ask", params={"id": key}).text
    assert "thesis.tex is deleted. Nobody can bring it back." in asked
    assert page.client.get("act", params={"do": "purge", "id": key}).status_code != 303
    assert page.client.get("api/trash").json()["items"]
    assert page.act("empty").status_code == 200
    assert not page.client.get("api/trash").json()["items"]


def test_the_trash_is_swept_after_seven_days_also_of_folders_that_nobody_may_write_in(tmp_path: Path) -> None:
    from worker.desk.trash import sweep, throw, thrown

    store = Store(str(tmp_path), left=None)
    (tmp_path / "cache/x").mkdir(parents=True)
    (tmp_path / "cache/x/y").touch()
    (tmp_path / "cache/x").chmod(0o555)
    throw(store.root, ("cache",))
    one = thrown(store.root)[0]
    assert sweep(store.root, one.until - 1) == pytest.approx(one.until + 3599, abs=2)
    assert thrown(store.root)
    assert sweep(store.root, one.until) is None
    assert not thrown(store.root)
    assert one.until == one.deleted + KEPT_S


def test_a_spoiled_trash_stops_nobody(page: Page, tmp_path: Path) -> None:
    (page.folder / "f").touch()
    page.act("delete", path="f")
    trash = page.folder / ".gpulab/trash"
    place = next(trash.iterdir())
    (place / "note.json").write_text('["../../../etc"]')
    (trash / "0000000000-00000000").write_text("no folder")
    assert page.client.get("trash").status_code == 200
    (place / "note.json").write_text(json.dumps({"path": "../../escaped", "deleted": "x"}))
    assert page.act("restore", id=place.name).status_code == 400
    assert not (tmp_path / "escaped").exists()


@pytest.mark.parametrize(("wanted", "status", "body"), [
    ("", 200, b"0123456789"), ("bytes=2-4", 206, b"234"), ("bytes=7-", 206, b"789"), ("bytes=-2", 206, b"89"), ("bytes=0-99", 206, b""),
    ("bytes=10-", 416, b""), ("bytes=5-4", 416, b""), ("bytes=1-2,4-5", 200, b"0123456789"), ("lines=1-2", 200, b"0123456789"),
])  # fmt: skip
def test_a_file_is_downloaded_whole_or_in_ranges(page: Page, wanted: str, status: int, body: bytes) -> None:
    (page.folder / "zahlen ü.bin").write_bytes(b"0123456789")
    answer = page.client.get("raw", params={"path": "zahlen ü.bin"}, headers={"Range": wanted} if wanted else {})
    if wanted == "bytes=0-99":
        status, body = 200, b"0123456789"
    assert (answer.status_code, answer.content if status != 416 else b"") == (status, body)
    if status != 416:
        assert "attachment" in answer.headers["Content-Disposition"]
        assert "zahlen%20%C3%BC.bin" in answer.headers["Content-Disposition"]
        assert answer.headers["Content-Security-Policy"].startswith("sandbox")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_folder_is_downloaded_as_one_stream(page: Page, kind: str) -> None:
    (page.folder / "d/empty").mkdir(parents=True)
    (page.folder / "d/ä.txt").write_text("hello")
    (page.folder / "d/link").symlink_to("/etc/passwd")
    os.mkfifo(page.folder / "d/pipe")
    answer = page.client.get("archive", params={"path": "d", "kind": kind})
    assert f'd.{kind}"' in answer.headers["Content-Disposition"]
    if kind == "zip":
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            assert sorted(archive.namelist()) == ["d/empty/", "d/link", "d/ä.txt"]
            assert (archive.read("d/ä.txt"), archive.testzip()) == (b"hello", None)
    else:
        with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
            assert sorted(archive.getnames()) == ["d/empty", "d/link", "d/ä.txt"]
            assert archive.getmember("d/link").issym()


def test_the_whole_workspace_comes_without_the_houses_folder(page: Page) -> None:
    (page.folder / "f").touch()
    with zipfile.ZipFile(io.BytesIO(page.client.get("archive").content)) as archive:
        assert archive.namelist() == ["workspace/f"]


def test_names_and_contents_are_never_markup_and_pages_run_nothing_of_others(page: Page) -> None:
    (page.folder / HOSTILE).write_text("<script>alert(1)</script>")
    (page.folder / "t.csv").write_text("<b>,b\n1,2\n")
    for place, params in (("", {}), ("view", {"path": HOSTILE}), ("view", {"path": "t.csv"})):
        answer = page.client.get(place, params=params)
        assert "<img src=x" not in answer.text
        assert "<script>alert" not in answer.text
        assert "<b>" not in answer.text
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["Referrer-Policy"] == "same-origin", "else browsers name no origin with a form, which the relay refuses"
    (page.folder / "x.html").write_text("<script>alert(1)</script>")
    raw = page.client.get("raw", params={"path": "x.html", "inline": "1"})
    assert (raw.headers["Content-Type"], raw.headers["X-Content-Type-Options"]) == ("application/octet-stream", "nosniff")


def test_names_that_are_no_letters_can_be_opened_and_deleted(page: Page) -> None:
    name = b"caf\xe9.txt"
    (page.folder / os.fsdecode(name)).write_text("latin")
    listing = page.client.get("").text
    assert "caf%E9.txt" in listing
    assert page.client.get("view?path=caf%E9.txt").status_code == 200
    assert page.client.get("raw?path=caf%E9.txt").text == "latin"
    assert page.client.post("act", content="do=delete&way=caf%25E9.txt", headers={"Content-Type": "application/x-www-form-urlencoded"}).status_code == 303
    assert tree(page.folder) == []


def test_a_table_text_an_image_and_a_mystery_are_shown_as_what_they_are(page: Page) -> None:
    (page.folder / "t.tsv").write_text("name\tvalue\n" + "".join(f"r{number}\t{number}\n" for number in range(500)))
    (page.folder / "n.py").write_text("print('ä')\n" * 100_000)
    (page.folder / "p.png").write_bytes(b"\x89PNG")
    (page.folder / "m.pt").write_bytes(b"PK\0\1")
    table = page.client.get("view?path=t.tsv").text
    assert "<td>r99</td>" in table
    assert "<td>r100</td>" not in table
    assert "beginning only" in table
    assert "beginning only" in page.client.get("view?path=n.py").text
    assert 'src="raw?inline=1&amp;path=p.png"' in page.client.get("view?path=p.png").text
    assert page.client.get("raw?path=p.png&inline=1").headers["Content-Type"] == "image/png"
    assert "No preview" in page.client.get("view?path=m.pt").text


def test_nobody_is_answered_without_the_relays_token_and_looking_whether_it_is_used_is_no_use(page: Page) -> None:
    for headers in ({"Authorization": ""}, {"Authorization": "token x"}, {"Authorization": f"Bearer {'x' * 18}"}):
        assert page.client.get("", headers=headers).status_code == 403
    page.server.used -= 100
    assert page.client.get("status").json()["idle_s"] >= 100
    page.client.get("")
    assert page.client.get("status").json()["idle_s"] < 50
