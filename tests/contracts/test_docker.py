"""The Docker runtime keeps the contract, and what only containers can keep."""

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from tests.contracts.engine import (  # noqa: F401  (fixtures)
    IMAGES,
    NODE,
    api,
    engine_address,
    engine_image,
    gateway,
    inside,
    make_spec,
    runtime,
    ssh,
)
from tests.contracts.job_contract import JobContract
from tests.contracts.runtime_contract import RuntimeContract, get, jupyter_of, named, ready
from tests.contracts.specs import RANGE, slot_network
from tests.support.waiting import wait_for
from worker.runtimes.base import RuntimeFault
from worker.runtimes.docker import handover, heard, volumes
from worker.runtimes.docker import inside as inside_module
from worker.runtimes.docker.client import Engine, faults
from worker.runtimes.docker.network import network_ensure
from worker.runtimes.docker.runtime import DockerRuntime

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]
CARDS = ("GPU-11111111-aaaa", "GPU-22222222-bbbb")
ALLOCATE = "x = bytearray(2 << 30); import time; time.sleep(5)"


class TestDocker(JobContract, RuntimeContract):
    """The contract itself, on the engine."""


def test_every_limit_is_read_back_from_the_engine_and_from_inside(runtime, make_spec):
    spec = make_spec(gpu_uuids=CARDS, memory_mib=768, shm_mib=300, cpus=1.25, pids=211)
    runtime.start(spec)
    verification = runtime.verify(spec)
    assert verification.differences == []
    assert dict(verification.found) == {
        "memory": "768 MiB",
        "memory and swap": "768 MiB",
        "shm": "300 MiB",
        "cpus": "1.25",
        "pids": "211",
        "user": f"{spec.uid}:{spec.gid}",
        "capabilities": "none",
        "new privileges": "no",
        "root": "read-only",
        "gpus": ",".join(CARDS),
        "network": spec.network.name,
        "ports": "127.0.0.1",
        "restart": "no",
        "host": "nothing shared",
        "folders": "none",
    }


def test_a_limit_that_was_changed_behind_our_back_is_a_difference_on_both_sides(runtime, make_spec, api):
    spec = make_spec()
    runtime.start(spec)
    api.update_container(spec.name, mem_limit="2g", memswap_limit="2g")
    found = {(one.what, one.where): one.found for one in runtime.verify(spec).differences}
    assert found[("memory", "engine")] == "2048 MiB"
    assert found[("memory", "inside")] == "2048 MiB"


def test_what_an_exec_reads_inside_is_what_the_host_reads(runtime, make_spec, monkeypatch):
    spec = make_spec(gpu_uuids=CARDS)
    runtime.start(spec)
    from_host = runtime.verify(spec)

    def refused(pid: int) -> dict[str, str]:
        raise PermissionError(pid)

    monkeypatch.setattr(inside_module, "_from_host", refused)
    assert runtime.verify(spec) == from_host


def test_a_program_that_was_stopped_in_a_lab_or_talks_for_ever_holds_nobody(runtime, make_spec, api):
    spec = make_spec()
    runtime.start(spec)
    for script, words in (("kill -STOP $$", heard.LATE), ("yes", heard.LONG)):
        made = api.exec_create(spec.name, ["/bin/sh", "-c", script])
        with pytest.raises(RuntimeFault, match=words):
            heard.said(api, made["Id"], within_s=2)
    assert heard.said(api, api.exec_create(spec.name, ["echo", "well"])["Id"]) == b"well\n"


def test_the_limits_hold_for_what_runs_inside(runtime, make_spec, api):
    spec = make_spec(shm_mib=64, pids=120)
    ready(runtime, spec)
    code, output = inside(api, spec, "sh", "-c", "head -c 70M /dev/zero > /dev/shm/full; stat -f -c %b /dev/shm; df -m /dev/shm | tail -1")
    assert "64" in output.splitlines()[-1].split()
    assert "No space left" in output
    code, output = inside(api, spec, "sh", "-c", "echo x > /usr/x; echo x > /etc/passwd; mknod /tmp/null c 1 3; ping -c1 127.0.0.1; id -u")
    assert output.splitlines()[-1] == str(spec.uid)
    assert "Read-only file system" in output
    code, output = inside(api, spec, "python3", "-c", "import subprocess as s; [s.Popen(['sleep', '9']) for _ in range(200)]")
    assert code != 0
    assert "temporarily unavailable" in output


def test_a_lab_without_gpus_is_told_that_there_are_none(runtime, make_spec, api):
    spec = make_spec()
    runtime.start(spec)
    found = api.inspect_container(spec.name)
    assert "NVIDIA_VISIBLE_DEVICES=void" in found["Config"]["Env"]
    assert not found["HostConfig"]["DeviceRequests"]


def test_gpus_are_asked_for_by_uuid(runtime, make_spec, api):
    spec = make_spec(gpu_uuids=CARDS)
    runtime.start(spec)
    requests = api.inspect_container(spec.name)["HostConfig"]["DeviceRequests"]
    assert [(one["Driver"], one["DeviceIDs"], one["Count"]) for one in requests] == [("nvidia", list(CARDS), 0)]
    assert inside(api, spec, "printenv", "NVIDIA_VISIBLE_DEVICES")[1].strip() == ",".join(CARDS)


def test_the_token_is_in_no_environment_argument_log_or_inspect(runtime, make_spec, api):
    spec = make_spec()
    ready(runtime, spec)
    assert spec.token not in json.dumps(api.inspect_container(spec.name))
    assert spec.token not in runtime.logs(spec.name, 500)
    for pid in runtime.processes(spec.name):
        for file in ("environ", "cmdline"):
            assert spec.token not in Path(f"/proc/{pid}/{file}").read_text()


def test_what_is_handed_over_is_readable_by_its_owner_only_and_goes_with_the_lab(runtime, make_spec, api):
    spec = make_spec()
    runtime.start(spec)
    mounts = {one["Destination"]: one for one in api.inspect_container(spec.name)["Mounts"]}
    secrets = Path(mounts["/run/gpulab"]["Source"])
    state = (secrets / "token").stat()
    assert (state.st_uid, state.st_mode & 0o777) == (spec.uid, 0o400)
    assert (secrets.parent.parent.stat().st_mode & 0o777) == 0o700
    assert not mounts["/run/gpulab"]["RW"]
    runtime.stop(spec.name, 0)
    assert not secrets.exists()


def test_ports_are_published_on_the_loopback_only(runtime, make_spec, api):
    spec = make_spec()
    seen = ready(runtime, spec)
    bindings = api.inspect_container(spec.name)["NetworkSettings"]["Ports"]
    assert {one["HostIp"] for rows in bindings.values() for one in rows} == {"127.0.0.1"}
    assert jupyter_of(seen)[0] == "127.0.0.1"
    assert spec.network is not None and ip_address(seen.inside) in ip_network(spec.network.subnet)  # where the node reaches its own programs


def test_files_in_the_workspace_are_there_in_the_next_lab(runtime, make_spec, api):
    first = make_spec()
    runtime.start(first)
    assert inside(api, first, "sh", "-c", "echo kept > /workspace/file")[0] == 0
    runtime.stop(first.name, 5)
    second = make_spec(workspace=first.workspace, uid=first.uid, gid=first.gid)
    runtime.start(second)
    assert inside(api, second, "cat", "/workspace/file") == (0, "kept\n")
    assert inside(api, second, "stat", "-c", "%u %a", "/workspace") == (0, f"{first.uid} 700\n")


def test_shared_data_is_there_to_read_and_not_to_write(runtime, make_spec, api, tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "set.csv").write_text("1,2\n")
    spec = make_spec(shared_data=str(tmp_path))
    runtime.start(spec)
    assert inside(api, spec, "cat", "/data/set.csv") == (0, "1,2\n")
    assert "Read-only" in inside(api, spec, "sh", "-c", "echo x > /data/set.csv")[1]


def test_the_log_is_bounded_and_the_engine_restarts_nothing(runtime, make_spec, api):
    spec = make_spec()
    runtime.start(spec)
    host = api.inspect_container(spec.name)["HostConfig"]
    assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "2"}
    assert host["RestartPolicy"]["Name"] == "no"


def test_a_child_killed_for_memory_is_counted_and_the_lab_lives_on(runtime, make_spec, api):
    spec = make_spec(memory_mib=512, shm_mib=64)
    seen = ready(runtime, spec)
    inside(api, spec, "python3", "-c", ALLOCATE)
    usage = wait_for(lambda: (found := runtime.usage(spec.name)) and found.oom_kills and found, what="a kill for memory")
    assert usage.oom_kills >= 1
    assert get(jupyter_of(seen), f"{spec.base_url}api")[0] == 200


def test_a_main_process_killed_for_memory_is_told_apart_from_other_ends(runtime, make_spec, api):
    hungry, killed = make_spec(memory_mib=24, shm_mib=8), make_spec()
    runtime.start(hungry)
    runtime.start(killed)
    api.kill(killed.name)
    for spec, oom in ((hungry, True), (killed, False)):
        seen = wait_for(lambda spec=spec: (one := named(runtime, spec.name)) and not one.running and one, 90, f"{spec.name} ended")
        assert (seen.exit_code, seen.oom_killed, seen.jupyter) == (137, oom, None)


def test_a_lab_that_was_made_and_never_started_is_started_by_the_next_try(runtime, make_spec, monkeypatch):
    spec = make_spec()
    engine = runtime._engine.api

    def lost(name: str) -> None:
        raise ConnectionError("the worker died here")

    with monkeypatch.context() as patch:
        patch.setattr(engine, "start", lost)
        patch.setattr(runtime, "_discard", lambda name: None)
        with pytest.raises(RuntimeFault):
            runtime.start(spec)
    assert named(runtime, spec.name).running is False
    assert runtime.start(spec).running


def test_eight_workers_that_start_the_same_lab_at_once_make_one(runtime, make_spec):
    spec = make_spec()
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda _: runtime.start(spec), range(8)))
    assert {one.name for one in seen} == {spec.name}
    assert [one.name for one in runtime.observe()].count(spec.name) == 1


def test_what_the_engine_refuses_is_told_in_its_words_and_leaves_nothing(runtime, make_spec, api):
    spec = make_spec(image="gpulab-test/none:1")
    with pytest.raises(RuntimeFault) as caught:
        runtime.start(spec)
    assert "No such image" in caught.value.words
    assert named(runtime, spec.name) is None


@pytest.mark.parametrize(
    "change",
    [
        {"gpu_uuids": ("all",)},
        {"workspace": "/etc"},
        {"workspace": "../x"},
        {"uid": 0},
        {"network": None},
        {"network": slot_network(0).__class__("n", "10.1.0.0/28")},
        {"shm_mib": 0},
        {"base_url": "/l/x y/"},
        {"username": "lab:0"},
    ],
)
def test_a_specification_that_is_not_valid_never_reaches_the_engine(runtime, make_spec, change):
    spec = make_spec(**change)
    with pytest.raises(RuntimeFault) as caught:
        runtime.start(spec)
    assert not caught.value.transient


def test_a_hanging_engine_is_a_fault_within_the_deadline(tmp_path):
    path = tmp_path / "silent.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        engine = Engine(address=f"unix://{path}", deadline_s=1)
        with pytest.raises(RuntimeFault) as caught, faults("Trying"):
            engine.api.version()
    assert caught.value.transient
    assert "does not answer" in caught.value.words


def test_a_worker_that_is_not_root_hands_over_and_makes_workspaces_all_the_same(engine_address, tmp_path, make_spec, monkeypatch, gateway, api, runtime):
    for module in (handover, volumes):
        monkeypatch.setattr(module.os, "geteuid", lambda: 1000)
    other = DockerRuntime(node_id=NODE, state_dir=tmp_path, network_range=RANGE, images_dir=IMAGES, address=engine_address)
    spec = make_spec()
    seen = ready(other, spec)
    assert get(jupyter_of(seen), f"{spec.base_url}api/status", spec.token)[0] == 200
    assert inside(api, spec, "stat", "-c", "%u %a", "/workspace") == (0, f"{spec.uid} 700\n")
    assert ssh(seen, gateway, "id -u").stdout.strip() == str(spec.uid)
    other.stop(spec.name, 0)


# An engine's own pools end at about 30 networks; 200 people take a minute.
@pytest.mark.parametrize("people", [40, pytest.param(200, marks=pytest.mark.long)])
def test_that_many_people_have_a_network_each_on_one_engine(runtime, make_spec, api, people):
    networks = [slot_network(slot) for slot in range(3000, 3000 + people)]
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda network: network_ensure(api, network, NODE), networks))
        assert {one["Name"] for one in api.networks(filters={"label": f"gpulab.node={NODE}"})} >= {one.name for one in networks}
        spec = make_spec(network=networks[-1])
        ready(runtime, spec)
    finally:
        for spec in make_spec.made:
            runtime.stop(spec.name, 0)
        removed = runtime.networks_prune(set())
    assert set(removed) >= {one.name for one in networks}


def test_ten_labs_at_once_all_run_with_ports_of_their_own(runtime, make_spec):
    specs = [make_spec(cpus=0.5, memory_mib=256, shm_mib=64) for _ in range(10)]
    done: list[object] = []
    threads = [threading.Thread(target=lambda spec=spec: done.append(runtime.start(spec))) for spec in specs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(done) == 10
    addresses = {one.jupyter for one in runtime.observe() if one.name in {spec.name for spec in specs}}
    assert len(addresses) == 10


def test_where_the_engines_files_are_out_of_reach_the_engine_itself_measures_workspaces(runtime, make_spec, api, monkeypatch):
    spec = make_spec()
    runtime.start(spec)
    assert inside(api, spec, "sh", "-c", "head -c 3000000 /dev/urandom > /workspace/large && sync")[0] == 0
    counted = runtime.workspace_measure(spec.workspace, 30)
    monkeypatch.setattr(volumes.os, "access", lambda path, mode: False)
    told = runtime.workspace_measure(spec.workspace, 30)
    assert (told.files, told.whole) == (None, True)
    assert told.size >= 3_000_000
    assert abs(told.size - counted.size) < 200_000, "it adds up lengths, not blocks"
