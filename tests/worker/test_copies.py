"""Data sets of S3, by the real rclone from a real server of it: copied, followed, read by labs, refused in words, and with keys that are told to nobody."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import settings as store_settings
from moto.server import ThreadedMotoServer

from labs.datasets.models import DataCopy, DataSet
from labs.ledger.models import Event
from labs.people.models import User
from tests.support.hands import AtOnce, Round, round_of  # noqa: F401  (fixture)
from worker import copies
from worker.beside import data_of
from worker.loops import datasets
from worker.runtimes.folders import folder_sum

EVERYTHING = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})
RED = {"flowers/rose.txt": b"red\n", "flowers/more/a ü.bin": b"\0" * 100_000}


@dataclass(frozen=True)
class Store:
    """A server of S3 that knows one key and refuses others."""

    address: str
    key: str
    secret: str
    client: Any

    def settings(self, file: Path, *, secret: str = "", endpoint: str = "") -> None:
        """rclone's settings of a node."""
        keys = {"endpoint": endpoint or self.address, "access_key_id": self.key, "secret_access_key": secret or self.secret}
        rows = {"type": "s3", "provider": "Other", "region": "us-east-1"} | keys
        file.write_text("[campus]\n" + "".join(f"{name} = {value}\n" for name, value in rows.items()))

    def put(self, **files: bytes) -> None:
        """Objects of the bucket."""
        for name, content in files.items():
            self.client.put_object(Bucket="bucket", Key=name, Body=content)


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """It looks at the keys of each call, once they are made."""
    if shutil.which("rclone") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs rclone: apt-get install rclone")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"

    def client_of(service: str, key: str, secret: str) -> Any:
        return boto3.client(service, endpoint_url=address, aws_access_key_id=key, aws_secret_access_key=secret, region_name="us-east-1")

    people = client_of("iam", "x", "x")
    people.create_user(UserName="campus")
    people.put_user_policy(UserName="campus", PolicyName="all", PolicyDocument=EVERYTHING)
    made = people.create_access_key(UserName="campus")["AccessKey"]
    before, store_settings.INITIAL_NO_AUTH_ACTION_COUNT = store_settings.INITIAL_NO_AUTH_ACTION_COUNT, 0.0
    client = client_of("s3", made["AccessKeyId"], made["SecretAccessKey"])
    client.create_bucket(Bucket="bucket")
    yield Store(address, made["AccessKeyId"], made["SecretAccessKey"], client)
    store_settings.INITIAL_NO_AUTH_ACTION_COUNT = before
    server.stop()


@dataclass
class Node:
    """A node with rclone's settings of its own, and all that was ever started on it."""

    house: Round
    store: Store
    file: Path
    started: list[list[str]]

    def looks(self) -> DataCopy:
        """The worker looks at the set again."""
        self.house.now += timedelta(days=8)
        datasets.tick(hands=self.house.hands, now=self.house.now)
        datasets.tick(hands=self.house.hands, now=self.house.now)
        return DataCopy.objects.get()

    def registered(self, source: str = "campus:bucket/flowers") -> DataSet:
        return DataSet.objects.create(name="flowers", version="1", title="Flowers", backend="s3", source=source, registered_at=self.house.now)


@pytest.fixture
def there(store: Store, round_of: Callable[..., Round], settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    monkeypatch.setattr(datasets, "pool", AtOnce())
    settings.GPULAB_HOME = tmp_path / "home"
    file, started, run = tmp_path / "rclone.conf", [], subprocess.run

    def seen(command: list[str], **more: Any) -> Any:
        started.append([*command, *more["env"].values()] if "rclone" in command[0] else command)
        return run(command, **more)

    monkeypatch.setattr(copies.subprocess, "run", seen)
    monkeypatch.setenv("RCLONE_CONFIG", str(file))
    store.settings(file)
    store.put(**RED)
    umask = os.umask(0o027)  # as the worker's unit has it
    yield Node(round_of(), store, file, started)
    os.umask(umask)
    for one in store.client.list_objects_v2(Bucket="bucket").get("Contents", []):
        store.client.delete_object(Bucket="bucket", Key=one["Key"])


def _as_lab(path: Path) -> bytes:
    """What a lab's user reads: another one than the worker's, where the test may be one."""
    other = {"user": 20_001, "group": 20_001, "extra_groups": []} if os.geteuid() == 0 else {}
    return subprocess.Popen(["cat", path.name], cwd=path.parent, stdout=subprocess.PIPE, **other).communicate()[0]


@pytest.mark.django_db(transaction=True)
def test_a_set_of_s3_is_copied_whole_and_follows_the_store_and_labs_read_what_was_registered(there: Node, alice: User) -> None:
    one = there.registered()
    copy = there.looks()
    assert (copy.state, copy.words, copy.size, copy.files) == ("ready", "", 100_004, 2)
    (mount, _) = data_of(owner=alice, node_id="n1", realm="r")
    folder = Path(mount.source)
    assert (mount.target, copy.checksum) == ("/data/flowers", folder_sum(folder, 60).checksum)
    assert (folder.stat().st_mode & 0o777, _as_lab(folder / "rose.txt"), len(_as_lab(folder / "more/a ü.bin"))) == (0o755, b"red\n", 100_000)
    there.store.put(**{"flowers/rose.txt": b"crimson\n", "flowers/tulip.txt": b"yellow\n"})
    assert (there.looks().state, (folder / "rose.txt").read_bytes(), (folder / "tulip.txt").exists()) == ("ready", b"crimson\n", True)
    assert data_of(owner=alice, node_id="n1", realm="r") == (), "other files than those that were registered"
    there.store.put(**RED)
    there.store.client.delete_object(Bucket="bucket", Key="flowers/tulip.txt")
    one.refresh_from_db()
    assert (there.looks().checksum, len(data_of(owner=alice, node_id="n1", realm="r"))) == (one.checksum, 2)


@pytest.mark.django_db(transaction=True)
def test_what_cannot_be_copied_is_told_in_words_the_copy_that_labs_read_stays_whole_and_the_keys_are_told_to_nobody(
    there: Node, settings, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPULAB_SECRET_KEY", "of-the-house")
    one = there.registered()
    there.looks()
    for source, words in (
        ("campus:bucket/absent", "campus:bucket/absent could not be copied: nothing is there."),
        ("campus:absent/flowers", "campus:absent/flowers could not be copied: the store has no such bucket or folder."),
        ("other:bucket/flowers", "other:bucket/flowers could not be copied: this node's settings of rclone have no remote of that name."),
    ):
        DataSet.objects.update(source=source)
        copy = there.looks()
        assert (copy.state, copy.words) == ("failed", words)
    DataSet.objects.update(source=one.source)
    there.store.settings(there.file, secret="wrong/" + "0" * 34)
    assert there.looks().words.endswith("the store refuses the keys in this node's settings of rclone.")
    there.store.settings(there.file, endpoint="http://127.0.0.1:9")
    assert there.looks().words.endswith("the store does not answer.")
    assert {path.name for path in (settings.GPULAB_HOME / "copies/flowers@1").rglob("*.*")} == {"rose.txt", "a ü.bin"}
    records = [list(rows.values()) for rows in (DataSet.objects, DataCopy.objects, Event.objects)]
    everywhere = repr([records, caplog.text, there.started])
    assert [name for name in ("lsf", "sync", "does not answer") if name not in everywhere] == []
    assert [secret for secret in (there.store.secret, there.store.key, "wrong/", "of-the-house") if secret in everywhere] == []
    monkeypatch.setenv("PATH", str(tmp_path))
    assert there.looks().words.startswith("rclone is not installed on this node")


def test_an_authority_of_the_campus_is_handed_to_rclone_by_the_name_that_all_versions_of_it_take() -> None:
    given = {"AWS_CA_BUNDLE": "/etc/campus.pem", "HOME": "/root", "GPULAB_SECRET_KEY": "x"}
    assert copies.surroundings(given) == {"RCLONE_CA_CERT": "/etc/campus.pem", "HOME": "/root"}
    assert copies.surroundings({"AWS_CA_BUNDLE": "/a", "RCLONE_CA_CERT": "/b"}) == {"RCLONE_CA_CERT": "/b"}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("", "rclone does not say why."),
        ("a\n2026/11/22 00:19:57 Failed to sync: something new", "Failed to sync: something new."),
        ("write: no space left on device", "the disk of this node is full."),
    ],
)
def test_what_rclone_says_is_put_into_words(said: str, words: str) -> None:
    assert copies.meant(said) == words
