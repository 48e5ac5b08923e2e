"""The loop that reads data sets, and what it lets into labs."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from labs.datasets.models import DataCopy, DataSet
from labs.datasets.queries import SOONER
from labs.fleet.models import Node
from labs.lifecycle.models import Lab
from labs.people.models import Group, User
from tests.support.hands import AtOnce, Round, round_of  # noqa: F401  (fixture)
from worker.beside import data_of, teams_of
from worker.loops import datasets
from worker.runtimes.folders import folder_sum
from worker.runtimes.mounts import Mount


@pytest.fixture
def house(round_of: Callable[..., Round], settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Round:
    """A node at work that gives a folder away."""
    monkeypatch.setattr(datasets, "pool", AtOnce())
    settings.DATA_FOLDERS = (tmp_path / "given",)
    (tmp_path / "given/flowers").mkdir(parents=True)
    (tmp_path / "given/flowers/rose.txt").write_text("red\n")
    return round_of()


def _registered(house: Round, source: object) -> DataSet:
    return DataSet.objects.create(name="flowers", version="1", title="Flowers", backend="folder", source=str(source), registered_at=house.now)


def _tick(house: Round) -> DataCopy:
    datasets.tick(hands=house.hands, now=house.now)
    return DataCopy.objects.get()


@pytest.mark.django_db(transaction=True)
def test_a_set_is_read_whole_before_any_lab_sees_it(house: Round, alice: User, tmp_path: Path) -> None:
    one = _registered(house, tmp_path / "given/flowers")
    assert data_of(owner=alice, node_id="n1", realm="r") == ()
    copy = _tick(house)
    assert (copy.state, copy.size, copy.files, len(copy.checksum)) == ("ready", 4, 1, 64)
    folder = str(tmp_path / "given/flowers")
    assert data_of(owner=alice, node_id="n1", realm="r") == (Mount("/data/flowers", "folder", folder), Mount("/data/flowers@1", "folder", folder))
    datasets.tick(hands=house.hands, now=house.now)
    one.refresh_from_db()
    assert one.checksum == copy.checksum


@pytest.mark.django_db(transaction=True)
def test_a_folder_that_the_node_does_not_give_is_no_data_set_by_whatever_way(house: Round, alice: User, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "given/way").symlink_to(tmp_path / "secret")
    _registered(house, tmp_path / "given/way")
    copy = _tick(house)
    assert (copy.state, "GPULAB_DATA_FOLDERS" in copy.words) == ("failed", True)
    DataSet.objects.update(source=str(tmp_path / "given/flowers"))
    DataCopy.objects.all().delete()
    _tick(house)
    (tmp_path / "given/flowers/rose.txt").unlink()
    (tmp_path / "given/flowers").rmdir()
    (tmp_path / "given/flowers").symlink_to(tmp_path / "secret")
    assert data_of(owner=alice, node_id="n1", realm="r") == (), "it became a link after it was read"


@pytest.mark.django_db(transaction=True)
def test_a_set_that_asks_for_encrypted_workspaces_is_not_read_on_another_node_until_it_encrypts(house: Round, alice: User, tmp_path: Path, settings) -> None:
    settings.GPULAB_HOME = tmp_path
    one = _registered(house, tmp_path / "given/flowers")
    DataSet.objects.update(encrypted_only=True)
    Node.objects.update(encrypts=False)
    copy = _tick(house)
    assert (copy.state, copy.words) == ("failed", "workspaces there do not lie encrypted, and the data set asks that they do.")
    (tmp_path / "copies/flowers@1").mkdir(parents=True)
    DataSet.objects.update(backend="s3")
    house.now += SOONER
    assert f"A copy from before lies in {tmp_path}/copies/{one}" in _tick(house).words
    DataSet.objects.update(backend="folder")
    Node.objects.update(encrypts=True)
    house.now += SOONER
    assert _tick(house).state == "ready" and data_of(owner=alice, node_id="n1", realm="r")


@pytest.mark.django_db(transaction=True)
def test_a_lab_is_handed_the_teams_folder_data_and_scratch_by_the_record_alone(
    house: Round, alice: User, charlie: User, team: Group, lab_of: Callable[..., Lab], tmp_path: Path
) -> None:
    DataSet.groups.through.objects.create(dataset=_registered(house, tmp_path / "given/flowers"), group=team)
    _tick(house)
    for owner, seen in ((alice, ["/data/flowers", "/data/flowers@1", "/scratch", "/team/vision"]), (charlie, ["/scratch"])):
        lab = lab_of(owner)
        house.until(lab, "running")
        assert sorted(one.target for one in house.runtime.specs[lab.pk].mounts) == seen
    assert (len(teams_of(owner=alice)), teams_of(owner=charlie)) == (1, ())


def test_the_checksum_is_what_a_shell_says(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("z.txt", "b/a.txt", "b/strange\nname", "back\\slash", "ä"):
        (tmp_path / name).write_bytes(os.urandom(1000))
    (tmp_path / "link").symlink_to("z.txt")
    script = "find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"
    said = subprocess.run(["sh", "-c", script], cwd=tmp_path, check=True, capture_output=True, text=True).stdout.split()[0]
    found = folder_sum(tmp_path, 60)
    assert (found.checksum, found.size, found.files) == (said, 5000, 5)
