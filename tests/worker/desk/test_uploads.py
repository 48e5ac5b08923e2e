"""Uploads that are cut, resumed, too large, in the way of others, or forgotten."""

import errno
import hashlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.waiting import wait_for
from tests.worker.desk.conftest import BASE, TOKEN, Page, tree
from worker.desk import uploads
from worker.desk.uploads import KEPT_S

MIB = 1024 * 1024


def cut(page: Page, place: str, offset: int, content: bytes, after: int) -> int:
    """Send so many bytes of what was promised and break the line; the offset that the server names then."""
    head = f"PATCH {BASE}{place} HTTP/1.1\r\nHost: x\r\nAuthorization: token {TOKEN}\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: {offset}\r\n"
    head += f"Content-Type: application/offset+octet-stream\r\nContent-Length: {len(content) - offset}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", page.server.server_port)) as line:
        line.sendall(head.encode() + content[offset : offset + after])
    return wait_for(lambda: settled(page, place), within=30, what="the end of the broken request")


def settled(page: Page, place: str) -> int | None:
    if page.server.open:
        return None
    return int(page.client.head(place, headers={"Tus-Resumable": "1.0.0"}).headers["Upload-Offset"])


def assert_whole_after_three_cuts(page: Page, size: int) -> None:
    """An upload that is cut three times and resumed."""
    block = os.urandom(MIB - 8)
    content = b"".join(number.to_bytes(8, "big") + block for number in range(size // MIB))  # no part is like another
    begun = page.begin("model.pt", len(content))
    place, offset = begun.headers["Location"], 0
    for _ in range(3):
        before, offset = offset, cut(page, place, offset, content, len(content) // 4 + 12345)
        assert offset > before
    assert not (page.folder / "model.pt").exists()
    answer = page.add(place, offset, content[offset:])
    assert (answer.status_code, answer.headers["X-GPULab-Path"]) == (204, "model.pt")
    with (page.folder / "model.pt").open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == hashlib.sha256(content).hexdigest()
    assert os.listdir(page.folder / ".gpulab/uploads") == []


def test_an_upload_cut_three_times_and_resumed_is_the_same_to_the_byte(page: Page) -> None:
    assert_whole_after_three_cuts(page, 200 * MIB)


@pytest.mark.long
def test_an_upload_of_two_gigabytes_cut_three_times_and_resumed_is_the_same_to_the_byte(page: Page) -> None:
    assert_whole_after_three_cuts(page, 2048 * MIB)


def test_a_name_that_is_taken_asks_replaces_or_keeps_both(page: Page) -> None:
    page.put("a.txt", b"one")
    refused = page.begin("a.txt", 3)
    assert (refused.status_code, refused.json()["message"]) == (409, "There is a.txt already.")
    assert page.client.get("api/there?path=a.txt").json() == {"kind": "file"}
    assert page.put("a.txt", b"two", mode="keep").headers["X-GPULab-Path"] == "a%20%282%29.txt"
    assert page.put("a.txt", b"new", mode="replace").status_code == 204
    assert {name: (page.folder / name).read_text() for name in tree(page.folder)} == {"a.txt": "new", "a (2).txt": "two"}
    assert [one["path"] for one in page.client.get("api/trash").json()["items"]] == ["a.txt"], "what was replaced can be brought back"


def test_a_name_that_is_taken_meanwhile_is_kept_and_a_folder_that_is_gone_is_made_again(page: Page) -> None:
    (page.folder / "d").mkdir()
    place = page.begin("f", 3, path="d").headers["Location"]
    (page.folder / "d").rmdir()
    assert page.add(place, 0, b"one").status_code == 204
    place = page.begin("g", 3, path="d").headers["Location"]
    (page.folder / "d/g").write_text("theirs")
    assert page.add(place, 0, b"two").headers["X-GPULab-Path"] == "d/g%20%282%29"
    assert (page.folder / "d/g").read_text() == "theirs"


def test_an_empty_file_is_there_at_once(page: Page) -> None:
    assert page.put("empty", b"").headers["X-GPULab-Path"] == "empty"
    assert (page.folder / "empty").read_bytes() == b""


def test_what_does_not_fit_into_the_limit_is_refused_in_words_before_a_byte_is_sent(page_of: Callable[..., Page]) -> None:
    page = page_of(left=1000)
    (page.folder / "a").write_text("old")
    refused = page.begin("a", 1001, mode="replace")
    assert refused.status_code == 413
    assert "of your disk limit are left" in refused.json()["message"]
    assert (page.folder / "a").read_text() == "old"


def test_a_limit_that_is_reached_in_the_middle_leaves_the_old_file_whole(page_of: Callable[..., Page]) -> None:
    page = page_of(left=3 * MIB)
    (page.folder / "a").write_text("old")
    first, second = (page.begin(name, 2 * MIB, mode="replace").headers["Location"] for name in ("a", "b"))
    assert page.add(second, 0, os.urandom(2 * MIB)).status_code == 204
    refused = page.add(first, 0, os.urandom(2 * MIB))
    assert (refused.status_code, "What was there is untouched" in refused.json()["message"]) == (413, True)
    assert (page.folder / "a").read_text() == "old"
    page.act("delete", path="b")
    page.act("empty")
    offset = int(page.client.head(first, headers={"Tus-Resumable": "1.0.0"}).headers["Upload-Offset"])
    assert page.add(first, offset, os.urandom(2 * MIB - offset)).status_code == 204
    assert (page.folder / "a").stat().st_size == 2 * MIB


def test_a_disk_that_is_full_in_the_middle_leaves_the_old_file_whole_and_the_upload_goes_on_later(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    (page.folder / "a").write_text("old")
    place = page.begin("a", 3 * MIB, mode="replace").headers["Location"]
    content, plain, written = os.urandom(3 * MIB), uploads._written, []

    def full(file: object, chunk: bytes) -> int:
        if written:
            raise OSError(errno.ENOSPC, "full")
        written.append(chunk)
        return plain(file, chunk)  # type: ignore[arg-type]

    monkeypatch.setattr(uploads, "_written", full)
    refused = page.add(place, 0, content)
    assert (refused.status_code, "The disk is full" in refused.json()["message"]) == (507, True)
    assert (page.folder / "a").read_text() == "old"
    monkeypatch.setattr(uploads, "_written", plain)
    offset = int(page.client.head(place, headers={"Tus-Resumable": "1.0.0"}).headers["Upload-Offset"])
    assert offset == MIB
    assert page.add(place, offset, content[offset:]).status_code == 204
    assert (page.folder / "a").read_bytes() == content


def test_a_wrong_offset_another_version_and_an_unknown_upload_are_refused(page: Page) -> None:
    place = page.begin("a", 10).headers["Location"]
    assert page.add(place, 5, b"x").status_code == 409
    assert page.client.post("upload", headers={"Upload-Length": "1"}).status_code == 412
    assert page.add(f"upload/{'0' * 32}", 0, b"x").status_code == 404
    assert page.add("upload/..%2f..%2fetc", 0, b"x").status_code == 404
    assert page.client.patch(place, content=b"x", headers={"Tus-Resumable": "1.0.0", "Upload-Offset": "0"}).status_code == 415
    assert page.begin("a", 51 * 1024**3).status_code == 413
    assert page.client.options("upload").headers["Tus-Extension"] == "creation,expiration,termination"


def test_more_bytes_than_were_promised_are_not_taken(page: Page) -> None:
    place = page.begin("a", 4).headers["Location"]
    page.add(place, 0, b"abcdefgh")
    assert (page.folder / "a").read_bytes() == b"abcd"


def test_an_upload_is_ended_and_a_forgotten_one_is_swept_after_a_day(page: Page, tmp_path: Path) -> None:
    ended, forgotten, fresh = (page.begin(name, 10).headers["Location"] for name in "abc")
    assert page.client.delete(ended, headers={"Tus-Resumable": "1.0.0"}).status_code == 204
    place = page.folder / ".gpulab/uploads"
    key = forgotten.rpartition("/")[2]
    for name in (key, f"{key}.json"):
        old = (place / name).stat().st_mtime - KEPT_S
        os.utime(place / name, (old, old))
    from worker.desk.paths import Root
    from worker.desk.room import Room

    uploads.Uploads(Root(str(page.folder)), Room(None)).sweep(fresh_now(place))
    assert sorted(os.listdir(place)) == sorted([fresh.rpartition("/")[2], f"{fresh.rpartition('/')[2]}.json"])


def fresh_now(place: Path) -> float:
    return max(one.stat().st_mtime for one in place.iterdir())
