"""Jobs that a file starts: once for each that arrives whole, never for what lay there before, and never outside the workspace."""

import os
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from labs.fleet.models import Node
from labs.jobs.models import Arrival, Trigger
from labs.jobs.queries import arrivals_waiting
from labs.jobs.rules import watch_fault
from labs.jobs.services import trigger_create, trigger_pause, trigger_remove
from labs.lifecycle.models import Lab
from labs.lifecycle.wishes import Wish
from labs.people.errors import Refused
from tests.support.hands import NoCards
from worker.hands import Hands
from worker.loops import arrivals, jobs
from worker.runtimes.base import RuntimeFault
from worker.runtimes.fake import FakeRuntime
from worker.runtimes.folders import folder_files
from worker.runtimes.mounts import Measured
from worker.spec import workspace_name

Place = Callable[[dict[str, str]], list[Lab]]


@pytest.fixture
def kept(alice: Any, image: Any, node: Any, now: datetime) -> Trigger:
    wish = Wish(image_id=image.pk, gpus=0, cpus=2, memory_gib=4, hours=2, command=("python", "read.py", "{file}"))
    return trigger_create(owner=alice, name="reader", wish=wish, kind="file", watch="in/box", now=now)[0]


@pytest.fixture
def look(alice: Any, kept: Trigger, now: datetime) -> Iterator[Place]:
    """`look({"a.csv": "1"})`: that lies there at the next look; the labs that came of it. A second apart."""
    runtime, moment = FakeRuntime(), now
    hands = Hands(node_id="n1", runtime=runtime, probe=NoCards())
    workspace = workspace_name(Node.objects.get().realm, alice.pk)
    runtime.sizes[workspace] = Measured(0, 0)

    def again(files: dict[str, str]) -> list[Lab]:
        nonlocal moment
        moment += timedelta(seconds=10)
        runtime.files[workspace, "in/box"] = files
        arrivals.tick(hands=hands, now=moment)
        return jobs.tick(now=moment)

    arrivals.before.clear()
    yield again
    arrivals.before.clear()


@pytest.mark.django_db
def test_a_file_that_arrives_starts_one_job_with_its_path(look: Place) -> None:
    before = {"old.csv": "3-1"}
    assert look(before) == look(before) == []
    there = before | {"new file; rm -rf.csv": "5-2"}
    assert look(there) == [], "it may still be written"
    (lab,) = look(there)
    assert lab.command == ["python", "read.py", "/workspace/in/box/new file; rm -rf.csv"]
    assert look(there) == look(there) == [] and Lab.objects.count() == 1


@pytest.mark.django_db
def test_a_file_that_still_grows_is_waited_for_and_one_that_was_changed_is_another(look: Place) -> None:
    for files in ({}, {}, {"a": "1-1"}, {"a": "2-2"}, {"a": "3-3"}):
        assert look(files) == []
    assert len(look({"a": "3-3"})) == 1
    assert look({"a": "4-9"}) == [] and len(look({"a": "4-9"})) == 1
    assert Arrival.objects.count() == 1, "what does not lie there any more is forgotten"


@pytest.mark.django_db
def test_what_is_unfinished_or_hidden_starts_nothing(look: Place) -> None:
    look({})
    look({})
    names = dict.fromkeys((".a.csv.Xy12", "a.part", "a.crdownload", "a~", "a\nb"), "1-1")
    assert look(names) == look(names) == []


@pytest.mark.django_db
def test_a_worker_that_was_away_starts_what_came_meanwhile(look: Place) -> None:
    look({})
    look({})
    arrivals.before.clear()  # it was started anew
    assert look({"a": "1-1"}) == []
    assert len(look({"a": "1-1"})) == 1


@pytest.mark.django_db
def test_a_file_whose_job_is_refused_now_waits_and_its_owner_reads_why(look: Place, alice: Any, kept: Trigger) -> None:
    look({})
    look({})
    wish, kept.wish = kept.wish, kept.wish | {"gpus": 900}
    kept.save()
    assert look({"a": "1-1"}) == look({"a": "1-1"}) == []
    kept.refresh_from_db()
    assert kept.last_words
    Trigger.objects.update(wish=wish)
    assert len(look({"a": "1-1"})) == 1


@pytest.mark.django_db
def test_a_thousand_files_of_one_person_hold_up_nobody_elses(alice: Any, bob: Any, kept: Trigger, image: Any, now: datetime) -> None:
    wish = Wish(image_id=image.pk, gpus=0, cpus=2, memory_gib=4, hours=2, command=("true",))
    bobs, _ = trigger_create(owner=bob, name="reader", wish=wish, kind="file", watch="in", now=now)
    for trigger, count, moment in ((kept, 1200, now), (bobs, 2, now + timedelta(hours=1))):
        Arrival.objects.bulk_create(Arrival(trigger=trigger, node_id="n1", file=f"{number}", mark="1-1", seen_at=moment) for number in range(count))
    assert [(one.trigger, one.file) for one in arrivals_waiting()] == [(kept, "0"), (bobs, "0")]


@pytest.mark.django_db
def test_a_paused_or_removed_one_starts_nothing(look: Place, kept: Trigger, now: datetime) -> None:
    look({})
    look({})
    trigger_pause(trigger=kept, paused=True, now=now)
    assert look({"a": "1-1"}) == look({"a": "1-1"}) == []
    trigger_remove(trigger=kept, now=now)
    assert look({"b": "1-1"}) == look({"b": "1-1"}) == [] and not Arrival.objects.exists()


@pytest.mark.parametrize("folder", ["", "/etc", "..", "a/../b", "a//b", ".", "a/", ".gpulab/x", "a\nb", "x" * 201])
def test_a_folder_outside_the_workspace_is_none(folder: str) -> None:
    assert watch_fault(folder)


@pytest.mark.django_db
def test_a_folder_is_asked_for_beside_its_field(alice: Any, image: Any, node: Any, now: datetime) -> None:
    with pytest.raises(Refused) as refused:
        trigger_create(owner=alice, name="reader", wish=Wish(image_id=image.pk, gpus=0, cpus=1, memory_gib=1, hours=1, command=("x",)), kind="file", now=now)
    assert refused.value.field == "watch"


def test_only_plain_files_are_seen_and_no_link_leads_out(tmp_path: Path) -> None:
    place, outside = tmp_path / "home", tmp_path / "outside"
    for folder in (place / "in/box/deeper", outside):
        folder.mkdir(parents=True)
    (outside / "secret").write_text("x")
    (place / "in/box/a").write_text("abc")
    (place / "in/box/link").symlink_to(outside / "secret")
    (place / "elsewhere").symlink_to(outside)
    os.mkfifo(place / "in/box/pipe")
    assert list(folder_files(place, "in/box", 10)) == ["a"]
    assert folder_files(place, "elsewhere", 10) == folder_files(place, "none", 10) == folder_files(place, "in/box/a", 10) == {}
    (place / "in/box/a").write_text("abcd")
    assert folder_files(place, "in/box", 10)["a"].startswith("4-")
    with pytest.raises(RuntimeFault):
        folder_files(tmp_path / "nowhere", "in", 10)
