"""From a click to a computed cell on the real engine, with everything read back, and nobody else let in."""

import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest

from tests.support.product import House
from tests.support.waiting import wait_for

pytestmark = pytest.mark.engine


def ask(house: House, person: str, /, **wish: Any) -> httpx.Response:
    with house.api(person) as client:
        image = client.get("/images").json()["items"][0]["id"]
        body = {"image": image, "gpus": 0, "cpus": 1, "memory_gib": 2, "shm_gib": 1, "hours": 1, "name": f"lab-{uuid.uuid4().hex[:8]}"} | wish
        return client.post("/labs", json=body, headers={"Idempotency-Key": uuid.uuid4().hex})


def stop(house: House, name: str, lab_id: str) -> dict[str, Any]:
    with house.api(name) as client:
        assert client.post(f"/labs/{lab_id}/stop").status_code < 300
    return house.lab_until(name, lab_id, "stopped", within=90)


@pytest.fixture(scope="module")
def lab(house: House) -> Iterator[dict[str, Any]]:
    """Alice's lab with one GPU, running."""
    answer = ask(house, "alice", gpus=1, name="resnet")
    assert answer.status_code == 201, answer.text
    yield house.lab_until("alice", answer.json()["id"], "running")
    stop(house, "alice", answer.json()["id"])


@pytest.fixture(scope="module")
def container(lab: dict[str, Any], engine: docker.DockerClient) -> Any:
    return engine.containers.get(f"gpulab-{lab['id']}-1")


def test_the_engine_holds_every_limit_that_was_asked_for(container, lab):
    host = container.attrs["HostConfig"]
    assert host["Memory"] == host["MemorySwap"] == 2 << 30
    assert host["ShmSize"] == 1 << 30
    assert host["NanoCpus"] == 10**9
    assert host["PidsLimit"] == 8192
    assert host["CapDrop"] == ["ALL"] and not host["CapAdd"]
    assert "no-new-privileges" in " ".join(host["SecurityOpt"])
    assert host["RestartPolicy"]["Name"] in ("no", "")
    assert not host["Privileged"] and host["ReadonlyRootfs"]
    assert host["LogConfig"]["Config"]["max-size"]


def test_the_lab_has_the_leased_card_by_uuid_and_no_other(container, lab):
    assert container.attrs["HostConfig"]["DeviceRequests"][0]["DeviceIDs"] == [gpu["uuid"] for gpu in lab["gpus"]]
    environment = dict(item.split("=", 1) for item in container.attrs["Config"]["Env"])
    assert environment["NVIDIA_VISIBLE_DEVICES"] == lab["gpus"][0]["uuid"]


def test_inside_the_lab_nobody_is_root_and_nothing_has_a_capability(container):
    out = container.exec_run("sh -c 'id -u; grep -E \"CapEff|NoNewPrivs\" /proc/1/status; df -m /dev/shm | tail -1'").output.decode()
    assert int(out.split()[0]) >= 20000
    assert "CapEff:\t0000000000000000" in out
    assert "NoNewPrivs:\t1" in out
    assert "1024" in out.splitlines()[-1]


def test_ports_are_published_on_the_loopback_only(container):
    for bindings in container.attrs["NetworkSettings"]["Ports"].values():
        assert {binding["HostIp"] for binding in bindings or []} <= {"127.0.0.1"}


def test_the_upstream_token_is_nowhere_to_be_read(container, house, lab):
    token = container.exec_run("cat /run/gpulab/token").output.decode().strip()
    assert len(token) >= 43
    assert token not in json.dumps(container.attrs)
    assert token not in "\n".join(house.log)
    assert token not in json.dumps(lab)
    assert token not in container.logs().decode()


@pytest.mark.parametrize("name", ["bob", "charlie"])
def test_somebody_else_can_neither_see_nor_stop_the_lab(house, lab, name):
    with house.api(name) as client:
        assert client.get(f"/labs/{lab['id']}").status_code == 404
        assert client.post(f"/labs/{lab['id']}/stop").status_code == 404
        assert lab["id"] not in client.get("/labs").text


def test_a_lab_without_gpus_sees_none(house, engine):
    answer = ask(house, "charlie")
    made = house.lab_until("charlie", answer.json()["id"], "running")
    environment = engine.containers.get(f"gpulab-{made['id']}-1").attrs["Config"]["Env"]
    assert "NVIDIA_VISIBLE_DEVICES=void" in environment
    stop(house, "charlie", made["id"])


def test_a_wish_above_the_cap_is_refused_in_words_and_changes_nothing(house):
    with house.api("bob") as client:
        before = client.get("/labs").json()
        answer = ask(house, "bob", gpus=2)
        assert answer.status_code == 422
        assert answer.headers["content-type"].startswith("application/problem+json")
        assert "your limit is 1" in answer.text
        assert client.get("/labs").json() == before


def test_memory_overrun_of_a_child_is_told_in_words_and_the_lab_goes_on(house, engine):
    made = house.lab_until("charlie", ask(house, "charlie", memory_gib=1, shm_gib=1).json()["id"], "running")
    container = engine.containers.get(f"gpulab-{made['id']}-1")
    container.exec_run(["python3", "-c", "x = bytearray(3 << 30)"])
    words = wait_for(lambda: notices(house, made["id"]), within=60, what="a notice")
    assert "memory" in words
    assert house.lab_until("charlie", made["id"], "running")["state"] == "running"
    stop(house, "charlie", made["id"])


def notices(house: House, lab_id: str) -> str:
    script = f"from labs.lifecycle.models import Lab\nprint([n['words'] for n in Lab.objects.get(pk='{lab_id}').notices])"
    found = house.manage("shell", "--no-imports", "-c", script).strip()
    return "" if found == "[]" else found


def test_a_container_removed_by_hand_ends_the_lab_with_that_reason(house, engine):
    made = house.lab_until("charlie", ask(house, "charlie").json()["id"], "running")
    engine.containers.get(f"gpulab-{made['id']}-1").remove(force=True)
    ended = house.lab_until("charlie", made["id"], "failed", within=60)
    assert "removed by hand" in ended["reason"]


def test_files_are_there_in_the_next_lab(house, engine):
    first = house.lab_until("charlie", ask(house, "charlie").json()["id"], "running")
    assert engine.containers.get(f"gpulab-{first['id']}-1").exec_run("sh -c 'echo kept > /workspace/note.txt'").exit_code == 0
    stop(house, "charlie", first["id"])
    second = house.lab_until("charlie", ask(house, "charlie").json()["id"], "running")
    assert engine.containers.get(f"gpulab-{second['id']}-1").exec_run("cat /workspace/note.txt").output == b"kept\n"
    stop(house, "charlie", second["id"])


class TestSsh:
    """OpenSSH's own client against the gateway."""

    @pytest.fixture(scope="class")
    def key(self, house: House, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("ssh")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "id"], check=True)
        script = (
            "from django.utils.timezone import now\nfrom labs.people.models import User\nfrom labs.people.services import ssh_key_add\n"
            f"ssh_key_add(user=User.objects.get(email='alice@example.edu'), name='k', text={(folder / 'id.pub').read_text()!r}, now=now())"
        )
        house.manage("shell", "--no-imports", "-c", script)
        return folder / "id"

    def options(self, house: House, key: Path, port_flag: str) -> list[str]:
        return [
            "-i", str(key), "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes",
            port_flag, str(house.ssh_port),
        ]  # fmt: skip

    def ssh(self, house: House, key: Path, user: str, command: str) -> "subprocess.CompletedProcess[str]":
        line = ["ssh", *self.options(house, key, "-p"), f"{user}@localhost", command]
        return subprocess.run(line, capture_output=True, text=True, timeout=90)

    def test_ssh_runs_a_command_in_the_owners_lab_with_the_labs_environment(self, house, lab, key):
        ran = self.ssh(house, key, "resnet", "id -u; echo $NVIDIA_VISIBLE_DEVICES; exit 7")
        assert ran.returncode == 7, ran.stderr
        uid, gpu = ran.stdout.split()
        assert int(uid) >= 20000
        assert gpu == lab["gpus"][0]["uuid"]

    def test_scp_carries_a_file_there_and_back(self, house, lab, key, tmp_path):
        data = tmp_path / "data.bin"
        data.write_bytes(bytes(range(256)) * 4096)
        for there in (["scp", *self.options(house, key, "-P"), str(data), "resnet@localhost:data.bin"],):
            subprocess.run(there, check=True, capture_output=True, timeout=60)
        back = tmp_path / "back.bin"
        subprocess.run(["scp", *self.options(house, key, "-P"), "resnet@localhost:data.bin", str(back)], check=True, capture_output=True, timeout=60)
        assert back.read_bytes() == data.read_bytes()

    def test_an_unknown_key_and_a_wrong_name_get_the_same_short_refusal(self, house, lab, key, tmp_path):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
        unknown = self.ssh(house, tmp_path / "other", "resnet", "true")
        wrong = self.ssh(house, key, "no-such-lab", "true")
        assert unknown.returncode == wrong.returncode == 255
        last = [ran.stderr.strip().splitlines()[-1] for ran in (unknown, wrong)]
        assert last[0].partition("@")[2] == last[1].partition("@")[2]
