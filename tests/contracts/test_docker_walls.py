"""What a lab reaches: the internet, and nothing of this host, of private networks or of other people.

A network namespace of this test's own stands in for the world: it bears an address of the internet (RFC 5737), a
private one and the metadata service's, and answers on port 80 of each. A store that speaks S3 answers there too.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import boto3
import pytest

from tests.contracts.desk_contract import answers, asked, put, sent
from tests.contracts.engine import api, engine_address, engine_image, gateway, inside, make_spec, runtime  # noqa: F401  (fixtures)
from tests.contracts.runtime_contract import get, jupyter_of, ready
from tests.contracts.specs import RANGE
from tests.support.waiting import wait_for
from worker.runtimes.base import Desk
from worker.runtimes.docker import firewall
from worker.runtimes.docker.health import Health
from worker.runtimes.docker.probe import METADATA, reached_from

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

WORLD = "gpl-world"
PUBLIC, PRIVATE = ("203.0.113.10", 80), ("10.99.77.10", 80)
STORE = (PUBLIC[0], 9000)
KEY, SECRET = "access-of-alice", "of+alice/and=nobody"
ACCEPT_METADATA = ["DOCKER-USER", "-i", firewall.LABS, "-d", METADATA[0], "-j", "ACCEPT"]


def _ip(*words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words], check=check, capture_output=True)


@pytest.fixture(scope="module")
def world(engine_address: str) -> Iterator[None]:
    """Three addresses behind this host's router, each with a server."""
    _ip("netns", "add", WORLD)
    server = None
    try:
        _ip("link", "add", "glw0", "type", "veth", "peer", "name", "eth0", "netns", WORLD)
        _ip("addr", "add", "203.0.113.1/24", "dev", "glw0")
        _ip("link", "set", "glw0", "up")
        for address in (PUBLIC[0] + "/24", PRIVATE[0] + "/32", METADATA[0] + "/32"):
            _ip("-n", WORLD, "addr", "add", address, "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", WORLD, "link", "set", device, "up")
        _ip("-n", WORLD, "route", "add", "default", "via", "203.0.113.1")
        for address, _ in (PRIVATE, METADATA):
            _ip("route", "add", f"{address}/32", "via", PUBLIC[0])
        serve = [sys.executable, "-m", "http.server", "80", "--directory", "/proc/self/fdinfo"]
        server = subprocess.Popen(["ip", "netns", "exec", WORLD, *serve], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for target in (PUBLIC, PRIVATE, METADATA):
            wait_for(lambda target=target: get(target, "/")[0] == 200, what=f"the stand-in at {target[0]}")
        yield
    finally:
        if server:
            server.terminate()
            server.wait(30)
        _ip("link", "del", "glw0", check=False)
        _ip("netns", "del", WORLD, check=False)


@pytest.fixture
def store(world: None) -> Iterator[Any]:
    """A server of S3 in that world, with one bucket."""
    command = [sys.executable, "-m", "moto.server", "-H", STORE[0], "-p", str(STORE[1])]
    server = subprocess.Popen(["ip", "netns", "exec", WORLD, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: get(STORE, "/")[0] == 200, within=120, what="the store")
        address = f"http://{STORE[0]}:{STORE[1]}"
        client = boto3.client("s3", endpoint_url=address, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1")
        client.create_bucket(Bucket="runs")
        yield client
        client.close()
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture
def rules() -> Iterator[None]:
    """The rules stand, before and after."""
    firewall.apply()
    yield
    with suppress(firewall.FirewallFault):
        firewall._run(["iptables", "-D", *ACCEPT_METADATA], check=False)
    firewall.apply()


def test_the_internet_is_open_and_the_rest_closed(runtime, make_spec, api, world, rules):
    spec = make_spec()
    ready(runtime, spec)
    assert reached_from(api, spec.name, [PUBLIC, PRIVATE, METADATA]) == ["203.0.113.10:80"]


def test_a_folder_goes_to_a_store_from_its_owners_container_and_the_keys_are_nowhere_else(runtime, make_spec, api, store, rules):
    spec, content = (
        make_spec(cpus=1, memory_mib=512, shm_mib=16, pids=128, desk=Desk(portal="http://localhost:8000", node="local", left=None)),
        os.urandom(3_000_000),
    )
    seen = runtime.start(spec)
    wait_for(lambda: answers(seen, spec), within=120, what="the file page")
    put(seen, spec, "model.ckpt", content)
    keys = {"endpoint": f"http://{STORE[0]}:{STORE[1]}", "bucket": "runs", "prefix": "one", "key": KEY, "secret": SECRET}
    body = json.dumps({"do": "send", "path": "", **keys}).encode()
    assert asked(seen, spec, "POST", "act", body, Content_Type="application/json", Accept="application/json")[0] == 200
    wait_for(lambda: sent(seen, spec)["state"] != "running", within=120, what="the end of it")
    assert (sent(seen, spec)["state"], sent(seen, spec)["there"]) == ("done", 1)
    assert store.get_object(Bucket="runs", Key="one/model.ckpt")["Body"].read() == content
    everywhere = json.dumps([api.inspect_container(spec.name), api.top(spec.name), api.logs(spec.name).decode(), sent(seen, spec)])
    assert SECRET not in everywhere + inside(api, spec, "sh", "-c", "cat /proc/*/environ /proc/*/cmdline /workspace/.gpulab/*/* 2>/dev/null | tr '\\0' ' '")[1]


def test_without_the_rules_the_probe_tells_what_is_reached(runtime, make_spec, api, world, rules):
    spec = make_spec()
    ready(runtime, spec)
    assert runtime.firewall_probe() == []
    firewall.remove()
    found = runtime.firewall_probe()
    assert "169.254.169.254:80" in found
    assert len(found) == 2, "the metadata address and a service of this host"


def test_a_rule_above_ours_turns_the_node_red(runtime, make_spec, api, world, rules):
    ready(runtime, make_spec())
    health = Health(node_id=runtime.node_id, network_range=RANGE)
    assert health.firewall(api).state == "green"
    firewall._run(["iptables", "-I", *ACCEPT_METADATA])
    check = Health(node_id=runtime.node_id, network_range=RANGE).firewall(api)
    assert check.state == "red"
    assert "169.254.169.254" in check.words
    assert check.fix


def test_flushed_rules_are_set_again_by_the_next_look_at_the_node(runtime, rules):
    firewall.remove()
    checks = {check.name: check for check in runtime.info().checks}
    assert checks["firewall"].state == "green"
    assert "Not tried" not in checks["firewall"].words
    for chain, rule in firewall.JUMPS:
        assert firewall._run(["iptables", "-C", chain, *rule], check=False) == 0


def test_with_no_lab_running_a_stand_in_for_one_is_tried_and_removed(runtime, api, world, rules):
    for one in runtime.observe():
        runtime.stop(one.name, 0)
    assert runtime.firewall_probe() == []
    firewall.remove()
    assert "169.254.169.254:80" in runtime.firewall_probe()
    assert api.networks(names=[f"gpulab-probe-{runtime.node_id}"]) == []


def test_setting_the_rules_twice_changes_nothing(rules):
    def saved() -> list[str]:
        text = subprocess.run(["iptables-save", "-t", "filter"], capture_output=True, text=True, check=True).stdout
        return [line for line in text.splitlines() if "GPULAB" in line or firewall.LABS in line]

    before = saved()
    firewall.apply()
    assert saved() == before


def test_a_worker_that_may_not_set_rules_makes_the_node_red(runtime, api, monkeypatch):
    monkeypatch.setattr(firewall.os, "geteuid", lambda: 1000)
    check = Health(node_id=runtime.node_id, network_range=RANGE).firewall(api)
    assert check.state == "red"
    assert "root" in check.words


def test_people_do_not_reach_each_others_labs(runtime, make_spec, api, rules):
    alices, bobs = make_spec(), make_spec()
    for spec in (alices, bobs):
        ready(runtime, spec)
    address = api.inspect_container(bobs.name)["NetworkSettings"]["Networks"][bobs.network.name]["IPAddress"]
    assert reached_from(api, alices.name, [(address, 8888), (address, 2222)]) == []
    assert f"{address}:8888" not in runtime.firewall_probe()


def test_published_ports_answer_on_the_loopback_with_the_rules_in_place(runtime, make_spec, rules):
    spec = make_spec()
    assert get(jupyter_of(ready(runtime, spec)), f"{spec.base_url}api")[0] == 200


def test_a_lab_cannot_look_at_the_engine(runtime, make_spec, api, rules):
    spec = make_spec()
    runtime.start(spec)
    _, output = inside(api, spec, "sh", "-c", "find / -name '*.sock' -type s 2>/dev/null; echo looked")
    assert [line for line in output.splitlines() if "docker" in line or "containerd" in line] == []
    assert "looked" in output


def test_resolvers_of_the_host_may_be_asked_and_its_loopback_not(tmp_path):
    file = tmp_path / "resolv.conf"
    file.write_text("search x\nnameserver 127.0.0.53\nnameserver 10.1.2.3\nnameserver fe80::1\nnameserver 10.1.2.3\n")
    assert firewall.nameservers([file, tmp_path / "none"]) == ["10.1.2.3"]
    text = firewall.rules(["10.1.2.3"])
    assert text.index("-d 10.1.2.3 -p udp --dport 53 -j RETURN") < text.index("-d 10.0.0.0/8")
