"""The process runtime with real processes: JupyterLab, limits, SSH, files, ends."""

import os
import pickle
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.embedded.conftest import TOKEN
from tests.support.jupyter import cell_run, status_of
from tests.support.waiting import wait_for
from worker.runtimes.base import LabSpec, Observed, RuntimeFault
from worker.runtimes.mounts import FOLDER, MODELS, SCRATCH, TEAM, Mount
from worker.runtimes.process.ending import labs_end
from worker.runtimes.process.runtime import LOST, ProcessRuntime

AUTHORIZED = {"Authorization": f"token {TOKEN}"}
Specs = Callable[..., LabSpec]
pytestmark = pytest.mark.timeout(600)  # the first one may have to build the environment
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: only root can change users and mount")


def url_of(spec: LabSpec, observed: Observed) -> str:
    """The lab's own address on this machine."""
    assert observed.jupyter is not None
    return f"http://{observed.jupyter[0]}:{observed.jupyter[1]}{spec.base_url}"


def lab_up(runtime: ProcessRuntime, spec: LabSpec) -> Observed:
    """Start and wait until Jupyter answers."""
    observed = runtime.start(spec)
    wait_for(lambda: status_of(f"{url_of(spec, observed)}api", {}) == 200, within=90, what=f"Jupyter; its log: {runtime.logs(spec.name, 50)}")
    return observed


def only(runtime: ProcessRuntime) -> Observed:
    """The one lab there is."""
    (found,) = runtime.observe()
    return found


def ssh(observed: Observed, key: Path, *command: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """OpenSSH's own client, as the gateway reaches the lab."""
    assert observed.ssh is not None
    return subprocess.run(
        ["ssh", *ssh_options(key), "-p", str(observed.ssh[1]), *options, "lab@127.0.0.1", *command], capture_output=True, text=True, timeout=60, check=False
    )


def ssh_options(key: Path) -> list[str]:
    """No file of the person who runs the tests is read or written."""
    known = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
    return ["-F", "/dev/null", "-i", str(key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", *known]


def test_a_lab_computes_with_torch_behind_its_token(runtime: ProcessRuntime, spec_of: Specs) -> None:
    spec = spec_of()
    observed = lab_up(runtime, spec)
    base = url_of(spec, observed)
    assert status_of(f"{base}api/status", {}) == 403
    assert status_of(f"{base}api/status", AUTHORIZED) == 200
    assert status_of(f"{base}lab", AUTHORIZED) == 200
    assert cell_run(base, AUTHORIZED, "import torch; print(int(torch.ones(6, 7).sum()))") == "42\n"


def test_the_token_is_in_no_argument_environment_plan_or_log(runtime: ProcessRuntime, spec_of: Specs) -> None:
    spec = spec_of()
    lab_up(runtime, spec)
    assert len(runtime.processes(spec.name)) >= 2
    for pid in runtime.processes(spec.name):
        for file in ("cmdline", "environ"):
            assert TOKEN.encode() not in Path(f"/proc/{pid}/{file}").read_bytes()
    assert TOKEN not in (runtime.run / spec.name / "plan.json").read_text()
    assert TOKEN not in runtime.logs(spec.name, 1000)


def test_every_limit_is_read_back_and_what_does_not_hold_is_told(runtime: ProcessRuntime, spec_of: Specs) -> None:
    spec = spec_of(gpu_uuids=("GPU-1111", "GPU-2222"))
    lab_up(runtime, spec)
    found = runtime.verify(spec)
    assert list(found.differences) == []
    assert found.found["gpus"] == "GPU-1111,GPU-2222"
    assert found.found["capabilities"] == "none"
    assert any("not kept apart" in words for words in found.not_held)
    assert any("CUDA_VISIBLE_DEVICES" in words for words in found.not_held)
    for limit in ("memory", "cpu", "pids"):
        assert (limit in runtime.host.groups.held) != any(words.startswith({"cpu": "CPUs", "pids": "processes"}.get(limit, limit)) for words in found.not_held)


def test_a_lab_that_got_less_than_asked_is_found_out(runtime: ProcessRuntime, spec_of: Specs) -> None:
    lab_up(runtime, spec_of(gpu_uuids=("GPU-1111",)))
    found = runtime.verify(spec_of(gpu_uuids=("GPU-2222",)))
    assert [(one.what, one.asked, one.found) for one in found.differences] == [("gpus", "GPU-2222", "GPU-1111")]


@as_root
def test_a_lab_runs_as_its_own_user_and_sees_its_own_folders(runtime: ProcessRuntime, spec_of: Specs, gateway: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    (shared / "set.txt").write_text("numbers")
    (runtime.host.home / "secrets.env").touch(mode=0o600)
    observed = lab_up(runtime, spec_of(shared_data=str(shared)))
    script = "id -u; pwd; cat /data/set.txt; echo; touch /data/x 2>&1 | tail -c 22; df -m --output=size /dev/shm | tail -1; touch /workspace/kept"
    lines = ssh(observed, gateway, script).stdout.split("\n")
    assert [line.strip() for line in lines[:5]] == ["20001", "/workspace", "numbers", "Read-only file system", "256"]
    assert (runtime.host.home / "workspaces/gpulab-ws-1/kept").stat().st_uid == 20001
    refused = ssh(observed, gateway, f"cat {runtime.host.home}/secrets.env")
    assert refused.returncode != 0


@as_root
def test_a_link_in_the_workspace_does_not_lead_the_platform_astray(runtime: ProcessRuntime, spec_of: Specs, tmp_path: Path) -> None:
    target = tmp_path / "of-root"
    target.mkdir(mode=0o755)
    workspace = runtime.host.home / "workspaces/gpulab-ws-1"
    workspace.mkdir(mode=0o700)
    os.chown(workspace, 20001, 20001)
    (workspace / ".gpulab").symlink_to(target)
    observed = runtime.start(spec_of())
    assert not observed.running
    assert "could not be made in the workspace" in observed.detail
    assert list(target.iterdir()) == []


def test_starting_twice_makes_one_lab(runtime: ProcessRuntime, spec_of: Specs) -> None:
    first = lab_up(runtime, spec_of())
    assert runtime.start(spec_of()) == first
    assert len(runtime.observe()) == 1


def test_a_lab_outlives_the_worker_that_started_it(runtime: ProcessRuntime, spec_of: Specs, envs: Path) -> None:
    spec = spec_of()
    code = (
        "import pickle, sys\nfrom pathlib import Path\nfrom worker.runtimes.process.runtime import ProcessRuntime\n"
        f"ProcessRuntime(home=Path({str(runtime.host.home)!r}), envs=Path({str(envs)!r}), node_id='local').start(pickle.load(sys.stdin.buffer))"
    )
    fields = pickle.dumps(spec)
    subprocess.run([sys.executable, "-c", code], input=fields, check=True)
    observed = lab_up(runtime, spec)
    assert observed.running


def test_stop_ends_everything_in_time_and_keeps_the_files(runtime: ProcessRuntime, spec_of: Specs, gateway: Path) -> None:
    spec = spec_of()
    observed = lab_up(runtime, spec)
    ssh(observed, gateway, "echo kept > file.txt; setsid sleep 600 >/dev/null 2>&1 & disown")
    pids = wait_for(lambda: [pid for pid in runtime.processes(spec.name) if _command(pid).startswith("sleep")], what="the stray process")
    began = time.monotonic()
    runtime.stop(spec.name, 30)
    assert time.monotonic() - began < 3
    assert runtime.observe() == []
    assert not [pid for pid in pids if _command(pid)]
    assert (runtime.host.home / "workspaces/gpulab-ws-1/file.txt").read_text() == "kept\n"
    assert not any(path.exists() for path in runtime.host.groups.folders(spec.name).values())
    runtime.stop(spec.name, 30)
    assert runtime.usage(spec.name) is None
    assert runtime.logs(spec.name, 10) == ""


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except FileNotFoundError:
        return ""


def test_a_lab_that_ignores_the_request_is_killed_after_the_grace(runtime: ProcessRuntime, spec_of: Specs) -> None:
    spec = spec_of()
    lab_up(runtime, spec)
    for pid in runtime.processes(spec.name):
        os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    runtime.stop(spec.name, 0.5)
    assert 0.5 <= time.monotonic() - began < 6
    assert runtime.observe() == []


@as_root
def test_a_kernel_killed_for_memory_leaves_the_lab_running(runtime: ProcessRuntime, spec_of: Specs, gateway: Path) -> None:
    spec = spec_of(memory_mib=512)
    observed = lab_up(runtime, spec)
    ended = ssh(observed, gateway, "python -c 'x = bytearray(900 << 20)'")
    assert ended.returncode != 0
    assert only(runtime).running
    usage = runtime.usage(spec.name)
    assert usage is not None
    assert usage.oom_kills == 1
    assert usage.memory_bytes is not None
    assert 10 << 20 < usage.memory_bytes < 512 << 20
    assert usage.cpu_ns is not None
    assert usage.cpu_ns > 0


@as_root
def test_a_main_process_killed_for_memory_is_told_apart(runtime: ProcessRuntime, spec_of: Specs) -> None:
    runtime.start(spec_of(memory_mib=24))
    wait_for(lambda: not only(runtime).running, within=60, what="the end of a lab with 24 MiB")
    assert only(runtime).oom_killed
    assert only(runtime).exit_code == 137


def test_a_lab_whose_keeper_was_killed_is_lost_in_words_and_leaves_no_server(runtime: ProcessRuntime, spec_of: Specs) -> None:
    spec = spec_of()
    observed = lab_up(runtime, spec)
    os.kill(int(runtime._folder(spec.name).keeper.pid), signal.SIGKILL)
    wait_for(lambda: not only(runtime).running, what="the loss to be seen")
    assert only(runtime).detail == LOST
    wait_for(lambda: status_of(f"{url_of(spec, observed)}api", {}) == 0, what="the server's end")


def test_labs_end_with_the_command_that_serves_them_and_say_so(runtime: ProcessRuntime, spec_of: Specs) -> None:
    for number, lab_id in enumerate(("aaaaaaaaaaaa", "bbbbbbbbbbbb")):
        lab_up(runtime, spec_of(lab_id=lab_id, uid=20001 + number, gid=20001 + number, workspace=f"gpulab-ws-{number}"))
    assert labs_end(runtime.run, why="GPU Lab was stopped on this machine") == 2
    found = runtime.observe()
    assert [one.running for one in found] == [False, False]
    assert {one.detail for one in found} == {"GPU Lab was stopped on this machine"}


def test_ssh_offers_a_terminal_commands_and_copies_with_the_labs_environment(runtime: ProcessRuntime, spec_of: Specs, gateway: Path, tmp_path: Path) -> None:
    spec = spec_of()
    observed = lab_up(runtime, spec)
    assert observed.ssh is not None
    found = ssh(observed, gateway, "echo $GPULAB_LAB; python -c 'import torch; print(torch.ones(3).sum().item())'; exit 7")
    assert (found.stdout, found.returncode) == (f"{spec.lab_id}\n3.0\n", 7)
    assert ssh(observed, gateway, "tty && stty size", options=("-tt",)).stdout.startswith("/dev/pts/")
    (tmp_path / "sent").write_bytes(os.urandom(200_000))
    port = str(observed.ssh[1])
    for copy in (["scp"], ["scp", "-O"]):
        there, back = "lab@127.0.0.1:sent", tmp_path / "back"
        for pair in ((tmp_path / "sent", there), (there, back)):
            subprocess.run([*copy, *ssh_options(gateway), "-P", port, *map(str, pair)], check=True, capture_output=True, timeout=60)
        assert back.read_bytes() == (tmp_path / "sent").read_bytes()


def test_ssh_takes_no_key_but_the_gateways(runtime: ProcessRuntime, spec_of: Specs, tmp_path: Path) -> None:
    observed = lab_up(runtime, spec_of())
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    refused = ssh(observed, other, "id")
    assert refused.returncode == 255
    assert "Permission denied" in refused.stderr


def test_ssh_forwards_to_the_labs_own_loopback_only(runtime: ProcessRuntime, spec_of: Specs, gateway: Path) -> None:
    spec = spec_of()
    observed = lab_up(runtime, spec)
    assert observed.jupyter is not None
    assert observed.ssh is not None
    command = ["ssh", *ssh_options(gateway), "-p", str(observed.ssh[1]), "lab@127.0.0.1", "-W"]
    with subprocess.Popen([*command, f"127.0.0.1:{observed.jupyter[1]}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as forward:
        assert forward.stdin is not None
        assert forward.stdout is not None
        forward.stdin.write(f"GET {spec.base_url}api HTTP/1.0\r\n\r\n".encode())
        forward.stdin.flush()
        assert b"200 OK" in forward.stdout.readline()
        forward.kill()
    refused = subprocess.run([*command, "192.0.2.1:80"], input="", capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 255


def test_what_a_person_installs_is_there_in_the_next_lab_and_torch_stays_the_images(
    runtime: ProcessRuntime, spec_of: Specs, gateway: Path, tmp_path: Path
) -> None:
    wheel = tmp_path / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny.py", "ANSWER = 42\n")
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    observed = lab_up(runtime, spec_of())
    with wheel.open("rb") as content:
        assert observed.ssh is not None
        command = ["ssh", *ssh_options(gateway), "-p", str(observed.ssh[1]), "lab@127.0.0.1", f"cat > {wheel.name} && pip install --no-index ./{wheel.name}"]
        done = subprocess.run(command, stdin=content, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    runtime.stop(spec_of().name, 10)
    spec = spec_of(attempt=2)
    observed = lab_up(runtime, spec)
    code = "import tiny, torch; print(tiny.ANSWER, tiny.__file__.split('/.gpulab/')[0], '.gpulab' in torch.__file__)"
    printed = cell_run(url_of(spec, observed), AUTHORIZED, code)
    assert printed.split()[0] == "42"
    assert printed.split()[2] == "False"


def test_another_torch_over_the_images_own_is_told(runtime: ProcessRuntime, spec_of: Specs) -> None:
    spec = spec_of()
    lab_up(runtime, spec)
    usage = runtime.usage(spec.name)
    assert usage is not None
    assert usage.own_torch == ""
    (packages,) = (runtime.host.home / "workspaces/gpulab-ws-1/.gpulab").glob("*/lib/*/site-packages")
    for name in ("torch-2.1.0+cu118.dist-info", "torch-vision-0.1.dist-info", "torch-<b>x.dist-info"):
        (packages / name).mkdir()
    usage = runtime.usage(spec.name)
    assert usage is not None
    assert usage.own_torch == "2.1.0+cu118"


def test_an_image_that_this_runtime_does_not_know_is_refused_in_words(runtime: ProcessRuntime, spec_of: Specs) -> None:
    assert runtime.image_inspect("pytorch/pytorch:2.9.1") is None
    with pytest.raises(RuntimeFault, match="no environment of the process runtime"):
        runtime.start(spec_of(image="pytorch/pytorch:2.9.1"))
    assert runtime.observe() == []


def test_the_environment_tells_what_is_in_it(runtime: ProcessRuntime, spec_of: Specs) -> None:
    found = runtime.image_inspect(spec_of().image)
    assert found is not None
    assert found.labels["gpulab.torch"].startswith("2.13.0")
    assert found.digest.startswith("sha256:")


@pytest.mark.parametrize("name", ["../elsewhere", ".hidden", "a/b"])
def test_a_name_that_is_a_path_is_refused(runtime: ProcessRuntime, name: str) -> None:
    with pytest.raises(RuntimeFault):
        runtime.stop(name, 0)


@as_root
def test_a_start_that_was_cut_short_is_begun_again(runtime: ProcessRuntime, spec_of: Specs, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of()
    with monkeypatch.context() as cut:
        cut.setattr(ProcessRuntime, "_keep", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            runtime.start(spec)
    assert (runtime.run / spec.name / "plan.json").exists()
    assert runtime.observe() == []
    assert lab_up(runtime, spec).running


@as_root
def test_where_no_view_can_be_made_a_closed_folder_is_named(runtime: ProcessRuntime, spec_of: Specs) -> None:
    runtime.host = replace(runtime.host, view=False)
    runtime.host.home.chmod(0o700)
    with pytest.raises(RuntimeFault, match=r"cannot reach .*Set GPULAB_HOME"):
        runtime.start(spec_of())
    assert list(runtime.run.iterdir()) == []


def test_the_ssh_server_comes_back_when_it_was_killed(runtime: ProcessRuntime, spec_of: Specs, gateway: Path) -> None:
    spec = spec_of()
    observed = lab_up(runtime, spec)
    wait_for(lambda: ssh(observed, gateway, "true").returncode == 0, what="the first answer")
    (server,) = [pid for pid in runtime.processes(spec.name) if "labsshd.py" in _command(pid)]
    os.kill(server, signal.SIGKILL)
    wait_for(lambda: ssh(observed, gateway, "true").returncode == 0, what="the answer of the next one")
    assert only(runtime).running


@as_root
def test_folders_beside_the_workspace_are_as_asked_and_scratch_goes_with_the_lab(
    runtime: ProcessRuntime, spec_of: Specs, gateway: Path, tmp_path: Path
) -> None:
    shared, flowers = tmp_path / "shared", tmp_path / "flowers"
    for folder in (shared, flowers):
        folder.mkdir(mode=0o755)
        (folder / f"{folder.name}.txt").write_text(folder.name)
    mounts = (
        Mount("/data/flowers", FOLDER, str(flowers)),
        Mount("/team/vision", TEAM, "gpulab-n1-team-7", gid=40_007),
        Mount("/scratch", SCRATCH, "gpulab-x-1-scratch"),
        Mount("/models", MODELS, "gpulab-n1-models-1", below=str(flowers), locked=True),
    )
    spec = spec_of(shared_data=str(shared), mounts=mounts)
    observed = lab_up(runtime, spec)
    verification = runtime.verify(spec)
    assert list(verification.differences) == []
    assert verification.found["folders"] == "/data/flowers ro, /data/shared ro, /models ro, /scratch rw, /team/vision rw"
    assert "models: /models can only be read here; what you download goes into your workspace" in verification.not_held
    script = "cat /data/flowers/flowers.txt /data/shared.txt; echo; touch /data/flowers/x 2>&1 | tail -c 22; umask 077; touch /team/vision/a /scratch/b; id -G"
    lines = ssh(observed, gateway, script).stdout.split("\n")
    assert [line.strip() for line in lines[:3]] == ["flowersshared", "Read-only file system", "20001 40007"]
    made = (runtime.host.home / "teams/gpulab-n1-team-7/a").stat()
    assert (made.st_gid, made.st_mode & 0o060) == (40_007, 0o060)
    runtime.stop(spec.name, 2.0)
    assert not (runtime.run / spec.name).exists()
