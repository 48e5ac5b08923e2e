"""What is read back, on texts of both cgroup versions: no engine needed."""

from pathlib import Path

import pytest

from tests.contracts.specs import Maker
from worker.runtimes.docker import cgroup
from worker.runtimes.docker.cgroup import Cgroup, cpus_of
from worker.runtimes.docker.create import container_config, overlay_name
from worker.runtimes.docker.inside import readings
from worker.runtimes.docker.probe import last_subnet
from worker.runtimes.docker.verify import asked, compare

MOUNTS = "900 800 0:50 / / ro,relatime - overlay overlay rw,lowerdir=/a\n901 900 0:51 / /dev/shm rw,nosuid,nodev,noexec,relatime - tmpfs shm rw,size=262144k\n"
STATUS = "Name:\ttini\nUid:\t20100\t20100\t20100\t20100\nGid:\t20100\t20100\t20100\t20100\nNoNewPrivs:\t1\n" + "".join(
    f"Cap{name}:\t0000000000000000\n" for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")
)


def files(**changes: str) -> dict[str, str]:
    """Raw texts of a lab as `make()` asks for it, on version 2."""
    return {
        "status": STATUS,
        "mountinfo": MOUNTS,
        "environ": "PATH=/bin\0NVIDIA_VISIBLE_DEVICES=void\0",
        "memory_limit": f"{1024 << 20}\n",
        "pids_limit": "300\n",
        "cpu_quota": "150000 100000\n",
        "cpu_period": "150000 100000\n",
    } | changes


def make(**changes: object):
    """A spec as the texts above have it."""
    return Maker(image="x:1", node_id="n1", uid=20100, gid=20100)(**changes)


def test_a_lab_that_is_as_asked_shows_no_difference():
    assert compare(make(), {}, readings(files())).differences == []


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("memory", {"memory_limit": "max\n"}),
        ("memory", {"memory_limit": f"{2048 << 20}\n"}),
        ("pids", {"pids_limit": "max\n"}),
        ("cpus", {"cpu_quota": "max 100000\n"}),
        ("cpus", {"cpu_quota": "-1\n", "cpu_period": "100000\n"}),
        ("shm", {"mountinfo": MOUNTS.replace("262144k", "65536k")}),
        ("root", {"mountinfo": MOUNTS.replace("/ / ro", "/ / rw")}),
        ("user", {"status": STATUS.replace("20100", "0")}),
        ("capabilities", {"status": STATUS.replace("CapBnd:\t0000000000000000", "CapBnd:\t00000000a80425fb")}),
        ("new privileges", {"status": STATUS.replace("NoNewPrivs:\t1", "NoNewPrivs:\t0")}),
        ("gpus", {"environ": "NVIDIA_VISIBLE_DEVICES=all\0"}),
    ],
)
def test_each_limit_that_is_not_held_is_the_one_that_is_named(what, change):
    differences = compare(make(), {}, readings(files(**change))).differences
    assert [(one.what, one.where) for one in differences] == [(what, "inside")]


def test_cpus_are_the_same_in_both_versions_words():
    assert cpus_of("150000\n", "100000\n") == cpus_of("150000 100000\n", "") == "1.5"


def test_version_two_files_are_read_where_the_process_is(tmp_path: Path, monkeypatch):
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids")
    folder = tmp_path / "system.slice/docker-1.scope"
    folder.mkdir(parents=True)
    texts = {
        "memory.current": "1000\n",
        "memory.stat": "anon 600\ninactive_file 300\n",
        "memory.events": "low 0\noom 2\noom_kill 2\n",
        "cpu.stat": "usage_usec 5\n",
        "cgroup.procs": "7\n0\n9\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    monkeypatch.setattr(cgroup, "_paths", lambda text: {"": "/system.slice/docker-1.scope"})
    group = Cgroup(1, mount=tmp_path)
    assert (group.memory_bytes(), group.cpu_ns(), group.oom_kills(), group.pids()) == (700, 5000, 2, [7, 9])


def test_paths_are_found_for_every_controller_of_both_versions():
    text = "12:cpu,cpuacct:/a/1\n4:memory:/a/1\n0::/b/2\n"
    assert cgroup._paths(text) == {"cpu": "/a/1", "cpuacct": "/a/1", "memory": "/a/1", "": "/b/2"}


def test_every_limit_that_is_asked_for_is_in_the_words_of_the_engine():
    spec = make(gpu_uuids=("GPU-1-a",), shared_data="/srv/data")
    body = container_config(spec, Path("/state/x"))
    host = body["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["ShmSize"]) == (1 << 30, 1 << 30, 256 << 20)
    assert (host["NanoCpus"], host["PidsLimit"], host["CapDrop"], host["ReadonlyRootfs"]) == (1_500_000_000, 300, ["ALL"], True)
    assert {one["Target"]: one.get("ReadOnly", False) for one in host["Mounts"]} == {
        "/etc/passwd": True,
        "/etc/group": True,
        "/run/gpulab": True,
        "/data": True,
        "/workspace": False,
    }
    assert spec.token not in str(body)
    assert set(asked(spec)) >= {"memory", "shm", "pids", "cpus", "gpus", "user", "capabilities"}


def test_packages_of_ones_own_are_named_by_the_images_digest():
    assert overlay_name("sha256:" + "ab" * 32) == "ab" * 6
    assert overlay_name("gpulab/x:1") != overlay_name("gpulab/x:2")
    assert len(overlay_name("../../etc")) == 12
    assert "/" not in overlay_name("../../etc")


def test_the_stand_in_takes_the_ranges_last_network():
    assert last_subnet("10.213.0.0/16") == "10.213.255.240/28"
