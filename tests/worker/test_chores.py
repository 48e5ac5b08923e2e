"""Tidying, from the wish to the freed bytes: the house asks, the file page of the owner does it, and the record says what came of it."""

import os
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from labs.files.models import Desk
from labs.files.services import desk_answers
from labs.fleet.models import Node, NodeImage
from labs.ledger.models import Event
from labs.lifecycle.models import Lab
from labs.lifecycle.tokens import upstream_token
from labs.people.errors import Refused
from labs.people.models import User
from labs.storage.models import WorkspaceUse
from labs.tidying.models import Chore, Wish
from labs.tidying.rules import ASKED, CACHES, CHECKPOINTS, DONE, FAILED, LOOK, Keep
from labs.tidying.services import caches_save, chore_ask, chores_forget, chores_plan, keep_save, keep_switch, looks_ask
from tests.support.hands import AtOnce, Round, round_of  # noqa: F401  (fixture)
from worker import hands
from worker.desk.main import server_of
from worker.loops import chores

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
KEEP = Keep(1, "val_loss")


class House:
    """A node with alice's workspace; its file page is the real program, served here."""

    def __init__(self, round_: Round, alice: User, folder: Path) -> None:
        self.round, self.alice, self.folder, self.servers = round_, alice, folder / "workspace", []  # type: ignore[var-annotated]
        self.folder.mkdir()
        self.token = folder / "token"
        WorkspaceUse.objects.create(owner=alice, node_id="n1", size=10, measured_at=round_.now)

    def lay(self, name: str, *, hours: float) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(20_000))
        at = self.round.now.timestamp() - hours * 3600
        os.utime(path, (at, at))

    def serve(self, desk: Desk) -> None:
        """What the files loop does: start the program and say where it answers."""
        self.token.write_text(upstream_token(lab_id=desk.pk, attempt=desk.attempt))
        plan = {"workspace": str(self.folder), "host": "127.0.0.1", "port": 0, "base": desk.base_url, "token_file": str(self.token), "left": None}
        self.servers.append(server_of(plan | {"portal": "https://gpu.example.edu", "node": "n1"}))
        threading.Thread(target=self.servers[-1].serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        assert desk_answers(desk=desk, address=("127.0.0.1", self.servers[-1].server_port), now=self.round.now)

    def tick(self) -> None:
        chores.house_tick(now=self.round.now)
        for desk in Desk.objects.filter(state=Desk.State.OPENING):
            self.serve(desk)
        chores.tick(hands=self.round.hands, now=self.round.now)

    def last(self, kind: str) -> Chore:
        return Chore.objects.filter(kind=kind).first()  # type: ignore[return-value]

    def saved(self, keep: Keep = KEEP) -> None:
        keep_save(user=self.alice, folders=["checkpoints"], keep=keep, now=self.round.now)
        looks_ask(user=self.alice, now=self.round.now)

    def there(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "checkpoints").iterdir())


@pytest.fixture
def house(round_of: Callable[..., Round], alice: User, image: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr(chores, "pool", AtOnce())
    monkeypatch.setattr(hands, "close_old_connections", lambda: None)
    round_ = round_of()
    house = House(round_, alice, tmp_path)
    monkeypatch.setattr("worker.desk.checkpoints.time.time", lambda: round_.now.timestamp() + 7200)  # files of the test were all touched just now
    for name, hours in (("epoch=1-val_loss=0.2", 9), ("epoch=2-val_loss=0.5", 8), ("epoch=3-val_loss=0.4", 7)):
        house.lay(f"checkpoints/{name}.ckpt", hours=hours)
    round_.now += 2 * HOUR
    Node.objects.update(heartbeat_at=round_.now)
    yield house
    for server in house.servers:
        server.shutdown()
        server.server_close()


def _ended(house: House, lab_of: Callable[..., Lab], at: object) -> Lab:
    lab = lab_of(house.alice)
    Lab.objects.filter(pk=lab.pk).update(node_id="n1", state="stopped", ended_at=at)
    return lab


def test_what_would_go_is_shown_and_nothing_goes_before_it_is_switched_on(house: House, lab_of: Callable[..., Lab]) -> None:
    with pytest.raises(Refused, match="look at what would go"):
        keep_switch(user=house.alice, on=True, now=house.round.now)
    house.saved()
    with pytest.raises(Refused, match="look at what would go"):
        keep_switch(user=house.alice, on=True, now=house.round.now)
    house.tick()
    look = house.last(LOOK)
    assert (look.state, look.words, look.found["all"], look.found["goes"]) == (DONE, "", 3, 1)
    assert {one["path"]: one["stays"] for one in look.found["seen"]} == {
        "checkpoints/epoch=2-val_loss=0.5.ckpt": "",
        "checkpoints/epoch=1-val_loss=0.2.ckpt": "the best by val_loss",
        "checkpoints/epoch=3-val_loss=0.4.ckpt": "the newest",
    }
    _ended(house, lab_of, house.round.now - HOUR)
    house.tick()
    assert len(house.there()) == 3
    keep_switch(user=house.alice, on=True, now=house.round.now)
    house.tick()
    row = house.last(CHECKPOINTS)
    assert (row.state, row.why, row.count, row.freed >= 20_000) == (DONE, "rule", 1, True)
    assert house.there() == ["epoch=1-val_loss=0.2.ckpt", "epoch=3-val_loss=0.4.ckpt"]
    assert "1 older checkpoints of Alice" in Event.objects.get(kind="disk.checkpoints").words
    house.tick()
    assert Chore.objects.filter(kind=CHECKPOINTS).count() == 1


def test_other_words_switch_it_off_until_they_were_looked_at(house: House) -> None:
    house.saved()
    house.tick()
    keep_switch(user=house.alice, on=True, now=house.round.now)
    house.round.now += HOUR
    house.saved(Keep(2))
    assert not Wish.objects.get().on
    with pytest.raises(Refused, match="Look at what would go first"):
        chore_ask(user=house.alice, node_id="n1", kind=CHECKPOINTS, now=house.round.now)
    house.tick()
    chore_ask(user=house.alice, node_id="n1", kind=CHECKPOINTS, now=house.round.now)
    with pytest.raises(Refused, match="being done already"):
        chore_ask(user=house.alice, node_id="n1", kind=CHECKPOINTS, now=house.round.now)
    house.tick()
    assert len(house.there()) == 2


def test_caches_are_emptied_when_the_last_lab_has_ended_and_the_bytes_are_written_down(house: House, lab_of: Callable[..., Lab]) -> None:
    house.lay(".cache/pip/http/a", hours=1)
    house.lay(".cache/torch/b", hours=1)
    _ended(house, lab_of, house.round.now - HOUR)
    caches_save(user=house.alice, names=["pip"], now=house.round.now)
    house.tick()
    assert not Chore.objects.exists(), "that lab had ended before it was wished"
    house.round.now += HOUR
    lab = _ended(house, lab_of, None)
    Lab.objects.filter(pk=lab.pk).update(state="running")
    house.tick()
    assert not Chore.objects.exists(), "a lab of hers runs"
    Lab.objects.filter(pk=lab.pk).update(state="stopped", ended_at=house.round.now)
    house.tick()
    row = house.last(CACHES)
    assert (row.state, row.freed >= 20_000, [path.name for path in (house.folder / ".cache").rglob("*") if path.is_file()]) == (DONE, True, ["b"])
    assert Event.objects.get(kind="disk.caches").fact["freed"] == row.freed
    house.round.now += HOUR
    house.tick()
    assert Chore.objects.count() == 1
    assert chore_ask(user=house.alice, node_id="n1", kind=CACHES, caches=["torch"], now=house.round.now).why == "asked"
    house.tick()
    assert house.last(CACHES).found == {"caches": {"torch": house.last(CACHES).freed}}


def test_what_cannot_be_done_is_given_up_in_words_and_strangers_have_no_say(house: House, bob: User) -> None:
    house.saved()
    house.round.now += timedelta(minutes=16)
    assert chores_plan(now=house.round.now) == 0
    assert (house.last(LOOK).state, "away or busy" in house.last(LOOK).words) == (FAILED, True)
    with pytest.raises(Refused, match="no workspace"):
        chore_ask(user=bob, node_id="n1", kind=CACHES, caches=["pip"], now=house.round.now)
    NodeImage.objects.all().delete()
    with pytest.raises(Refused, match="no image yet"):
        looks_ask(user=house.alice, now=house.round.now)


def test_a_page_that_lies_is_believed_nothing_that_it_may_not_say(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"size": 1, "changed": 1.0, "touched": 1.0}
    lies = [{"path": path, **told} for path in ("checkpoints/\ud800.pt", "elsewhere/x.pt", "checkpoints/1.pt", "checkpoints/2.pt", 7)] + [
        "x",
        {"path": "checkpoints/3.pt"},
    ]
    monkeypatch.setattr(chores, "asked", lambda *_: {"found": lies, "missing": ["<b>"], "caches": {"pip": "x", "root": 9}, "gone": ["checkpoints/9.pt"]})
    house.saved()
    house.tick()
    found = house.last(LOOK).found
    assert ([one["path"] for one in found["seen"]], found["missing"], found["caches"]) == (["checkpoints/2.pt", "checkpoints/1.pt"], [], {})


def test_of_what_did_nothing_only_the_last_is_kept(house: House) -> None:
    for _ in range(3):
        house.saved()
        house.tick()
    assert Chore.objects.filter(state=ASKED).count() == 0
    assert (chores_forget(), Chore.objects.count()) == (2, 1)


def test_the_page_says_what_would_go_and_does_what_its_buttons_say(house: House, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.utils.timezone.now", lambda: house.round.now)
    client.force_login(house.alice, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert "Nobody has looked yet" in client.get(reverse("tidy")).content.decode()
    sent = {"folders": "checkpoints\nruns", "newest": 1, "metric": "val_loss", "direction": "min"}
    client.post(reverse("tidy_keep"), sent)
    house.tick()
    page = client.get(reverse("tidy")).content.decode()
    assert "There is no folder <code>runs</code>" in page
    assert "stays: the best by val_loss" in page
    assert "Switch it on" in page
    assert "below your workspace" in client.post(reverse("tidy_keep"), sent | {"folders": "../x"}).content.decode().lower()
    client.post(reverse("tidy_switch"), {"on": "1"})
    assert Wish.objects.get().on
    client.post(reverse("tidy_checkpoints"), {"node": "n1"})
    client.post(reverse("tidy_caches"), {"caches": ["pip", "torch"]})
    house.tick()
    assert Wish.objects.get().caches == ["pip", "torch"]
    assert "1 checkpoint into the trash" in client.get(reverse("tidy_now")).content.decode()
    assert client.post(reverse("tidy_clear"), {"node": "n1", "caches": "root"}, follow=True).status_code == 200
    assert not Chore.objects.filter(kind=CACHES).exists()
