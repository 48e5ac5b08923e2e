"""FAULTS rows 11, 12, 13, 14, 24: containers that people remove, that nobody knows, that end, that need too much, and a host that reboots."""

import http.client
import secrets
from datetime import timedelta

import pytest
from django.utils import timezone

from labs.lifecycle.models import Lab
from labs.quarantine.models import Stray
from labs.quarantine.services import GRACE
from tests.faults.hands import PERIOD_S
from tests.faults.tiny import REPOSITORY
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.engine, pytest.mark.postgres]
#: Rows 11 and 14 allow 15 s.
MOST_PERIODS = 15 / PERIOD_S


@pytest.fixture
def running(house, ask, alice):
    """The id of a running lab."""
    lab_id = ask(alice)
    house.until(lab_id, "running")
    return lab_id


def tell(lab_id: str, path: str) -> None:
    """Ask the lab for something, past the relay."""
    lab = Lab.objects.get(pk=lab_id)
    connection = http.client.HTTPConnection(lab.jupyter_host, lab.jupyter_port, timeout=60)
    try:
        connection.request("GET", f"{lab.base_url}{path}")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return
    finally:
        connection.close()


@pytest.mark.parametrize(("by_hand", "code"), [("remove_container", "removed"), ("kill", "killed")])
def test_row_11_a_container_ended_by_hand_ends_its_lab_with_that_reason_and_frees_the_card(house, engine, running, clean, by_hand, code):
    getattr(engine, by_hand)(f"gpulab-{running}-1", **({"force": True} if by_hand == "remove_container" else {}))
    assert house.until(running, "failed") <= MOST_PERIODS
    assert Lab.objects.get(pk=running).reason_code == code
    clean()


def test_row_12_a_stray_waits_out_its_grace_and_what_bears_no_label_of_ours_is_never_touched(house, engine, running, clean):
    mine, foreign, theirs = (f"gpulab-{secrets.token_hex(6)}-1" for _ in range(3))
    labels = {"gpulab.lab": mine.split("-")[1], "gpulab.attempt": "1", "gpulab.node": house.node.realm}
    made = [
        engine.create_container(f"{REPOSITORY}:ok", name=name, labels=label)["Id"]
        for name, label in ((mine, labels), (foreign, {}), (theirs, labels | {"gpulab.node": "another-house"}))
    ]
    try:
        for container in made:
            engine.start(container)
        hands = house.hands()
        house.tick(hands)
        [stray] = Stray.objects.all()
        assert stray.name == mine and stray.running

        def names() -> set[str]:
            return {row["Names"][0].lstrip("/") for row in engine.containers()}

        later = timezone.now() + GRACE
        hands.clock = lambda: later - timedelta(seconds=30)
        house.tick(hands)
        assert mine in names()
        hands.clock = lambda: later + timedelta(seconds=30)
        house.tick(hands)
        assert mine not in names() and {foreign, theirs} <= names()
        house.tick(hands)
        assert not Stray.objects.exists()
        clean(running={running})
    finally:
        for container in made[1:]:
            engine.remove_container(container, force=True)


@pytest.mark.parametrize(("tag", "code", "last_words"), [("exits", "exited", "cannot go on"), ("silent", "never_ready", "never comes")])
def test_row_13_a_lab_that_ends_at_once_or_is_never_ready_fails_with_its_logs_tail(house, ask, alice, engine, clean, tag, code, last_words):
    lab_id = ask(alice, tag=tag)
    house.tick_without_waiting(lab_id)
    if tag == "silent":
        Lab.objects.filter(pk=lab_id).update(deadline_at=timezone.now())
    house.until(lab_id, "failed")
    lab = Lab.objects.get(pk=lab_id)
    assert lab.reason_code == code and last_words in lab.log_tail and lab.tries <= 3
    clean()


def test_row_13_an_engine_that_refuses_is_asked_three_times_with_growing_waits(house, ask, alice, engine, clean, monkeypatch):
    tries = []
    monkeypatch.setattr("worker.runtimes.docker.runtime.container_config", lambda spec, given: tries.append(timezone.now()) or {"Image": "no/such:image"})
    lab_id = ask(alice)
    house.until(lab_id, "failed")
    assert len(tries) == 3
    assert (tries[2] - tries[1]) > (tries[1] - tries[0]) >= timedelta(seconds=2)
    clean()


def test_row_14_memory_that_ran_out_in_the_main_process_ends_the_lab_in_words(house, engine, running, clean):
    tell(running, "grow")
    wait_for(lambda: not engine.inspect_container(f"gpulab-{running}-1")["State"]["Running"], within=60, what="a lab that was killed for memory")
    assert house.until(running, "failed") <= MOST_PERIODS
    lab = Lab.objects.get(pk=running)
    assert lab.reason_code == "out_of_memory" and "more memory" in lab.end.advice
    clean()


def test_row_14_memory_that_ran_out_in_a_child_is_told_and_the_lab_goes_on(house, running, clean):
    tell(running, "grow-child")
    assert house.told(running, within=60)
    notice = Lab.objects.get(pk=running).notices[-1]
    assert notice["code"] == "out_of_memory" and "more memory" in notice["words"]
    clean(running={running})


def test_row_24_a_host_that_rebooted_ends_its_labs_as_lost_by_that_and_keeps_their_files(house, engine, ask, alice, running, clean):
    waiting = ask(alice, gpus=4, name="next")
    engine.kill(f"gpulab-{running}-1")
    hands = house.hands()
    booted = timezone.now()
    hands.booted_at = lambda: booted
    assert house.until(running, "failed", hands=hands) <= 60 / PERIOD_S
    assert Lab.objects.get(pk=running).reason_code == "rebooted"
    assert engine.inspect_volume(f"gpulab-{house.node.realm}-ws-{alice.pk}")
    house.until(waiting, "running", hands=hands)
    assert Lab.objects.filter(owner=alice, state="running").count() == 1, "nothing is started again unasked"
    clean(running={waiting})
