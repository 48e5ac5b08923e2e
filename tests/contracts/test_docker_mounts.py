"""Folders beside the workspace, on the engine: data sets to read, a team's folder to share, scratch that goes with its lab."""

import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.contracts.engine import NODE, api, engine_address, engine_image, gateway, inside, make_spec, runtime  # noqa: F401  (fixtures)
from worker.runtimes.base import RuntimeFault
from worker.runtimes.docker import servers
from worker.runtimes.mounts import FOLDER, NFS, SCRATCH, TEAM, VOLUME, Mount

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]
TEAM_GID = 40_007


@pytest.fixture
def volumes(api: Any):
    """Names of volumes; they are removed afterwards."""
    names: list[str] = []
    yield names
    for name in names:
        try:
            api.remove_volume(name)
        except docker.errors.APIError:
            continue


def _sh(api: Any, spec: Any, script: str) -> tuple[int, str]:
    return inside(api, spec, "sh", "-c", script)


def test_data_are_there_to_read_beside_the_houses_own_folder_and_every_mount_is_read_back(runtime, make_spec, api, tmp_path):
    shared, flowers = tmp_path / "shared", tmp_path / "flowers"
    for folder in (tmp_path, shared, flowers):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
    (shared / "old.csv").write_text("1,2\n")
    (flowers / "rose.txt").write_text("red\n")
    mounts = tuple(Mount(target, FOLDER, str(flowers)) for target in ("/data/flowers", "/data/flowers@2"))
    spec = make_spec(shared_data=str(shared), mounts=mounts)
    runtime.start(spec)
    verification = runtime.verify(spec)
    assert verification.differences == []
    assert verification.found["folders"] == "/data/flowers ro, /data/flowers@2 ro, /data/shared ro"
    assert _sh(api, spec, "cat /data/flowers/rose.txt /data/flowers@2/rose.txt /data/old.csv") == (0, "red\nred\n1,2\n")
    for path in ("/data/flowers/rose.txt", "/data/new", "/data/shared/new"):
        assert "Read-only" in _sh(api, spec, f"echo x > {path}")[1]


def test_what_bob_writes_into_the_teams_folder_alice_reads_and_charlie_sees_nothing_of(volumes, runtime, make_spec, api):
    team = Mount("/team/vision", TEAM, f"gpulab-{NODE}-team-7", gid=TEAM_GID)
    volumes.append(team.source)
    bob, alice, charlie = make_spec(mounts=(team,)), make_spec(mounts=(team,)), make_spec()
    for spec in (bob, alice, charlie):
        runtime.start(spec)
        assert runtime.verify(spec).differences == []
    assert _sh(api, bob, "umask 077; mkdir /team/vision/runs && echo 0.9 > /team/vision/runs/accuracy") == (0, "")
    assert _sh(api, alice, "cat /team/vision/runs/accuracy; echo 0.95 > /team/vision/runs/accuracy; stat -c %g /team/vision/runs") == (0, f"0.9\n{TEAM_GID}\n")
    assert _sh(api, alice, "id -Gn")[1].split()[-1] == "vision"
    assert _sh(api, charlie, "ls /team")[0] != 0
    assert str(TEAM_GID) not in _sh(api, charlie, "id -G")[1]


def test_scratch_is_the_labs_own_and_goes_with_it(runtime, make_spec, api):
    spec = make_spec(lab_id="scratchlab")
    spec = make_spec(lab_id="scratchlab", mounts=(Mount("/scratch", SCRATCH, f"{spec.name}-scratch", size_mib=1024),))
    runtime.start(spec)
    assert runtime.verify(spec).found["folders"] == "/scratch rw"
    assert _sh(api, spec, "echo fast > /scratch/x; stat -c '%u %a' /scratch") == (0, f"{spec.uid} 700\n")
    runtime.stop(spec.name, 0)
    with pytest.raises(docker.errors.NotFound):
        api.inspect_volume(f"{spec.name}-scratch")


def test_a_mount_that_is_missing_is_a_difference(runtime, make_spec, tmp_path):
    tmp_path.chmod(0o755)
    bare = make_spec()
    runtime.start(bare)
    asked = replace(bare, mounts=(Mount("/data/flowers", FOLDER, str(tmp_path)),))
    assert [(one.what, one.where, one.found) for one in runtime.verify(asked).differences] == [("folders", "engine", "none"), ("folders", "inside", "none")]


def test_a_volume_of_the_engine_is_read_where_it_lies_and_one_that_is_not_there_is_said(volumes, runtime, make_spec, api):
    api.create_volume("flowers-test")
    volumes.append("flowers-test")
    with runtime.data_opened(Mount("/data/flowers", VOLUME, "flowers-test"), "") as folder:
        assert folder.endswith("/_data")
    with pytest.raises(RuntimeFault, match="no volume"), runtime.data_opened(Mount("/data/x", VOLUME, "not-there"), ""):
        pass


def test_a_lab_starts_without_a_data_set_whose_server_is_away_and_says_so_unless_it_asked_for_it(runtime, make_spec, volumes):
    """Nobody answers at this machine's port of NFS; a real server and client are in in_kernel_nfs.py."""
    far = Mount("/data/far", NFS, f"gpulab-{NODE}-data-9", remote="127.0.0.1:/export/flowers")
    with pytest.raises(RuntimeFault) as caught, runtime.data_opened(far, "any"):
        pass
    assert caught.value.words == "The server 127.0.0.1 does not answer."
    with pytest.raises(RuntimeFault) as caught:
        runtime.start(make_spec(mounts=(replace(far, needed=True),)))
    assert caught.value.words == "The data set /data/far cannot be had: The server 127.0.0.1 does not answer."
    spec = make_spec(mounts=(far,))
    runtime.start(spec)
    verification = runtime.verify(spec)
    assert (verification.differences, verification.not_held) == ([], ["data: /data/far is not there, because the server 127.0.0.1 does not answer"])


def test_what_the_engine_cannot_mount_is_left_out_once_it_has_said_so(runtime, make_spec, api, volumes):
    """The server answers, and the mount fails: this kernel has no NFS, or the port is no server's of it."""
    far = Mount("/data/far", NFS, f"gpulab-{NODE}-data-9", remote="127.0.0.1:/export/flowers")
    volumes.append(far.source)
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(servers, "PORT", server.getsockname()[1])
        patch.setattr(servers, "REST_S", 600.0)
        runtime._servers._away.clear()
        api.create_volume(far.source, driver="local", driver_opts={"type": "nfs", "o": "addr=127.0.0.1,port=1,vers=3,nolock", "device": ":/export/flowers"})
        spec = make_spec(mounts=(far,))
        runtime.start(spec)
        verification = runtime.verify(spec)
        assert verification.differences == []
        assert verification.not_held[0].startswith("data: /data/far is not there, because ")


def test_a_folder_that_a_server_gives_is_mounted_while_it_is_looked_at(runtime, api, engine_image, volumes, tmp_path):
    """The same driver of the engine's mounts a folder of the host instead; from a server it does in in_kernel_nfs.py."""
    (tmp_path / "rose.txt").write_text("red\n")
    mount = Mount("/data/near", NFS, f"gpulab-{NODE}-data-10", remote="127.0.0.1:/export")
    volumes.append(mount.source)
    api.create_volume(mount.source, driver="local", driver_opts={"type": "none", "o": "bind,ro", "device": str(tmp_path)})
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(servers, "PORT", server.getsockname()[1])
        with runtime.data_opened(mount, engine_image) as folder:
            assert (Path(folder) / "rose.txt").read_text() == "red\n"
