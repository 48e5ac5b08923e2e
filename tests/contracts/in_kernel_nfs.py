"""NFS as it is: a server of the kernel in a network of its own, its client, and the real engine. Not collected by itself: test_kernel_nfs.py runs it."""

import os
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.contracts.specs import RANGE, Maker
from tests.support.waiting import wait_for
from worker.disks import at_rest_check, limits_check, used_pct
from worker.quotas.linux import ProjectQuotas
from worker.runtimes.base import RuntimeFault
from worker.runtimes.docker.bounds import host_bounded
from worker.runtimes.docker.client import faults
from worker.runtimes.docker.models import Models
from worker.runtimes.docker.mounts import mounts_config
from worker.runtimes.docker.runtime import DockerRuntime
from worker.runtimes.docker.servers import Servers
from worker.runtimes.docker.volumes import Sizes, workspace_ensure
from worker.runtimes.folders import folder_measure, folder_sum
from worker.runtimes.mounts import MODELS, MODELS_AT, NFS, Mount, own_name

SOCKET = "unix://{root}/socket"
NODE, IMAGE, SERVER = "far", "tiny:1", "10.9.9.1"
DISK, DISKS = Path("/tmp/disk"), Path("/tmp/engines")
OWNER, STRANGER = 20_001, 20_002
#: A network of its own for the server, so that its cable can be cut.
CABLE = """
ip link add near type veth peer name far && ip netns add far && ip link set far netns far
ip addr add 10.9.9.2/24 dev near && ip link set near up
ip netns exec far sh -c "ip link set lo up; ip addr add 10.9.9.1/24 dev far; ip link set far up"
"""
#: The programs' own folders are in memory: what lies below is the machine's that runs the tests. Its root could not be given away, so the disk is the server's.
#: Where the root is shared, as systemd has it, an engine mounts its own folder over no other.
BEGIN = """
mount --make-rshared /
printf '[exports]\nrootdir=/tmp/disk\n' >/tmp/nfs.conf && mount --bind /tmp/nfs.conf /etc/nfs.conf
mount -t tmpfs none /var/lib/nfs && mkdir -p /var/lib/nfs/v4recovery /var/lib/nfs/rpc_pipefs /var/lib/nfs/sm && touch /var/lib/nfs/etab /var/lib/nfs/rmtab
mkfs.ext4 -q -F /dev/ubdb && mkdir -p /tmp/disk && mount /dev/ubdb /tmp/disk && mkdir -p /tmp/disk/flowers/more /tmp/disk/closed /tmp/disk/volumes
printf 'red\\n' >/tmp/disk/flowers/rose.txt; head -c 3000000 /dev/urandom >/tmp/disk/flowers/more/tulip.bin
chmod 711 /tmp/disk/volumes; touch /tmp/disk/volumes/metadata.db
ip netns exec far sh -c "rpcbind; mount -t nfsd nfsd /proc/fs/nfsd
exportfs -o rw,no_root_squash,no_subtree_check 10.9.9.2:/volumes; exportfs -o ro,no_subtree_check 10.9.9.2:/flowers
exportfs -o ro,no_subtree_check 10.9.9.77:/closed; rpc.mountd; rpc.nfsd --grace-time 10 --lease-time 10 2"
"""


def sh(script: str) -> None:
    subprocess.run(["bash", "-ec", script], check=True)


def served(options: str) -> None:
    """The server anew, with other options of rpc.nfsd."""
    sh(f'ip netns exec far sh -c "mount -t nfsd nfsd /proc/fs/nfsd; rpc.nfsd 0; rpc.nfsd --grace-time 10 --lease-time 10 {options} 2"')


@contextmanager
def cut() -> Iterator[None]:
    """Nobody answers any more, as when a machine has lost its power."""
    sh("ip netns exec far ip link set far down")
    try:
        yield
    finally:
        sh('ip netns exec far sh -c "ip link set far up; ip addr replace 10.9.9.1/24 dev far"')


@pytest.fixture(scope="session")
def server() -> None:
    sh(CABLE + BEGIN)
    sh(f"mkdir -p {DISKS} && mkfs.ext4 -q -F /dev/ubda && mount /dev/ubda {DISKS} && mount -t cgroup2 none /sys/fs/cgroup && chmod 711 {DISKS}")


@contextmanager
def engine_on(root: Path) -> Iterator[Any]:
    """An engine with an image that can sleep, write and read."""
    root.mkdir(exist_ok=True)
    running = _engine(root)
    try:
        api = wait_for(lambda: _answering(root), within=180, what="the engine", every=0.5)
        root.chmod(0o711)  # the people of these tests come from outside of containers
        api.import_image(str(_image()), repository="tiny", tag="1")
        yield api
    finally:
        running.terminate()
        running.wait(60)


def _engine(root: Path) -> subprocess.Popen[bytes]:
    """Begun again where it gives up: on a busy machine it does not wait long enough for its own parts."""
    places = f"--data-root {root} --exec-root {root}/run --host {SOCKET.format(root=root)} --pidfile {root}/pid"
    once = f"dockerd {places} --iptables=false --ip6tables=false --bridge=none --storage-driver=vfs"
    script = f"trap 'kill $child; wait $child; exit' TERM; for n in 1 2 3; do {once} >>{root}/log 2>&1 & child=$!; wait $child; done"
    return subprocess.Popen(["bash", "-c", script], env=os.environ | {"DOCKER_RAMDISK": "1"})


def _answering(root: Path) -> Any:
    try:
        return docker.APIClient(base_url=SOCKET.format(root=root), version="auto", timeout=60)
    except docker.errors.DockerException:
        return None


@pytest.fixture(scope="session")
def engine(server: None) -> Iterator[Any]:
    """One with its volumes on its own disk."""
    with engine_on(DISKS / "engine") as api:
        yield api


def _volumes_on_server(root: Path) -> None:
    """As docs/volumes.md says: where several engines share their volumes, each needs this file of its own."""
    sh(f"mkdir -p {root}/volumes && mount -t nfs -o vers=4.2 {SERVER}:/volumes {root}/volumes")
    sh(f"touch {root}/metadata.db && mount --bind {root}/metadata.db {root}/volumes/metadata.db")


@pytest.fixture(scope="session")
def sharing(server: None) -> Iterator[Any]:
    """One whose volumes lie on the server."""
    _volumes_on_server(DISKS / "sharing")
    with engine_on(DISKS / "sharing") as api:
        yield api


def _image() -> Path:
    """Three programs and their libraries."""
    programs = ("/bin/sleep", "/bin/cat", "/bin/sh")
    found = subprocess.run(["ldd", *programs], check=True, capture_output=True, text=True).stdout.split()
    files = [*programs, *sorted({one for one in found if one.startswith("/") and not one.endswith(":")})]
    folders = {str(folder)[1:] for file in files for folder in Path(file).parents if folder.name} | {"data", "workspace", "models", "proc", "sys", "dev", "etc"}
    with tarfile.open("/tmp/image.tar", "w", dereference=True) as tar:
        for name in sorted(folders):
            made = tarfile.TarInfo(name)
            made.type, made.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(made)
        for file in files:
            tar.add(file)
    return Path("/tmp/image.tar")


@contextmanager
def refused(*words: str) -> Iterator[None]:
    """RuntimeFault with one of these in its words."""
    with pytest.raises(RuntimeFault) as caught:
        yield
    assert any(one in caught.value.words for one in words), (caught.value.words, caught.value.detail)


@pytest.fixture(scope="session")
def runtime(engine: Any) -> DockerRuntime:
    return DockerRuntime(
        node_id=NODE, state_dir=Path("/tmp/state"), network_range=RANGE, images_dir=Path("images"), address=SOCKET.format(root=DISKS / "engine")
    )


@pytest.fixture
def flowers(engine: Any) -> Iterator[Mount]:
    """A data set of the server's; its volume goes with the test."""
    mount = Mount("/data/flowers", NFS, f"gpulab-{NODE}-data-1", remote=f"{SERVER}:/flowers")
    yield mount
    engine.remove_volume(mount.source)


@pytest.mark.parametrize(("options", "spoken"), [("", "vers=4.2"), ("-N 3 -N 4.2", "vers=4.1"), ("-N 4", "vers=3,nolock")])
def test_a_data_set_is_read_whole_by_the_newest_version_that_its_server_speaks(options: str, spoken: str, runtime, engine, flowers) -> None:
    served(options)
    try:
        for _ in range(2):
            with runtime.data_opened(flowers, IMAGE) as folder:
                assert folder_sum(Path(folder), 60) == folder_sum(DISK / "flowers", 60)
                with pytest.raises(OSError, match="Read-only"):
                    (Path(folder) / "mine").write_text("x")
        assert engine.inspect_volume(flowers.source)["Options"]["o"].endswith(spoken)
    finally:
        served("")
    assert engine.containers(all=True) == []


@pytest.mark.parametrize("folder", ["closed", "absent"])
def test_what_a_server_does_not_give_is_said_in_words(folder: str, runtime, engine, flowers) -> None:
    with pytest.raises(RuntimeFault) as caught, runtime.data_opened(replace(flowers, remote=f"{SERVER}:/{folder}"), IMAGE):
        pass
    assert "The server gives this node no such folder." in caught.value.words
    assert engine.containers(all=True) == [], "nothing is left of the try"


def test_a_server_that_is_gone_is_said_within_seconds_and_no_lab_waits_for_what_it_can_do_without(runtime, engine, flowers) -> None:
    with runtime.data_opened(flowers, IMAGE), cut():
        begun, servers = time.monotonic(), Servers()
        with refused(f"The server {SERVER} does not answer."), runtime.data_opened(flowers, IMAGE):
            pass
        spec = Maker(image=IMAGE, node_id=NODE)(mounts=(flowers,))
        assert servers.given(spec).mounts == ()
        with refused("/data/flowers cannot be had: The server"):
            servers.given(replace(spec, mounts=(replace(flowers, needed=True),)))
        assert time.monotonic() - begun < 60
        assert servers.not_held(spec, "none")[1] == [f"data: /data/flowers is not there, because the server {SERVER} does not answer"]


def test_a_server_that_goes_while_a_set_is_read_ends_the_reading_in_words(runtime, engine, flowers) -> None:
    with runtime.data_opened(flowers, IMAGE) as folder, cut():
        begun = time.monotonic()
        with refused("could not be read whole"):
            folder_sum(Path(folder), 240)
        assert time.monotonic() - begun < 200


def workspace(sharing: Any, number: int = OWNER) -> tuple[Any, Path]:
    """A person's workspace on the server, made as for a lab."""
    spec = Maker(image=IMAGE, node_id=NODE)(uid=number, gid=number)
    workspace_ensure(sharing, spec)
    folder = Path(sharing.inspect_volume(spec.workspace)["Mountpoint"])
    assert any(path.stat().st_ino == folder.parent.stat().st_ino for path in (DISK / "volumes").iterdir()), "on the server's own disk"
    return spec, folder


def _as(number: int, script: str) -> tuple[int, str]:
    done = subprocess.run(["sh", "-c", script], user=number, group=number, extra_groups=[], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_workspace_on_nfs_is_its_owners_alone_and_files_are_replaced_whole(sharing) -> None:
    _, folder = workspace(sharing)
    written = "import os; f = open('new', 'w'); f.write('whole'); f.flush(); os.fsync(f.fileno()); os.rename('new', 'file'); os.link('file', 'same')"
    assert _as(OWNER, f'cd {folder} && /usr/bin/python3 -c "{written}" && cat file && ls') == (0, "wholefile\nsame\n")
    assert _as(OWNER, f"cd {folder} && /usr/bin/python3 -c \"import sqlite3; c = sqlite3.connect('h.db'); c.execute('create table t (a)'); c.commit()\"") == (
        0,
        "",
    )
    assert "Permission denied" in _as(STRANGER, f"cat {folder}/file")[1]
    assert "Permission denied" in _as(STRANGER, f"ls {folder}")[1]
    assert (folder.stat().st_uid, folder.stat().st_mode & 0o777) == (OWNER, 0o700)


def test_a_container_of_another_person_writes_its_own_workspace_and_not_this(sharing) -> None:
    spec, folder = workspace(sharing)
    shown = {"Type": "volume", "Source": spec.workspace, "Target": "/workspace", "VolumeOptions": {"NoCopy": True}}
    for number, status in ((OWNER, 0), (STRANGER, 2)):
        body = {
            "Image": IMAGE,
            "User": f"{number}:{number}",
            "Entrypoint": ["/bin/sh", "-c", "echo mine > /workspace/x"],
            "HostConfig": host_bounded(Mounts=[shown]),
        }
        made = sharing.create_container_from_config(body)["Id"]
        sharing.start(made)
        assert sharing.wait(made)["StatusCode"] == status
        sharing.remove_container(made)
    assert ((folder / "x").read_text(), (folder / "x").stat().st_uid) == ("mine\n", OWNER)


def test_a_workspace_on_nfs_is_measured_and_what_cannot_be_told_or_kept_there_is_said(sharing) -> None:
    spec, folder = workspace(sharing)
    _as(OWNER, f"head -c 5000000 /dev/zero > {folder}/big; sync {folder}/big")
    measured = Sizes().measure(sharing, spec.workspace, 60)
    assert (5_000_000 < measured.size < 5_200_000, measured.files, measured.whole) == (True, 2, True)
    assert 0 < used_pct(folder) < 100
    lack = ProjectQuotas().lack(folder)
    assert (lack.words, lack.fix) == ("They lie on nfs4, and GPU Lab can have limits kept by XFS and ext4 only.", "")
    assert limits_check(ProjectQuotas(), folder).state == "green"
    assert at_rest_check({"workspaces": folder})[0].words == "Whether workspaces are encrypted at rest cannot be told from here."


def test_a_workspace_whose_server_is_gone_is_measured_to_an_end_in_words(sharing) -> None:
    _, folder = workspace(sharing)
    with cut():
        begun = time.monotonic()
        Path("/proc/sys/vm/drop_caches").write_text("3")
        with refused("could not be measured"):
            folder_measure(folder, 5)
        assert time.monotonic() - begun < 60


def test_two_nodes_see_one_workspace_when_each_engine_has_its_own_database(sharing) -> None:
    spec, folder = workspace(sharing)
    assert _as(OWNER, f"echo from-one > {folder}/notes") == (0, "")
    _volumes_on_server(DISKS / "second")
    with engine_on(DISKS / "second") as second:
        workspace_ensure(second, spec)
        there = Path(second.inspect_volume(spec.workspace)["Mountpoint"])
        assert (there.is_relative_to(DISKS / "second"), there.stat().st_uid) == (True, OWNER)
        assert _as(OWNER, f"cat {there}/notes && echo from-two > {there}/notes") == (0, "from-one\n")
        wait_for(lambda: (folder / "notes").read_text() == "from-two\n", within=90, what="the other node's words")


def test_no_overlay_of_models_lies_on_nfs_and_the_lab_starts_with_them_to_read(sharing) -> None:
    spec, _ = workspace(sharing)
    below = Path("/tmp/models")
    (below / "hub").mkdir(parents=True)
    mount = Mount(MODELS_AT, MODELS, f"gpulab-{NODE}-models-1", below=str(below))
    spec, models = replace(spec, mounts=(mount,)), Models()
    assert models.given(sharing, spec) == spec
    assert {mount.source, own_name(mount.source)} <= {one["Name"] for one in sharing.volumes()["Volumes"]}
    with pytest.raises(RuntimeFault) as caught:
        _started(sharing, spec)
    assert models.refused(spec, caught.value)
    given = models.given(sharing, spec)
    assert given.mounts[0].locked
    _started(sharing, given)
    assert models.not_held(spec, f"{MODELS_AT} ro")[1] == [
        f"models: {MODELS_AT} can only be read here, because the engine cannot mount an overlay of them; what you download goes into your workspace"
    ]


def _started(sharing: Any, spec: Any) -> None:
    host = host_bounded(Mounts=mounts_config(spec, Path("/tmp")))
    made = sharing.create_container_from_config({"Image": IMAGE, "Entrypoint": ["/bin/sleep", "1"], "HostConfig": host})["Id"]
    try:
        with faults("The engine refused to start the lab"):
            sharing.start(made)
    finally:
        sharing.remove_container(made, force=True)
