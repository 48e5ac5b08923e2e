"""Control groups, version 1 and 2, over a tree of plain files: what is written, what is read back."""

from pathlib import Path

import pytest

from worker.runtimes.process import cgroups
from worker.runtimes.process.cgroups import Cgroups, Limits

LIMITS = Limits(memory_bytes=1 << 30, cpus=1.5, pids=300)
FILES = {
    1: {
        "memory": ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.usage_in_bytes", "memory.stat", "memory.oom_control"),
        "cpu": ("cpu.cfs_period_us", "cpu.cfs_quota_us"),
        "pids": ("pids.max",),
        "cpuacct": ("cpuacct.usage",),
    },
    2: {"": ("memory.max", "memory.swap.max", "memory.current", "memory.stat", "memory.events", "cpu.max", "cpu.stat", "pids.max")},
}


def tree(root: Path, version: int) -> Cgroups:
    """A tree that looks like the kernel's, with the lab's groups made beforehand as the kernel would fill them."""
    for controller, files in FILES[version].items():
        lab = root / controller / "gpulab" / "lab"
        lab.mkdir(parents=True)
        for file in (*files, "cgroup.procs"):
            (lab / file).write_text("0\n")
        (root / controller / "cgroup.procs").write_text("")
    if version == 2:
        (root / "cgroup.controllers").write_text("cpu memory pids\n")
        (root / "cgroup.subtree_control").write_text("")
        (root / "gpulab/cgroup.subtree_control").write_text("")
    made = Cgroups(root)
    if version == 2:  # plain files do not turn "+memory" into "memory" as the kernel does
        made.parents = dict.fromkeys(cgroups.CONTROLLERS, root / "gpulab")
    return made


@pytest.mark.parametrize("version", [1, 2])
def test_what_is_asked_is_read_back(tmp_path: Path, version: int) -> None:
    groups = tree(tmp_path, version)
    assert groups.held == {"memory", "cpu", "pids"}
    joined = groups.make("lab", LIMITS)
    assert groups.read("lab") == {"memory": float(1 << 30), "swap": 0.0, "cpus": 1.5, "pids": 300.0}
    assert len(joined) == {1: 4, 2: 1}[version]


def test_usage_leaves_out_the_page_cache_and_counts_kills_in_version_1(tmp_path: Path) -> None:
    groups = tree(tmp_path, 1)
    lab = tmp_path / "memory/gpulab/lab"
    (lab / "memory.usage_in_bytes").write_text("5000\n")
    (lab / "memory.stat").write_text("cache 9\ntotal_inactive_file 2000\n")
    (lab / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    (tmp_path / "cpuacct/gpulab/lab/cpuacct.usage").write_text("77\n")
    assert groups.usage("lab") == {"cpu_ns": 77, "memory_bytes": 3000, "oom_kills": 3}


def test_usage_leaves_out_the_page_cache_and_counts_kills_in_version_2(tmp_path: Path) -> None:
    groups = tree(tmp_path, 2)
    lab = tmp_path / "gpulab/lab"
    (lab / "memory.current").write_text("5000\n")
    (lab / "memory.stat").write_text("anon 1\ninactive_file 2000\n")
    (lab / "memory.events").write_text("low 0\noom 4\noom_kill 3\n")
    (lab / "cpu.stat").write_text("usage_usec 77\nuser_usec 70\n")
    assert groups.usage("lab") == {"cpu_ns": 77_000, "memory_bytes": 3000, "oom_kills": 3}


def test_a_limit_that_the_kernel_lost_is_not_reported_as_held(tmp_path: Path) -> None:
    groups = tree(tmp_path, 2)
    groups.make("lab", LIMITS)
    (tmp_path / "gpulab/lab/cpu.max").write_text("max 100000\n")
    (tmp_path / "gpulab/lab/memory.max").write_text("max\n")
    assert groups.read("lab") == {"pids": 300.0}


def test_where_nothing_can_be_written_nothing_is_held(tmp_path: Path) -> None:
    groups = Cgroups(tmp_path / "nowhere")
    assert groups.held == frozenset()
    assert groups.make("lab", LIMITS) == []
    assert groups.read("lab") == {}
    groups.remove("lab")
