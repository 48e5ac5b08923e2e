"""Saving the records and bringing them back."""

import json
import tarfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from allauth.socialaccount.models import SocialAccount
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import DateField

from labs.backup.archive import BadArchive
from labs.backup.records import FORGOTTEN, PRESENT, kept
from labs.backup.services import Restored, backup_restore, backup_write
from labs.catalogue.models import Image
from labs.fleet.models import Gpu, Node
from labs.ledger.models import Event
from labs.lifecycle import states
from labs.lifecycle.models import Lab, Lease
from labs.people.models import Membership, User
from labs.people.services import person_create, person_disable
from labs.quarantine.models import Stray
from labs.turns.models import Turn
from labs.turns.services import turn_take
from portal.shown import settings_shown
from tests.conftest import PASSWORD
from worker.spec import House, LabFacts, lab_spec

pytestmark = pytest.mark.django_db(transaction=True)
CLOCKED = ("last_login", "date_joined")


@pytest.fixture
def saved(alice: User, bob: User, running: Lab, tmp_path: Path, now: datetime) -> Path:
    """A backup of a house at work: alice's lab runs on a card, bob is of her team."""
    path = tmp_path / "house.tar.gz"
    backup_write(path=path, settings_shown={}, now=now)
    return path


@pytest.fixture
def running(alice: User, lab_of: Callable[..., Lab], now: datetime) -> Lab:
    """Alice's lab on a card; its end is in two hours."""
    lab = lab_of(alice, gpus=1)
    Lease.objects.create(lab=lab, gpu=Gpu.objects.order_by("index")[0], attempt=1, opened_at=now)
    Lab.objects.filter(pk=lab.pk).update(state=states.RUNNING, node_id="n1", started_at=now, ends_at=now + timedelta(hours=2))
    lab.refresh_from_db()
    return lab


def later(saved: Path, now: datetime, hours: float = 1) -> Restored:
    return backup_restore(path=saved, now=now + timedelta(hours=hours))


def test_what_was_changed_since_is_as_it_was(saved: Path, running: Lab, bob: User, now: datetime) -> None:
    Lab.objects.filter(pk=running.pk).update(name="other", cpus=1)
    Membership.objects.all().delete()
    Image.objects.update(title="Changed")
    later(saved, now)
    again = Lab.objects.get(pk=running.pk)
    assert (again.name, again.cpus, again.state) == (running.name, running.cpus, states.RUNNING)
    assert Lease.objects.filter(lab=again, closed_at=None).count() == 1
    assert Membership.objects.filter(user=bob).exists()
    assert Image.objects.get().title == "PyTorch 2.9"


def test_people_sign_in_with_the_password_of_then(saved: Path, alice: User, now: datetime) -> None:
    alice.set_password("another-password-7")
    alice.save()
    later(saved, now)
    assert User.objects.get(pk=alice.pk).check_password(PASSWORD)


def test_nothing_is_lost_from_the_audit_log(saved: Path, bob: User, root_admin: User, now: datetime) -> None:
    person_disable(user=bob, actor=root_admin, now=now + timedelta(minutes=5))
    before = set(Event.objects.values_list("pk", flat=True))
    done = later(saved, now)
    assert before < set(Event.objects.values_list("pk", flat=True))
    assert any("Bob" in words for words in done.undone)
    assert User.objects.get(pk=bob.pk).is_active


def test_an_account_made_since_is_kept_disabled_and_its_number_is_nobody_elses(saved: Path, root_admin: User, now: datetime) -> None:
    def make(name: str) -> User:
        return person_create(email=f"{name}@example.edu", display_name=name, role="student", group=None, actor=root_admin, now=now, password=PASSWORD)

    dora = make("dora")
    done = later(saved, now)
    assert done.people_kept == ["dora@example.edu"]
    assert not User.objects.get(pk=dora.pk).is_active
    eve = make("eve")
    assert eve.pk > dora.pk + 900
    assert eve.uid != dora.uid


def test_into_an_empty_database_too_no_number_of_a_lost_person_is_given_again(saved: Path, root_admin: User, now: datetime) -> None:
    lost = max(User.objects.values_list("pk", flat=True)) + 1
    Event.objects.all()._raw_delete("default")
    later(saved, now)
    assert person_create(email="eve@example.edu", display_name="Eve", role="student", group=None, actor=root_admin, now=now, password=PASSWORD).pk > lost


def test_a_running_lab_has_an_hour_though_its_end_has_passed(saved: Path, running: Lab, now: datetime) -> None:
    done = later(saved, now, hours=6)
    assert done.labs_extended == 1
    assert Lab.objects.get(pk=running.pk).ends_at == now + timedelta(hours=7)


def test_a_lab_with_time_left_keeps_its_end(saved: Path, running: Lab, now: datetime) -> None:
    assert later(saved, now, hours=0.5).labs_extended == 0
    assert Lab.objects.get(pk=running.pk).ends_at == running.ends_at


def test_no_lab_is_placed_before_the_nodes_have_told_what_runs(saved: Path, now: datetime) -> None:
    fence = turn_take(name="schedule", holder="n1")
    later(saved, now)
    assert turn_take(name="schedule", holder="n1") is None
    assert Turn.objects.get(pk="schedule").fence > (fence or 0)


def test_every_stray_is_met_anew(saved: Path, now: datetime) -> None:
    Stray.objects.create(node_id="n1", name="gpulab-x-1", first_seen_at=now, remove_at=now)
    later(saved, now)
    assert not Stray.objects.exists()


def test_a_node_that_joined_since_keeps_the_name_that_its_containers_bear(saved: Path, now: datetime) -> None:
    realm = Node.objects.create(pk="n2", name="n2").realm
    later(saved, now)
    assert Node.objects.get(pk="n2").realm == realm


def test_the_backup_before_a_restore_undoes_it(saved: Path, running: Lab, tmp_path: Path, now: datetime) -> None:
    Lab.objects.filter(pk=running.pk).update(name="other")
    backup_write(path=tmp_path / "before.tar.gz", settings_shown={}, now=now)
    later(saved, now)
    later(tmp_path / "before.tar.gz", now)
    assert Lab.objects.get(pk=running.pk).name == "other"


def test_a_backup_is_for_its_owner_alone_and_never_written_over(saved: Path, now: datetime) -> None:
    assert saved.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        backup_write(path=saved, settings_shown={}, now=now)


def test_it_lists_the_volume_that_a_lab_uses(saved: Path, running: Lab) -> None:
    with tarfile.open(saved) as archive:
        volumes = json.load(archive.extractfile("volumes.json"))  # type: ignore[arg-type]
    facts = LabFacts(running.pk, 1, Node.objects.get(pk="n1").realm, "", "", running.owner_id, 20000, (), 1, 1024, 512, 100, "/", "", "")
    assert [one["volume"] for one in volumes] == [lab_spec(facts, House("", "", isolates=False), "t").workspace]
    assert volumes[0]["owner"] == "alice@example.edu"


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b\x08\x00"])
def test_a_file_that_is_no_backup_is_refused_in_words(tmp_path: Path, content: bytes, now: datetime) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(BadArchive, match="backup"):
        backup_restore(path=tmp_path / "x", now=now)


def test_a_backup_cut_short_changes_nothing(saved: Path, running: Lab, now: datetime) -> None:
    Lab.objects.filter(pk=running.pk).update(name="other")
    saved.write_bytes(saved.read_bytes()[: saved.stat().st_size // 2])
    with pytest.raises(BadArchive):
        later(saved, now)
    assert Lab.objects.get(pk=running.pk).name == "other"


def test_one_of_another_version_is_refused_with_what_to_do(saved: Path, now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('people', '9999_next', %s)", [now])
    try:
        with pytest.raises(BadArchive, match="people differ"):
            later(saved, now)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM django_migrations WHERE name = '9999_next'")


def test_one_of_another_house_is_refused(saved: Path, now: datetime) -> None:
    first = Event.objects.order_by("pk")[0]
    Event.objects.filter(pk=first.pk).update(words="Something else.")
    with pytest.raises(BadArchive, match="another GPU Lab"):
        later(saved, now)


def test_a_record_that_writes_its_own_time_is_a_librarys_and_has_its_own_again(alice: User, tmp_path: Path, now: datetime) -> None:
    fields = [field for model in kept() for field in model._meta.fields if isinstance(field, DateField)]
    assert {str(field) for field in fields if field.auto_now or field.auto_now_add} == {f"socialaccount.SocialAccount.{name}" for name in CLOCKED}
    account = SocialAccount.objects.create(user=alice, provider="campus", uid="alice")
    then = dict.fromkeys(CLOCKED, now - timedelta(days=3))
    SocialAccount.objects.filter(pk=account.pk).update(**then)
    backup_write(path=tmp_path / "house.tar.gz", settings_shown={}, now=now)
    later(tmp_path / "house.tar.gz", now)
    assert SocialAccount.objects.values(*CLOCKED).get() == then


def test_every_kind_of_record_is_either_saved_or_known_to_stay() -> None:
    labels = {model._meta.label for model in apps.get_models()}
    assert labels >= PRESENT | FORGOTTEN
    assert {model._meta.label for model in kept()} == labels - PRESENT - FORGOTTEN


def test_secrets_are_not_among_the_settings() -> None:
    shown = settings_shown(
        {"GPULAB_SECRET_KEY": "s", "GPULAB_SMTP_PASSWORD": "s", "GPULAB_REDIS_URL": "redis://:hidden@h:1/0", "GPULAB_NODE": "n1", "HOME": "/"}
    )
    assert shown == {"GPULAB_NODE": "n1", "GPULAB_REDIS_URL": "redis://:…@h:1/0"}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the administrator types."""
    typed: list[str] = []
    monkeypatch.setattr("builtins.input", lambda _: typed.pop(0))
    return typed


def test_the_command_asks_first_and_saves_what_is(saved: Path, running: Lab, answers: list[str]) -> None:
    answers.append("n")
    with pytest.raises(CommandError, match="Nothing was changed"):
        call_command("restore", str(saved))
    answers.append("y")
    call_command("restore", str(saved))
    assert len(list(saved.parent.glob("before-restore-*"))) == 1


def test_the_command_says_what_it_wrote(alice: User, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("backup", str(tmp_path / "b.tar.gz"))
    assert "records" in capsys.readouterr().out
    with pytest.raises(CommandError, match="there already"):
        call_command("backup", str(tmp_path / "b.tar.gz"))
