"""A person in their lab: by SSH with the lab's environment, and with packages of their own that outlive it."""

import io
import subprocess
import time
import zipfile
from pathlib import Path

import pytest

from tests.contracts.engine import api, engine_address, engine_image, gateway, inside, make_spec, runtime, ssh  # noqa: F401  (fixtures)
from tests.contracts.runtime_contract import ready
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

#: What a session of its own has, and Jupyter's process alone.
OWN = {"SHLVL", "PWD", "OLDPWD", "_", "SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY", "MAIL", "LOGNAME", "HOSTNAME", "JUPYTER_TOKEN_FILE"}


def wheel(name: str, version: str, text: str) -> bytes:
    """A wheel of one module."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(f"{name}/__init__.py", text)
        folder = f"{name}-{version}.dist-info"
        archive.writestr(f"{folder}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{folder}/WHEEL", "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{folder}/entry_points.txt", f"[console_scripts]\n{name}-tool={name}:main\n")
        archive.writestr(f"{folder}/RECORD", "")
    return out.getvalue()


def put(api, spec, name: str, content: bytes) -> None:
    """Lay a file into the workspace as its owner would."""
    folder = Path(api.inspect_volume(spec.workspace)["Mountpoint"])
    (folder / name).write_bytes(content)


def install(api, spec, name: str, version: str, text: str) -> None:
    """`pip install` of a wheel in the workspace, in a terminal of the lab."""
    file = f"{name}-{version}-py3-none-any.whl"
    put(api, spec, file, wheel(name, version, text))
    code, output = inside(api, spec, "bash", "-lc", f"pip install --no-index --no-deps /workspace/{file}")
    assert code == 0, output


def test_ssh_takes_the_gateways_key_and_no_other(runtime, make_spec, gateway, tmp_path):
    spec = make_spec()
    seen = ready(runtime, spec)
    assert ssh(seen, gateway, "id -un; id -u").stdout.split() == ["lab", str(spec.uid)]
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    refused = ssh(seen, other, "id")
    assert refused.returncode == 255
    assert "Permission denied" in refused.stderr
    assert "password" not in refused.stderr


def test_a_session_has_the_environment_of_jupyter(runtime, make_spec, gateway):
    spec = make_spec(gpu_uuids=("GPU-11111111-aaaa",), environment={"GPULAB_LAB": "mine", "GREETING": "two words"})
    seen = ready(runtime, spec)
    jupyter = next(pid for pid in runtime.processes(spec.name) if b"jupyterlab" in Path(f"/proc/{pid}/cmdline").read_bytes())
    theirs = dict(one.split("=", 1) for one in Path(f"/proc/{jupyter}/environ").read_text().split("\0") if one)
    for command in ("env -0", "bash -lc 'env -0'"):
        session = dict(one.split("=", 1) for one in ssh(seen, gateway, command).stdout.split("\0") if "=" in one)
        assert {name: value for name, value in session.items() if name not in OWN} == {name: value for name, value in theirs.items() if name not in OWN}
    assert theirs["NVIDIA_VISIBLE_DEVICES"] == "GPU-11111111-aaaa"
    assert theirs["GREETING"] == "two words"


def test_a_session_runs_under_the_labs_limits(runtime, make_spec, gateway):
    spec = make_spec(memory_mib=512, shm_mib=64)
    seen = ready(runtime, spec)
    killed = ssh(seen, gateway, "python3 -c 'x = bytearray(2 << 30)'")
    assert killed.returncode != 0
    assert wait_for(lambda: (runtime.usage(spec.name) or None) and runtime.usage(spec.name).oom_kills, what="a kill for memory")
    assert ssh(seen, gateway, "grep -E 'CapEff|NoNewPrivs' /proc/self/status").stdout.split() == ["CapEff:", "0" * 16, "NoNewPrivs:", "1"]


def test_files_travel_by_sftp_and_rsync(runtime, make_spec, gateway, tmp_path):
    spec = make_spec()
    seen = ready(runtime, spec)
    (tmp_path / "up.txt").write_text("there and back")
    options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-i", str(gateway)]
    port = str(seen.ssh[1])
    subprocess.run(["scp", "-q", *options, "-P", port, tmp_path / "up.txt", "lab@127.0.0.1:up.txt"], check=True, timeout=90)
    subprocess.run(["scp", "-q", *options, "-P", port, "lab@127.0.0.1:/workspace/up.txt", tmp_path / "down.txt"], check=True, timeout=90)
    assert (tmp_path / "down.txt").read_text() == "there and back"
    assert ssh(seen, gateway, "rsync --version | head -1; tmux -V; git --version").stdout.count("version") >= 2


def test_what_pip_installs_is_there_in_the_next_lab_of_the_same_image(runtime, make_spec, gateway, api):
    first = make_spec()
    runtime.start(first)
    install(api, first, "greeting", "1.0", "def main():\n    print('hello')\n")
    runtime.stop(first.name, 5)
    second = make_spec(workspace=first.workspace, uid=first.uid, gid=first.gid)
    seen = ready(runtime, second)
    assert ssh(seen, gateway, "greeting-tool && python3 -c 'import greeting; greeting.main()'").stdout == "hello\nhello\n"


def test_one_images_packages_are_not_seen_by_another_image(runtime, make_spec, api):
    first = make_spec()
    runtime.start(first)
    install(api, first, "greeting", "1.0", "")
    runtime.stop(first.name, 5)
    other = make_spec(workspace=first.workspace, uid=first.uid, gid=first.gid, image_digest="sha256:" + "cd" * 32)
    runtime.start(other)
    code, output = inside(api, other, "bash", "-lc", "python3 -c 'import greeting'")
    assert code != 0
    assert "No module named" in output


def test_the_platform_sees_a_torch_that_is_not_the_images(runtime, make_spec, api):
    spec = make_spec()
    ready(runtime, spec)
    assert runtime.usage(spec.name).own_torch == ""
    install(api, spec, "torch", "9.9.1", "")
    assert runtime.usage(spec.name).own_torch == "9.9.1"


def test_a_link_in_the_workspace_leads_the_platform_nowhere(runtime, make_spec, api):
    spec = make_spec()
    ready(runtime, spec)
    script = """
        mkdir -p /workspace/aside/lib/python3.11/site-packages/torch-6.6.dist-info
        rm -rf $PYTHONUSERBASE && ln -s /workspace/aside $PYTHONUSERBASE
    """
    assert inside(api, spec, "bash", "-lc", script)[0] == 0
    assert runtime.usage(spec.name).own_torch == ""


def test_a_broken_package_of_the_persons_never_keeps_the_lab_from_opening(runtime, make_spec, api):
    first = make_spec()
    ready(runtime, first)
    install(api, first, "tornado", "99.0", "raise SystemExit('broken')")
    assert inside(api, first, "bash", "-lc", "python3 -c 'import tornado'")[0] != 0, "the person's package is broken"
    runtime.stop(first.name, 5)
    second = make_spec(workspace=first.workspace, uid=first.uid, gid=first.gid)
    ready(runtime, second)
    assert inside(api, second, "bash", "-lc", "python3 -c 'import tornado'")[0] != 0, "and still broken in the lab that opened"


def test_the_image_has_what_a_lab_needs(runtime, make_spec, api, engine_image):
    spec = make_spec()
    runtime.start(spec)
    modules = "numpy, pandas, scipy, matplotlib, PIL, cv2, tensorboard, ipywidgets, jupyterlab"
    if api.inspect_image(engine_image)["Config"]["Labels"]["gpulab.torch"]:
        modules += ", torch"
    code, output = inside(api, spec, "bash", "-lc", f"python3 -c 'import {modules}' && tensorboard --version && nvidia-smi -L; true")
    assert code == 0, output
    assert "Error" not in output


def test_stopping_a_plain_lab_takes_at_most_three_seconds(runtime, make_spec):
    spec = make_spec()
    ready(runtime, spec)
    began = time.monotonic()
    runtime.stop(spec.name, 30)
    assert time.monotonic() - began <= 3
