"""FAULTS rows 4, 5, 6, 7, 9, 10, 15, 26: what a house stands on is taken away, filled up, or hangs; and a person is sent away."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.faults.world import World, signed_in
from tests.support.product import ROOT
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.engine, pytest.mark.postgres, pytest.mark.timeout(600)]
#: How long a service is away: shortened from the minute of FAULTS.md.
AWAY = pytest.mark.parametrize("away_s", [6, pytest.param(60, marks=pytest.mark.long)])
#: How often a launch is tried: a person's rate of requests that change something is 60 a minute, and each try may spend three.
ASKED_EVERY_S = 3.0


@pytest.fixture
def person(world: World) -> httpx.Client:
    """Alice's browser, signed in."""
    return signed_in(world)


def is_in(browser: httpx.Client) -> bool:
    return browser.get("/").status_code == 200


@AWAY
def test_row_04_with_redis_away_people_read_sign_in_and_ask_and_nothing_is_lost(world: World, person: httpx.Client, away_s: float):
    lab_id = world.running()
    world.broker.stop()
    began = time.monotonic()
    try:
        assert is_in(person) and person.get("/queue/").status_code == 200
        assert is_in(signed_in(world, "bob"))
        asked = world.launch()
        time.sleep(max(away_s - (time.monotonic() - began), 0))
    finally:
        world.broker.start()
    back = time.monotonic()
    world.house.lab_until("alice", asked, "running", within=30)
    wait_for(world.broker.consumers, within=60, what="workers that consume again")
    print(f"\nafter Redis: running and consuming after {time.monotonic() - back:.1f} s")
    assert is_in(person)
    for one in (lab_id, asked):
        world.stop(one)
    world.books()


def test_row_05_an_emptied_redis_held_nothing_of_value(world: World, person: httpx.Client):
    lab_id = world.running()
    world.broker.client.flushall()
    assert is_in(person) and world.house.lab_until("alice", lab_id, "running")["state"] == "running"
    other = world.running()
    for one in (lab_id, other):
        world.stop(one)
    world.books()


def test_row_06_a_worker_whose_link_to_the_broker_is_reset_consumes_again(world: World):
    wait_for(world.broker.consumers, within=60, what="a consumer")
    before = set(world.broker.consumers())
    world.broker.client.client_kill_filter(_type="normal")
    began = time.monotonic()
    wait_for(lambda: set(world.broker.consumers()) - before, within=60, what="a consumer with a new link")
    print(f"\nafter CLIENT KILL: consuming after {time.monotonic() - began:.1f} s")
    assert not before & set(world.broker.consumers()), "the old links are gone"
    world.stop(world.running())
    world.books()


def test_row_06_a_worker_that_lives_and_consumes_no_more_is_ended_and_started_again(world: World):
    worker = world.pid_of("worker")
    assert worker
    began = time.monotonic()
    with world.broker.thieves("gpulab.node.n1", "gpulab.control"):
        wait_for(lambda: world.pid_of("worker") not in (None, worker), within=60, what="a worker that was started again")
    wait_for(world.broker.consumers, within=60, what="a new worker that consumes")
    print(f"\nafter it got no task any more: a new one consumes after {time.monotonic() - began:.1f} s")
    world.stop(world.running())
    world.books()


@AWAY
def test_row_07_with_the_database_away_labs_serve_on_and_the_api_says_503(world: World, away_s: float):
    lab_id = world.running()
    url, headers = world.door(lab_id)
    link = world.link(url, headers)
    world.postgres.stop()
    began, asked = time.monotonic(), 0
    try:
        with world.house.api("alice") as client:
            answer = client.get("/labs")
            assert answer.status_code == 503 and answer.json()["code"] == "database_away" and "Retry-After" in answer.headers
        page = httpx.get(f"{world.house.url}/accounts/login/", timeout=60)
        assert page.status_code in (200, 503)
        while time.monotonic() - began < away_s:
            assert httpx.get(url + "api", headers=headers, timeout=30).status_code == 200
            asked += 1
    finally:
        world.postgres.start()
    back = time.monotonic()
    other = world.running(within=15)
    recovered = time.monotonic() - back
    link.end()
    print(f"\n{asked} requests to the lab and none failed; longest silence {link.longest_s:.2f} s; launched {recovered:.1f} s after its return")
    assert not link.broke and link.lines > 20 and recovered <= 15
    for one in (lab_id, other):
        world.stop(one)
    world.books()


def test_row_09_labs_outlive_an_engine_that_is_killed_and_what_changed_meanwhile_is_seen(world: World):
    stays, dies = world.running(), world.running()
    pids = {name: world.engine.inspect_container(f"gpulab-{name}-1")["State"]["Pid"] for name in (stays, dies)}
    world.engine_signal(signal.SIGKILL)
    os.kill(pids[dies], signal.SIGKILL)
    time.sleep(1)
    world.host("engine")
    began = time.monotonic()
    world.house.lab_until("alice", dies, "failed", within=15)
    assert world.house.lab_until("alice", stays, "running")["state"] == "running"
    assert world.engine.inspect_container(f"gpulab-{stays}-1")["State"]["Pid"] == pids[stays]
    print(f"\nafter the engine's return: state right after {time.monotonic() - began:.1f} s")
    world.door(stays)
    world.stop(stays)
    world.books()


def test_row_10_an_engine_that_hangs_makes_its_node_unknown_and_holds_no_worker_up(world: World):
    stays, stopping = world.running(), world.running()
    world.engine_signal(signal.SIGSTOP)
    began = time.monotonic()
    try:
        with world.house.api("alice") as client:
            client.post(f"/labs/{stopping}/stop")
        wait_for(lambda: node_state(world) == "unknown", within=35, what="an unknown node")
        noticed = time.monotonic() - began
        asked = world.launch()
        wait_for(world.broker.consumers, what="the worker consumes")
        with world.house.api("alice") as client:
            assert client.get(f"/labs/{asked}").json()["state"] == "queued"
            assert client.get(f"/labs/{stays}").json()["state"] == "running"
        stuck = world.rows("SELECT name FROM turns_turn WHERE name = 'schedule' AND until < now()")
        assert not stuck, "the scheduler goes on"
    finally:
        world.engine_signal(signal.SIGCONT)
    back = time.monotonic()
    world.house.lab_until("alice", asked, "running", within=45)
    print(f"\nunknown after {noticed:.1f} s; launched {time.monotonic() - back:.1f} s after it went on")
    for one in (stays, asked, stopping):
        world.stop(one)
    world.books()


def node_state(world: World) -> str:
    return str(world.rows("SELECT state FROM fleet_node WHERE id = 'n1'")[0][0])


def test_row_15_a_full_disk_refuses_launches_in_words_and_running_labs_live(world: World, person: httpx.Client):
    lab_id = world.running()
    filler = world.scratch / "filler"
    with filler.open("wb") as file:
        file.write(bytes(60 << 20))
    try:
        refused = wait_for(lambda: _refusal(world), within=90, every=ASKED_EVERY_S, what="a launch that is refused")
        assert "full" in refused and "scratch" in refused
        assert world.house.lab_until("alice", lab_id, "running")["state"] == "running" and is_in(person)
        told = world.rows("SELECT words FROM notices_notice WHERE kind = 'disk'")
        assert told and "scratch" in told[0][0]
    finally:
        filler.unlink()
    wait_for(lambda: not _refusal(world), within=90, every=ASKED_EVERY_S, what="a launch that is not refused")
    world.stop(lab_id)
    world.books()


def _refusal(world: World) -> str:
    """Why a launch is refused now; empty when it is not (and then it is ended again)."""
    with world.house.api("bob") as client:
        image = client.get("/images").json()["items"][0]["id"]
        answer = client.post("/labs", json={"image": image, "gpus": 0, "cpus": 1, "memory_gib": 1, "shm_gib": 1, "hours": 1})
        if answer.status_code == 201:
            world.stop(answer.json()["id"], "bob")
            return ""
        assert answer.status_code == 409, answer.text
        return str(answer.json()["detail"])


def test_row_19_a_node_whose_clock_is_a_day_ahead_stops_nobody_and_counts_to_the_second(world: World):
    fake = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if fake is None:
        pytest.fail("needs faketime") if os.environ.get("CI") else pytest.skip("needs faketime")
    first = world.running(hours=2)
    before = world.rows("SELECT ends_at FROM lifecycle_lab WHERE id = %s", first)[0][0]
    worker = world.pid_of("worker")
    assert worker
    os.kill(worker, signal.SIGSTOP)
    wrong = subprocess.Popen(
        [sys.executable, "manage.py", "worker"],
        cwd=ROOT,
        env=world.house.environment | world.house._secrets() | {"LD_PRELOAD": str(fake), "FAKETIME": "+1d", "FAKETIME_DONT_FAKE_MONOTONIC": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        other = world.running("bob", within=60)
        time.sleep(4)
        assert world.rows("SELECT state, ends_at FROM lifecycle_lab WHERE id = %s", first) == [("running", before)]
        lease = "SELECT opened_at FROM lifecycle_lease WHERE lab_id = lab.id"
        [(state, started_at, opened_at, sees)] = world.rows(f"SELECT state, started_at, ({lease}), now() FROM lifecycle_lab lab WHERE id = %s", other)
        assert state == "running" and 0 <= (sees - started_at).total_seconds() < 60 and 0 <= (started_at - opened_at).total_seconds() < 60
    finally:
        os.kill(worker, signal.SIGCONT)
        wrong.terminate()
        wrong.wait(60)
    for lab_id, name in ((first, "alice"), (other, "bob")):
        world.stop(lab_id, name)
    world.books()


def test_row_26_a_person_who_is_sent_away_is_refused_everywhere_within_seconds(world: World):
    name = "charlie"
    lab_id = world.running(name)
    browser = signed_in(world, name)
    url, headers = world.door(lab_id, name)
    link = world.link(url, headers)
    script = (
        "from django.utils.timezone import now\nfrom labs.people.models import User\nfrom labs.people.services import person_disable\n"
        f"person_disable(user=User.objects.get(email='{name}@example.edu'), actor=User.objects.get(role='administrator'), now=now())"
    )
    world.house.manage("shell", "--no-imports", "-c", script)
    began = time.monotonic()
    wait_for(lambda: browser.get("/").status_code == 302, within=5, what="a page that asks to sign in")
    wait_for(lambda: httpx.get(url + "api", headers=headers, timeout=5).status_code in (401, 403, 404), within=5, what="a relay that refuses")
    wait_for(lambda: link.broke, within=5, what="an open link that is cut")
    with world.house.api(name) as client:
        assert client.get("/labs").status_code == 401
    print(f"\nrefused everywhere after {time.monotonic() - began:.1f} s")
    wait_for(lambda: world.rows("SELECT state FROM lifecycle_lab WHERE id = %s", lab_id)[0][0] == "stopped", within=90, what="the end of their lab")
    world.books()
