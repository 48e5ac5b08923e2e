"""A launch as people may write it -> the record -> the spec -> the engine's own words: no container with a privilege among very many."""

import random
import string
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from worker.beside import models_checks, models_of
from worker.runtimes.base import Desk, RuntimeFault
from worker.runtimes.docker.create import GIVEN, container_config, container_job, spec_check
from worker.runtimes.mounts import MODELS, Mount
from worker.spec import House, LabFacts, desk_spec, lab_spec

RANGE = "10.200.0.0/16"
GIVEN_HERE = Path("/srv/gpulab/run/containers/x")
SHARED = "/srv/gpulab/data"
#: All that a container may be told; anything else is a mistake, or a hole.
HOST_CONFIG = {
    "NetworkMode", "PortBindings", "Mounts", "Tmpfs", "Memory", "MemorySwap", "ShmSize", "NanoCpus", "PidsLimit", "CapDrop", "SecurityOpt",
    "ReadonlyRootfs", "IpcMode", "Init", "RestartPolicy", "LogConfig", "DeviceRequests", "GroupAdd",
}  # fmt: skip
#: What the node's own settings give to data sets; a mount is of one of these kinds.
SETS, GIDS = "/srv/sets", 40_000
TARGETS = {"/etc/passwd", "/etc/group", GIVEN, "/data", "/workspace"}
TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
WORDS = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=12)
NASTY = [
    "--privileged", "-v", "/:/host", "host", "../../etc", "$(id)", "`id`", ";reboot", "\n", "\0", "{{.Host}}", "--pid=host", "/var/run/docker.sock", "",
]  # fmt: skip
HOSTILE = st.sampled_from(NASTY)
MOUNTS = st.builds(
    Mount,
    target=st.sampled_from(["/data/flowers", "/data/x@2", "/data", "/etc", "/workspace", "/data/../etc", "/team/x", "/run/gpulab", "/scratch"]) | TEXT,
    kind=st.sampled_from(["folder", "volume", "nfs", "team", "scratch"]),
    source=st.sampled_from([f"{SETS}/a", "/", "/etc/..", "flowers", "gpulab-x-ws-1"]) | HOSTILE | TEXT,
    gid=st.sampled_from([0, 100, 40_007]),
    remote=st.sampled_from(["files:/export", "files:/a,suid", "files:/../x"]) | TEXT,
)
FACTS = st.builds(
    LabFacts,
    lab_id=WORDS | HOSTILE | TEXT,
    attempt=st.integers(1, 30_000),
    realm=WORDS | HOSTILE,
    image=st.just("gpulab/pytorch-cuda@sha256:" + "a" * 64) | TEXT,
    image_digest=st.just("sha256:" + "b" * 64) | TEXT | HOSTILE,
    owner_id=st.integers(1, 2**31),
    uid=st.integers(0, 2**31),
    gpu_uuids=st.lists(WORDS.map("GPU-{}".format) | HOSTILE | TEXT, max_size=4).map(tuple),
    cpus=st.integers(-2, 30_000),
    memory_mib=st.integers(-2, 2**31),
    shm_mib=st.integers(-2, 2**31),
    pids=st.integers(-2, 2**31),
    base_url=WORDS.map("/l/{}/".format) | TEXT | HOSTILE,
    network_name=WORDS | HOSTILE | TEXT,
    network_subnet=st.sampled_from(["10.200.0.16/28", "10.200.255.0/28", "0.0.0.0/0", "127.0.0.0/8", "10.201.0.0/28"]) | TEXT,
    command=st.lists(TEXT | HOSTILE, max_size=5).map(tuple),
    folder=TEXT | HOSTILE,
    output=TEXT | HOSTILE,
    teams=st.lists(st.tuples(st.integers(1, 2**20), WORDS | HOSTILE), max_size=3).map(tuple),
    data=st.lists(MOUNTS, max_size=3).map(tuple),
)


def sound(seed: int) -> LabFacts:
    """Facts as the record may have them, and a job as anybody may write it; quick, so that very many can be looked at."""
    pick = random.Random(seed)  # what is drawn is the seed: a failure names it

    def text(letters: str, low: int, high: int) -> str:
        return "".join(pick.choices(letters, k=pick.randint(low, high)))

    def anything() -> str:
        return pick.choice(NASTY) if pick.random() < 0.4 else text(string.printable + "äß漢\u202e", 0, 30)

    small = string.ascii_lowercase
    return LabFacts(
        lab_id=text(small + "234567", 12, 12),
        attempt=pick.randint(1, 30_000),
        realm=text(small, 1, 8),
        image="gpulab/pytorch-cuda@sha256:" + "a" * 64,
        image_digest=pick.choice(["sha256:" + "b" * 64, anything()]),
        owner_id=pick.randint(1, 2**31),
        uid=pick.randint(1000, 2**31),
        gpu_uuids=tuple(f"GPU-{text(string.hexdigits, 4, 20)}" for _ in range(pick.randint(0, 8))),
        cpus=pick.randint(1, 30_000),
        memory_mib=pick.randint(1024, 2**31),
        shm_mib=pick.randint(1, 1024),
        pids=pick.randint(1, 2**31),
        base_url=f"/l/{text(small, 1, 12)}/",
        network_name=f"gpulab-{text(small, 1, 9)}",
        network_subnet=f"10.200.{pick.randint(0, 255)}.{pick.randint(0, 15) * 16}/28",
        command=tuple(anything() for _ in range(pick.randint(0, 5))),
        folder=anything(),
        output=anything(),
        teams=tuple((pick.randint(1, 10_000), text(small, 1, 9)) for _ in range(pick.randint(0, 3))),
        data=tuple(_data(pick, n) for n in range(pick.randint(0, 3))),
    )


def _data(pick: random.Random, n: int) -> Mount:
    """A data set as the record has it."""
    kind = pick.choice(["folder", "volume", "nfs"])
    source = {"folder": f"{SETS}/set{n}", "volume": f"flowers{n}", "nfs": f"gpulab-x-data-{n}"}[kind]
    return Mount(f"/data/set{n}", kind, source, remote="files.example.edu:/export/x" if kind == "nfs" else "")


def test_the_nodes_models_are_the_owners_own_view_to_read_where_labs_are_processes_and_no_file_page_has_them() -> None:
    facts, house = replace(sound(3), realm="r1", owner_id=7), House(shared_data="", gateway_key="", isolates=True, models="/srv/models")
    mount = Mount("/models", MODELS, "gpulab-r1-models-7", below="/srv/models")
    assert lab_spec(facts, house, "t").mounts[-1] == mount
    assert lab_spec(facts, replace(house, isolates=False), "t").mounts[-1] == replace(mount, locked=True)
    assert desk_spec(facts, house, "t", Desk("https://gpu.example.edu", "n1", None)).mounts == ()
    config = container_config(replace(lab_spec(facts, house, "t"), mounts=(mount,)), GIVEN_HERE)
    assert "HF_HUB_CACHE=/models/hub" in config["Env"]
    shown = {"Type": "volume", "Source": mount.source, "Target": "/models", "ReadOnly": False, "VolumeOptions": {"NoCopy": True}}
    assert shown in config["HostConfig"]["Mounts"]
    config = container_config(replace(lab_spec(facts, house, "t"), mounts=(replace(mount, locked=True),)), GIVEN_HERE)
    assert {"Type": "bind", "Source": "/srv/models", "Target": "/models", "ReadOnly": True} in config["HostConfig"]["Mounts"]
    assert not [one for one in config["Env"] if one.startswith(("HF_HUB_CACHE", "TORCH_HOME"))]


@pytest.mark.parametrize(
    ("named", "isolates", "words"),
    [("", True, ""), ("/srv/none", True, "no folder"), ("/srv/a:b", True, "neither"), ("models", False, "plain processes"), ("models", True, "")],
)
def test_models_that_cannot_be_shown_are_said_and_no_lab_fails_for_them(named: str, isolates: bool, words: str, settings: Any) -> None:
    settings.MODELS = named
    found, said = models_of(isolates=isolates)
    assert words in said
    assert bool(found) is (bool(named) and not words)
    assert [one.state for one in models_checks(isolates=isolates)] == (["yellow"] if words else ["green"] if named else [])


def privileges(config: dict[str, Any], facts: LabFacts) -> list[str]:
    """What a container of this configuration would have and must not."""
    host = config["HostConfig"]
    found = [f"an option that nobody needs: {name}" for name in host.keys() - HOST_CONFIG]
    found += [] if host["CapDrop"] == ["ALL"] and host["SecurityOpt"] == ["no-new-privileges"] and host["ReadonlyRootfs"] else ["capabilities or privileges"]
    found += [] if host["NetworkMode"] == facts.network_name not in ("host", "none", "bridge", "default") else [f"network {host['NetworkMode']}"]
    found += [] if host["IpcMode"] == "private" and host["RestartPolicy"] == {"Name": "no"} else ["a namespace of the host's"]
    found += [f"mount {one}" for one in host["Mounts"] if not _own(one, facts)]
    found += [] if int(config["User"].split(":")[0]) >= 1000 else [f"user {config['User']}"]
    found += [] if host["MemorySwap"] == host["Memory"] > 0 and host["PidsLimit"] > 0 and host["NanoCpus"] > 0 else ["no limit"]
    found += [f"port {one}" for rows in host["PortBindings"].values() for one in rows if one["HostIp"] != "127.0.0.1"]
    groups = [f"{GIDS + number}" for number, _ in facts.teams]
    found += [] if sorted(host.get("GroupAdd", [])) == sorted({*groups, *(str(one.gid) for one in facts.data if one.gid)}) else ["groups"]
    requested = [uuid for one in host.get("DeviceRequests", []) for uuid in one["DeviceIDs"]]
    found += [] if requested == list(facts.gpu_uuids) else [f"cards {requested}"]
    return found


def _own(mount: dict[str, Any], facts: LabFacts) -> bool:
    """The person's own volume, or something of ours, read-only."""
    if mount["Target"] == "/workspace":
        return mount["Type"] == "volume" and mount["Source"] == f"gpulab-{facts.realm}-ws-{facts.owner_id}"
    if mount["Target"].startswith("/team/") or mount["Target"] == "/scratch":
        own = {f"gpulab-{facts.lab_id}-{facts.attempt}-scratch", *(f"gpulab-{facts.realm}-team-{number}" for number, _ in facts.teams)}
        return mount["Type"] == "volume" and mount["Source"] in own | {one.source for one in facts.data if "-ws-" not in one.source}
    if mount["Target"].startswith("/data/") and mount["Source"] != SHARED:
        return bool(mount["ReadOnly"]) and _given(mount, facts)
    inside = mount["Source"] == SHARED or Path(mount["Source"]).is_relative_to(GIVEN_HERE)
    return mount["Target"] in {*TARGETS, "/data/shared"} and mount["ReadOnly"] and inside and ".." not in mount["Source"]


def _given(mount: dict[str, Any], facts: LabFacts) -> bool:
    """A data set of the record, as it is there, and nothing of the engine's own that is not."""
    known = {(one.target, one.source) for one in facts.data}
    return (mount["Target"], mount["Source"]) in known and ".." not in mount["Source"] and mount["Source"] != "/"


def _sweep(facts_of: Any, examples: int) -> int:
    """How many specs came through to the engine; every one was looked at."""
    through = 0

    @settings(max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(facts=facts_of)
    def look(facts: LabFacts) -> None:
        nonlocal through
        spec = lab_spec(facts, House(shared_data=SHARED, gateway_key="ssh-ed25519 AAAA", isolates=True, scratch_mib=1024, team_gid=GIDS), "t" * 64)
        try:
            spec_check(spec, RANGE)
        except RuntimeFault:
            return
        through += 1
        config = container_config(spec, GIVEN_HERE)
        assert privileges(config, facts) == []
        assert not facts.command or config["Entrypoint"][-1] == f"{GIVEN}/job.json", "what people write is never on a command line of ours"
        assert not facts.command or container_job(spec)

    look()
    return through


def test_no_launch_of_ten_thousand_has_a_privilege() -> None:
    assert _sweep(st.integers(0, 2**63).map(sound), 10_000) > 9_000
    _sweep(FACTS, 500)


@pytest.mark.parametrize("name", ["host", "none", "bridge", "default", "container:gpulab-other-1", ""])
def test_a_network_that_is_none_of_ours_never_reaches_the_engine(name: str) -> None:
    house = House(shared_data="", gateway_key="", isolates=True)
    spec_check(lab_spec(sound(1), house, "t" * 64), RANGE)
    with pytest.raises(RuntimeFault, match="network"):
        spec_check(lab_spec(replace(sound(1), network_name=name), house, "t" * 64), RANGE)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_no_launch_of_a_hundred_thousand_has_a_privilege() -> None:
    assert _sweep(st.integers(0, 2**63).map(sound), 100_000) > 90_000
    _sweep(FACTS, 5_000)
