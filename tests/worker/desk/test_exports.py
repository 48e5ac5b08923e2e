"""Folders sent to S3, against a real server of it: whole and compared, once, cancelled, refused in words, and with keys that are told to nobody."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.support.waiting import wait_for
from tests.worker.desk.conftest import BASE, TOKEN, Page
from worker.desk import cloud, exports
from worker.desk.errors import Wrong
from worker.runtimes.desk import LIBRARY, desk_library, desk_program

KEY, SECRET = "access-of-alice", "secret+of/alice=9"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def store(address: str) -> Iterator[Any]:
    client = boto3.client("s3", endpoint_url=address, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1")
    client.create_bucket(Bucket="runs")
    yield client
    for one in client.list_objects_v2(Bucket="runs").get("Contents", []):
        client.delete_object(Bucket="runs", Key=one["Key"])
    client.delete_bucket(Bucket="runs")
    client.close()


def fields(address: str, **other: str) -> dict[str, str]:
    return {"endpoint": address, "bucket": "runs", "prefix": "one", "key": KEY, "secret": SECRET} | other


def ended(page: Page) -> dict[str, Any]:
    """The last export, when it has come to an end."""

    def over() -> bool:
        return page.client.get("api/exports").json()["items"][0]["state"] != "running"

    wait_for(over, within=120, what="the end of it")
    return dict(page.client.get("api/exports").json()["items"][0])


def sent(page: Page, address: str, path: str = "checkpoints", **other: str) -> dict[str, Any]:
    answer = page.act("send", path=path, **fields(address, **other))
    assert answer.status_code == 200, answer.text
    return ended(page)


def laid(page: Page, **files: int) -> dict[str, bytes]:
    made = {f"{name}.ckpt": os.urandom(size) for name, size in files.items()}
    (page.folder / "checkpoints/run ü").mkdir(parents=True, exist_ok=True)
    for name, content in made.items():
        (page.folder / "checkpoints/run ü" / name).write_bytes(content)
    return made


def test_a_folder_is_there_whole_and_what_is_there_is_not_sent_again(page: Page, address: str, store: Any, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(exports, "PART", 5 * 1024**2)
    made = laid(page, small=1000, exact=5 * 1024**2, large=12 * 1024**2, empty=0)
    (tmp_path / "secret").write_text("not mine")
    (page.folder / "checkpoints/link").symlink_to(tmp_path / "secret")
    one = sent(page, address)
    assert (one["state"], one["words"], one["there"], one["spared"], one["sent"]) == ("done", "", 4, 0, one["size"])
    there = {each["Key"]: each["Size"] for each in store.list_objects_v2(Bucket="runs")["Contents"]}
    assert there == {f"one/run ü/{name}": len(content) for name, content in made.items()}
    body = store.get_object(Bucket="runs", Key="one/run ü/large.ckpt")["Body"].read()
    assert hashlib.sha256(body).digest() == hashlib.sha256(made["large.ckpt"]).digest()
    (page.folder / "checkpoints/run ü/small.ckpt").write_bytes(b"x" * 1000)
    assert (sent(page, address)["spared"], store.get_object(Bucket="runs", Key="one/run ü/small.ckpt")["Body"].read()) == (3, b"x" * 1000)
    assert "4 files are there and were compared" in page.client.get("fetches").text


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"bucket": "none"}, "There is no such bucket"), ({"endpoint": "http://127.0.0.1:9"}, "could not be reached")],
)
def test_what_the_store_refuses_is_said_in_words_and_tried_again_by_a_click(page: Page, address: str, store: Any, wrong, words: str, monkeypatch) -> None:
    monkeypatch.setattr(cloud, "TRIES", 1)
    laid(page, a=10)
    one = sent(page, address, **wrong)
    assert (one["state"], words in one["words"]) == ("failed", True)
    assert "Try again" in page.client.get("fetches").text
    assert page.act("send again", id=str(one["id"])).status_code == 200
    assert ended(page)["id"] > one["id"]
    assert len(page.client.get("api/exports").json()["items"]) == 1


def test_a_cancelled_one_ends_goes_on_by_a_click_and_only_two_go_at_once(page: Page, address: str, store: Any, monkeypatch) -> None:
    laid(page, a=10, b=10)
    go, reached = threading.Event(), threading.Event()
    real = cloud.Store.put

    def slow(self: Any, *given: Any) -> None:
        reached.set()
        assert go.wait(120)
        real(self, *given)

    monkeypatch.setattr(cloud.Store, "put", slow)
    for _ in range(2):
        assert page.act("send", path="checkpoints", **fields(address)).status_code == 200
    assert page.act("send", path="checkpoints", **fields(address)).status_code == 429
    assert reached.wait(120)
    assert page.client.get("status").json()["idle_s"] == 0
    for one in page.client.get("api/exports").json()["items"]:
        assert page.act("send not", id=str(one["id"])).status_code == 200
    go.set()
    one = ended(page)
    assert (one["state"], one["there"] < 2) == ("cancelled", True)
    wait_for(lambda: page.act("send again", id=str(one["id"])).status_code == 200, within=120, what="another try")
    assert (ended(page)["state"], ended(page)["there"]) == ("done", 2)


def test_a_file_that_changes_meanwhile_is_not_said_to_be_there(page: Page, address: str, store: Any, monkeypatch) -> None:
    laid(page, a=10)
    real = cloud.Store.put

    def meanwhile(self: Any, *given: Any) -> None:
        real(self, *given)
        (page.folder / "checkpoints/run ü/a.ckpt").write_bytes(b"longer than before")

    monkeypatch.setattr(cloud.Store, "put", meanwhile)
    one = sent(page, address)
    assert (one["state"], "changed while it was sent" in one["words"]) == ("failed", True)


@pytest.mark.parametrize(
    "wrong", [{"bucket": "a/b"}, {"bucket": ""}, {"endpoint": "file:///etc/passwd"}, {"key": ""}, {"secret": "a b"}, {"prefix": "a/../b"}, {"region": "../x"}]
)
def test_what_is_no_target_is_refused_beside_the_folder(wrong: dict[str, str]) -> None:
    with pytest.raises(Wrong):
        exports.target_of(fields("https://s3.example.edu", **wrong))


@pytest.fixture
def unsent(monkeypatch: pytest.MonkeyPatch) -> exports.Exports:
    """Exports that are begun, and then stand still."""
    monkeypatch.setattr(exports.Exports, "_run", lambda *_: None)
    return exports.Exports(None)  # type: ignore[arg-type]  # nothing is read


def test_one_under_way_is_remembered_however_many_come_after_it(unsent: exports.Exports) -> None:
    target = exports.target_of(fields("https://s3.example.edu"))
    first = unsent._begin("first", target)
    for number in range(2 * exports.REMEMBERED):
        unsent._begin(f"later {number}", target).state = exports.DONE
    assert (unsent.busy, first in unsent.all(), len(unsent.all())) == (True, True, exports.REMEMBERED + 2)
    unsent.cancel(first.id)
    assert not unsent.busy


def test_a_second_click_on_again_sends_nothing_twice(unsent: exports.Exports) -> None:
    one = unsent._begin("runs", exports.target_of(fields("https://s3.example.edu")))
    one.state = exports.FAILED
    unsent.again(one.id)
    with pytest.raises(Wrong):
        unsent.again(one.id)
    assert [known.folder for known in unsent.all()] == ["runs"]


def test_links_and_the_houses_folder_are_not_sent(page: Page, address: str, tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    (page.folder / "out").symlink_to(tmp_path / "away")
    assert page.act("send", path="out", **fields(address)).status_code == 404
    assert page.act("send", path=".gpulab", **fields(address)).status_code == 400


def test_the_keys_are_told_to_nobody_and_the_library_comes_with_the_program(tmp_path: Path, address: str, store: Any) -> None:
    """As a container has it: the packed program alone, a Python without any package, and no way to the keys from outside."""
    workspace, given = tmp_path / "workspace", tmp_path / "given"
    (workspace / "checkpoints").mkdir(parents=True)
    (workspace / "checkpoints/a.pt").write_bytes(b"weights")
    given.mkdir()
    (given / "desk.pyz").write_bytes(desk_program())
    (given / LIBRARY).write_bytes(desk_library())
    (given / "token").write_text(TOKEN)
    plan = {"workspace": str(workspace), "host": "127.0.0.1", "port": 0, "base": BASE, "token_file": str(given / "token"), "left": None}
    (given / "desk.json").write_text(json.dumps(plan | {"portal": "https://gpu.example.edu", "node": "local"}))
    script = (
        "import sys, json, time; sys.argv = sys.argv[1:]; sys.path.insert(0, sys.argv[0])\n"
        "from pathlib import Path\nfrom worker.desk.main import server_of\n"
        "server = server_of(json.loads(Path(sys.argv[1]).read_text())); exports = server.route._store.exports\n"
        "one = exports.start('checkpoints', json.load(sys.stdin))\n"
        "while one.state == 'running': time.sleep(0.05)\n"
        "import boto3; print(json.dumps([one.state, one.words, repr(exports._targets), str(vars(one)), boto3.__file__]))\n"
    )
    command = [sys.executable, "-I", "-S", "-c", script, str(given / "desk.pyz"), str(given / "desk.json")]
    done = subprocess.run(command, input=json.dumps(fields(address)), capture_output=True, text=True, timeout=300, env={"TMPDIR": str(tmp_path)}, check=False)
    assert done.returncode == 0, done.stderr
    state, words, *told, library = json.loads(done.stdout)
    assert (state, words) == ("done", "")
    assert library.startswith(str(tmp_path / "cloud-")), "not this machine's"
    assert not any(secret in done.stdout + done.stderr + "".join(told) for secret in (KEY, SECRET))
    assert not any(SECRET.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert "secret" not in repr(exports.target_of(fields(address)))
