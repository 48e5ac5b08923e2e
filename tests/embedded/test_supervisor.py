"""The one command, piece by piece: where it lives, what it refuses, how it keeps its children."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ports import port_base_free
from tests.support.waiting import wait_for
from tools.bootstrap import ROOT
from tools.up import prepare
from tools.up.broker import broker_binary, broker_command
from tools.up.children import Child, children_stop
from tools.up.place import Place, UpFault, environment_for, home_take, place_read, ports_check, secrets_read


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A copy of its own."""
    return place_read({"PORT": "18400", "GPULAB_HOME": str(tmp_path / "home")})


@pytest.fixture
def children() -> Iterator[list[Child]]:
    """Children that a test starts; all are ended after it."""
    started: list[Child] = []
    yield started
    children_stop(started, grace_s=1.0)


def child(code: str) -> Child:
    """A small Python program as a child."""
    return Child(name="test", command=[sys.executable, "-c", code], environment=dict(os.environ))


def test_every_port_derives_from_port() -> None:
    found = place_read({"PORT": "9000"})
    assert found.ports == {"web": 9000, "relay": 9001, "broker": 9002, "SSH bytes": 9003, "SSH": 3222}


@pytest.mark.parametrize("port", ["nonsense", "-1", "80", "65530", "１２３４５"])
def test_a_port_that_cannot_be_is_refused_in_words(port: str) -> None:
    with pytest.raises(UpFault, match=r"PORT is .* whole number"):
        place_read({"PORT": port})


@pytest.mark.parametrize("bind", ["nonsense", "127.0.0.1:ssh", "127.0.0.1:0", "127.0.0.1:70000"])
def test_an_address_for_ssh_that_cannot_be_is_refused_in_words(bind: str) -> None:
    with pytest.raises(UpFault, match=r"GPULAB_SSH_BIND is .* host:port"):
        place_read({"GPULAB_SSH_BIND": bind})


def test_a_folder_that_cannot_be_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UpFault, match="file/home cannot be used: Not a directory"):
        home_take(place_read({"GPULAB_HOME": str(tmp_path / "file/home")}))


def test_a_broker_of_ones_own_is_not_started_beside_ours() -> None:
    assert "broker" not in place_read({"GPULAB_REDIS_URL": "redis://broker.example:6379/0"}).ports


def test_a_taken_port_is_named_with_a_way_out(place: Place) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", place.port + 1))
        taken.listen()
        with pytest.raises(UpFault, match=r"Port 18401 \(relay\) is taken .* PORT=18500 make up"):
            ports_check(place)
    ports_check(place)


def test_two_copies_on_one_folder_are_refused(place: Place) -> None:
    lock = home_take(place)
    with pytest.raises(UpFault, match="already runs on"):
        home_take(place)
    os.close(lock)
    os.close(home_take(place))


def test_secrets_are_made_once_and_are_nobody_elses_to_read(place: Place) -> None:
    place.home.mkdir()
    first = secrets_read(place)
    assert secrets_read(place) == first
    assert len(set(first.values())) == len(first)
    assert all(len(value) >= 32 for value in first.values())
    assert stat.S_IMODE((place.home / "secrets.env").stat().st_mode) == 0o600


def test_two_copies_share_no_secret(place: Place, tmp_path: Path) -> None:
    other = place_read({"PORT": "18500", "GPULAB_HOME": str(tmp_path / "other")})
    for one in (place, other):
        one.home.mkdir()
    assert not set(secrets_read(place).values()) & set(secrets_read(other).values())


def test_what_the_caller_has_set_is_passed_on(place: Place) -> None:
    held = {"GPULAB_SECRET_KEY": "k" * 40, "GPULAB_REDIS_PASSWORD": "p" * 40}
    told = environment_for(place, held, {"GPULAB_DATABASE_URL": "postgres://db.example/gpulab", "GPULAB_SECRET_KEY": "own"})
    assert told["GPULAB_DATABASE_URL"] == "postgres://db.example/gpulab"
    assert told["GPULAB_SECRET_KEY"] == "own"
    assert told["GPULAB_REDIS_URL"] == f"redis://:{'p' * 40}@127.0.0.1:18402/0"


def test_the_brokers_password_is_in_no_argument(place: Place) -> None:
    place.home.mkdir()
    command = broker_command(place, password="a-long-secret", environment=os.environ)
    assert not any("a-long-secret" in word for word in command)
    file = Path(command[1])
    assert "requirepass a-long-secret" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_without_a_broker_on_the_path_the_bundled_one_is_taken() -> None:
    found = broker_binary({"PATH": "/nonexistent"})
    assert found.endswith("valkey-server")
    assert os.access(found, os.X_OK)


def test_a_broker_that_is_forced_and_missing_is_refused_in_words() -> None:
    with pytest.raises(UpFault, match=r"redis-6\.0"):
        broker_binary({"PATH": "/nonexistent", "GPULAB_REDIS_SERVER": "redis-6.0"})


def test_a_child_that_dies_starts_again_and_waits_longer_each_time(children: list[Child]) -> None:
    one = child("pass")
    children.append(one)
    one.start()
    waits = []
    for _ in range(3):
        wait_for(lambda: not one.is_alive, what="the child's end")
        now = time.monotonic()
        one.heal(now)
        waits.append(one.again_at - now)
        one.heal(one.again_at)
        assert one.again_at == 0.0
    assert waits == pytest.approx([0.5, 1, 2])


def test_a_child_that_lived_long_starts_again_soon(children: list[Child]) -> None:
    one = child("pass")
    children.append(one)
    one.start()
    wait_for(lambda: not one.is_alive, what="the child's end")
    one.deaths = 5
    later = one.started_at + 3600
    one.heal(later)
    assert one.again_at - later == 0.5


def test_the_end_reaches_grandchildren_and_those_who_do_not_listen(children: list[Child], tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    start = f"p = subprocess.Popen([sys.executable, '-c', {stubborn!r}])"
    code = f"import subprocess, sys, time; {start}; open({str(pids)!r}, 'w').write(str(p.pid)); time.sleep(600)"
    one = child(code)
    one.start()
    wait_for(lambda: pids.exists() and pids.read_text(), what="the grandchild")
    grandchild = int(pids.read_text())
    children_stop([one], grace_s=0.5)
    assert not one.is_alive
    wait_for(lambda: _is_gone(grandchild), what="the grandchild's end")


def _is_gone(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_supervisor_that_is_killed_takes_its_children_along(tmp_path: Path) -> None:
    script = (
        "import sys, time\nfrom tools.up.children import Child\n"
        "c = Child(name='x', command=[sys.executable, '-c', 'import time; time.sleep(600)'], environment={})\n"
        f"c.start()\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(c.process.pid))\ntime.sleep(600)\n"
    )
    outer = child(script)
    outer.start()
    found = wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), what="the inner child")
    assert outer.process is not None
    outer.process.kill()
    wait_for(lambda: _is_gone(int(found)), what="the inner child's end")
    outer.signal(signal.SIGKILL)


def test_the_database_is_prepared_anew_when_a_migration_is_added(tmp_path: Path) -> None:
    folder = tmp_path / "labs/people/migrations"
    folder.mkdir(parents=True)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/base.txt").write_text("django==5.2\n")
    (folder / "0001_initial.py").write_text("one")
    before = prepare.shape_hash("", root=tmp_path)
    assert prepare.shape_hash("", root=tmp_path) == before
    assert prepare.shape_hash("postgres://db.example/gpulab", root=tmp_path) != before
    (folder / "0002_more.py").write_text("two")
    assert prepare.shape_hash("", root=tmp_path) != before


def test_a_database_file_that_is_gone_is_prepared_again(place: Place) -> None:
    place.home.mkdir()
    (place.home / "prepared").write_text(prepare.shape_hash(""))
    assert not prepare.is_prepared(place, {})
    (place.home / "db.sqlite3").touch()
    assert prepare.is_prepared(place, {})


def test_a_broker_that_does_not_start_ends_the_command_in_words(tmp_path: Path) -> None:
    base = port_base_free()
    environment = {**os.environ, "PORT": str(base), "GPULAB_HOME": str(tmp_path / "home"), "GPULAB_REDIS_SERVER": "false"}
    environment.pop("GPULAB_REDIS_URL", None)
    done = subprocess.run([sys.executable, "-m", "tools.up"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "false does not start" in done.stderr
