"""SSH into a lab of the real engine: the same lab as in Jupyter, and no way in but the gateway's."""

import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.support.jupyter import cell_run
from tests.support.product import House
from tests.support.waiting import wait_for

pytestmark = pytest.mark.engine
#: What a shell, a terminal or a kernel says of itself and not of the lab.
OWN = {
    "_", "HOSTNAME", "SHLVL", "PWD", "OLDPWD", "TERM", "COLORTERM", "SHELL", "MAIL", "LOGNAME", "LANG", "PYDEVD_USE_FRAME_EVAL", "JPY_PARENT_PID",
    "JPY_SESSION_NAME", "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "GIT_PAGER", "PAGER", "MPLBACKEND", "KERNEL_LAUNCH_TIMEOUT",
    "PYTHONSAFEPATH", "JUPYTER_TOKEN_FILE",
}  # fmt: skip
#: Read in a kernel and over SSH alike: variables, limits of the process and of the lab, rights, shared memory, processors, Python.
LOOK = """
import json, os, resource, shutil
limits = {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")}
group = "/sys/fs/cgroup/"
held = {name: open(group + name).read().strip() for name in ("memory.max", "cpu.max", "pids.max") if os.path.exists(group + name)}
rights = [line for line in open("/proc/self/status") if line.startswith(("Cap", "NoNewPrivs", "Seccomp:", "Uid", "Gid", "Groups"))]
shm = os.statvfs("/dev/shm")
print(json.dumps([dict(os.environ), limits, held, rights, shm.f_blocks * shm.f_frsize, len(os.sched_getaffinity(0)), shutil.which("python3"), os.umask(0)]))
"""


@pytest.fixture(scope="module")
def key(house: House, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Charlie's key, on the account."""
    folder = tmp_path_factory.mktemp("charlie")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "id"], check=True)
    script = (
        "from django.utils.timezone import now\nfrom labs.people.models import User\nfrom labs.people.services import ssh_key_add\n"
        f"ssh_key_add(user=User.objects.get(email='charlie@example.edu'), name='k', text={(folder / 'id.pub').read_text()!r}, now=now())"
    )
    house.manage("shell", "--no-imports", "-c", script)
    return folder / "id"


@pytest.fixture(scope="module")
def lab(house: House) -> Iterator[dict[str, Any]]:
    """Charlie's lab with a card, running."""
    with house.api("charlie") as client:
        image = client.get("/images").json()["items"][0]["id"]
        wish = {"image": image, "gpus": 1, "cpus": 1, "memory_gib": 2, "shm_gib": 1, "hours": 1, "name": "editor"}
        made = client.post("/labs", json=wish, headers={"Idempotency-Key": uuid.uuid4().hex}).json()
        yield house.lab_until("charlie", made["id"], "running")
        client.post(f"/labs/{made['id']}/stop")
        house.lab_until("charlie", made["id"], "stopped", within=90)


@pytest.fixture(scope="module")
def container(lab: dict[str, Any], engine: docker.DockerClient) -> Any:
    return engine.containers.get(f"gpulab-{lab['id']}-1")


def ssh(house: House, key: Path, *command: str, options: tuple[str, ...] = (), **how: Any) -> "subprocess.CompletedProcess[str]":
    flags = ["-F", "/dev/null", "-i", str(key), "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
             "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-p", str(house.ssh_port)]  # fmt: skip
    return subprocess.run(["ssh", *flags, *options, "editor@localhost", *command], capture_output=True, text=True, timeout=120, **how)


def notebook(house: House, lab: dict[str, Any], code: str) -> str:
    """Run a cell in a kernel of the lab, through the relay with a lab token."""
    script = (
        "from django.utils.timezone import now\nfrom labs.lifecycle.models import Lab\nfrom labs.lifecycle.services import lab_token_create\n"
        f"lab = Lab.objects.get(pk={lab['id']!r})\nprint(lab_token_create(lab=lab, name='test', actor=lab.owner, now=now())[1])"
    )
    token = house.manage("shell", "--no-imports", "-c", script).strip().splitlines()[-1]
    return cell_run(f"http://localhost:{house.labs_port}/l/{lab['id']}/", {"Authorization": f"token {token}"}, code)


def test_ssh_is_the_same_place_as_a_notebook_variables_limits_and_cards(house, lab, key):
    wanted = json.loads(notebook(house, lab, LOOK))
    assert wanted[0]["NVIDIA_VISIBLE_DEVICES"] == lab["gpus"][0]["uuid"]
    for how, seen in {
        "a command": ssh(house, key, "python3 -", input=LOOK),
        "a login shell": ssh(house, key, "bash -lc 'python3 -'", input=LOOK),
        "a script for a shell": ssh(house, key, "bash -s", options=("-T",), input=f"python3 - <<'END'{LOOK}END\n"),
    }.items():
        found = json.loads(seen.stdout)
        ours = [{name: value for name, value in one.items() if name not in OWN and not name.startswith("SSH_")} for one in (found[0], wanted[0])]
        assert ours[0] == ours[1], how
        assert found[1:] == wanted[1:], how


def test_neither_the_labs_sshd_nor_the_engine_lets_anybody_in_past_the_gateway(house, lab, key, container):
    ports = container.attrs["NetworkSettings"]["Ports"]
    assert {one["HostIp"] for bindings in ports.values() for one in bindings or []} == {"127.0.0.1"}
    direct = ports["2222/tcp"][0]["HostPort"]
    past = subprocess.run(
        ["ssh", "-F", "/dev/null", "-i", str(key), "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
         "-o", "BatchMode=yes", "-p", direct, "lab@127.0.0.1", "true"], capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert past.returncode == 255 and "Permission denied (publickey)" in past.stderr
    out = ssh(
        house, key, "ls /var/run/docker.sock /run/docker.sock 2>&1; cat /run/lab/sshd_config | grep -E 'PasswordAuth|PermitRoot'; sudo -n true 2>&1"
    ).stdout
    assert "PasswordAuthentication no" in out and "PermitRootLogin no" in out and out.count("No such file") == 2


def test_a_lab_that_was_stopped_is_started_again_from_a_shell(house, lab, key):
    with house.api("charlie") as client:
        client.post(f"/labs/{lab['id']}/stop")
    house.lab_until("charlie", lab["id"], "stopped", within=90)
    said = ssh(house, key, "true")
    assert said.returncode == 255 and said.stderr.startswith("editor is not running. Start it again at ") and "ssh editor@" in said.stderr
    shell = subprocess.Popen(
        ["ssh", "-F", "/dev/null", "-i", str(key), "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
         "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-p", str(house.ssh_port), "-tt", "editor@localhost"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert shell.stdin and shell.stdout
    try:
        shell.stdin.write(b"y")
        shell.stdin.flush()
        said = b""
        while b"editor runs." not in said:
            chunk = shell.stdout.read1(4096)
            assert chunk, said
            said += chunk
        assert b"Start it again (1 GPU" in said
        shell.stdin.write(b"echo back in $GPULAB_LAB; exit 5\n")
        shell.stdin.flush()
        assert shell.wait(60) == 5
    finally:
        shell.kill()
    with house.api("charlie") as client:
        again = next(one for one in client.get("/labs").json()["items"] if one["name"] == "editor" and one["state"] == "running")
        client.post(f"/labs/{again['id']}/stop")
    wait_for(lambda: house.lab_until("charlie", again["id"], "stopped", within=90), within=120, what="the end of the second lab")
