"""Folders that become templates, copied out of a real file page."""

import io
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from labs.files.models import Desk
from labs.fleet.models import Node
from labs.lifecycle.tokens import upstream_token
from labs.people.models import Role, User
from labs.starters.models import Parcel
from labs.starters.queries import bundle_of
from labs.starters.rules import MOST_BYTES
from labs.starters.services import parcel_ask, template_make
from tests.labs.starters.test_folders import OF_FOLDER
from tests.support.hands import AtOnce, Round, round_of  # noqa: F401  (fixture)
from tests.worker.test_starters import placed, tree
from worker.desk.main import server_of
from worker.loops import parcels
from worker.shipped import unpacked

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def house(round_of: Callable[..., Round], root_admin: User, monkeypatch: pytest.MonkeyPatch) -> Round:
    """A node at work."""
    monkeypatch.setattr(parcels, "pool", AtOnce())
    return round_of()


@pytest.fixture
def desk(house: Round, alice: User, tmp_path: Path) -> Iterator[Desk]:
    """Alice's file page, open, over a folder of the test."""
    User.objects.filter(pk=alice.pk).update(role=Role.TEACHER)
    alice.refresh_from_db()
    row = Desk.objects.create(owner=alice, node_id="n1", attempt=1, state_since=house.now, wanted_until=house.now)
    (tmp_path / "workspace/lessons/data").mkdir(parents=True)
    (tmp_path / "token").write_text(upstream_token(lab_id=row.pk, attempt=1))
    plan = {"workspace": str(tmp_path / "workspace"), "host": "127.0.0.1", "port": 0, "base": row.base_url, "token_file": str(tmp_path / "token"), "left": None}
    server = server_of(plan | {"portal": "https://gpu.example.edu", "node": "local"})
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    Desk.objects.filter(pk=row.pk).update(state=Desk.State.OPEN, host="127.0.0.1", port=server.server_port)
    yield Desk.objects.get(pk=row.pk)
    server.shutdown()
    server.server_close()


def _copied(house: Round, owner: User, folder: str = "lessons") -> Parcel:
    parcel = parcel_ask(owner=owner, node=Node.objects.get(pk="n1"), folder=folder, now=house.now)
    parcels.tick(hands=house.hands)
    parcel.refresh_from_db()
    return parcel


def test_a_folder_is_copied_as_it_is_and_put_once_into_other_peoples_workspaces(house: Round, desk: Desk, alice: User, tmp_path: Path) -> None:
    lessons, told = tmp_path / "workspace/lessons", {"first.ipynb": b"{}", "data/a.csv": b"1,2\n", "b.py": b"token = 'abcdefgh1'\n"}
    for name, content in told.items():
        (lessons / name).write_bytes(content)
    (lessons / ".env").write_text("PASSWORD=1")
    (lessons / "link").symlink_to("/etc/passwd")
    parcel = _copied(house, alice)
    assert (parcel.state, parcel.files, parcel.words) == ("ready", sorted(told), "2 hidden or linked files stayed behind.")
    assert parcel.warnings == ["b.py holds what looks like a password or key that is written down."]
    draft: Any = {"parcel": parcel, "looked": True}
    group = alice.memberships.get().group
    made = template_make(title="Vision", summary="One.", minutes=5, group=group, draft=replace(OF_FOLDER, **draft), actor=alice, now=house.now)
    (lessons / "b.py").write_text("changed afterwards")
    held = bundle_of(version=made.versions.get())
    assert held is not None
    files = unpacked(held)
    home = tmp_path / "bob"
    home.mkdir()
    assert placed(home, files=files, folder=made.versions.get().folder)["kept"] is False
    assert tree(home / "templates/vision-v1") == told
    (home / "templates/vision-v1/b.py").write_bytes(b"my own work")
    assert placed(home, files=files, folder=made.versions.get().folder)["kept"] is True
    assert tree(home / "templates/vision-v1")["b.py"] == b"my own work"


@pytest.mark.parametrize("kind", ["missing", "empty", "large"])
def test_what_cannot_be_a_template_is_said_in_words(house: Round, desk: Desk, alice: User, tmp_path: Path, kind: str) -> None:
    if kind == "large":
        with (tmp_path / "workspace/lessons/big.bin").open("wb") as file:
            file.truncate(MOST_BYTES + 1)
    parcel = _copied(house, alice, "nothing" if kind == "missing" else "lessons")
    assert (parcel.state, parcel.words) == ("failed", parcels.LARGE if kind == "large" else parcels.NONE)


def test_it_waits_for_the_file_page_to_open_and_gives_up_in_words(house: Round, alice: User, desk: Desk) -> None:
    Desk.objects.update(state=Desk.State.CLOSED)
    parcel = _copied(house, alice)
    assert parcel.state == "asked"
    Parcel.objects.update(asked_at=house.now - timedelta(minutes=3))
    parcels.tick(hands=house.hands)
    assert Parcel.objects.get().words == parcels.SHUT


def _broken(how: str) -> bytes:
    """A zip that is none when it is read."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("lessons/a.txt", b"abc" * 100)
    content = bytearray(made.getvalue())
    entry = content.index(b"PK\x01\x02")
    if how == "locked":
        content[6] |= 1
        content[entry + 8] |= 1
    elif how == "packed in a way that nobody knows":
        content[8] = content[entry + 10] = 98
    else:
        content[45:60] = b"\xff" * 15
    return bytes(content)


def test_a_zip_that_cannot_be_read_settles_the_wish_in_words(house: Round, desk: Desk, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    for how in ("locked", "packed in a way that nobody knows", "damaged"):
        monkeypatch.setattr(parcels, "fetched", lambda *_, how=how: _broken(how))
        parcel = _copied(house, alice)
        assert (parcel.state, parcel.words) == ("failed", parcels.BROKEN), how
