"""The promises of worker/runtimes/base.py as tests. A runtime's test module makes a class of RuntimeContract and says how it is made.

class TestFake(RuntimeContract):
    @pytest.fixture
    def runtime(self): ...
    @pytest.fixture
    def make_spec(self): ...   # make_spec(**changes) -> LabSpec with a fresh lab id
"""

import http.client
import json
from collections.abc import Callable

import pytest

from tests.support.jupyter import cell_run
from tests.support.waiting import wait_for
from worker.runtimes.base import LabSpec, Network, Notice, Observed, Runtime, RuntimeFault

Specs = Callable[..., LabSpec]
NOTICE = Notice("reclaim", "Save “it”.", "2026-11-21T14:25:00Z")
#: One program that catches SIGUSR1 and keeps what it was told, and one that does not catch it and would end of it.
TWO_PROGRAMS = """
import os, subprocess, sys, time
catch = '''
import os, signal, time
home = os.path.expanduser("~")
def heard(*_):
    if os.path.exists(os.environ["GPULAB_NOTICE"]):
        text = open(os.environ["GPULAB_NOTICE"]).read()
        open(f"{home}/heard.new", "w").write(text)
        os.rename(f"{home}/heard.new", f"{home}/heard")
signal.signal(signal.SIGUSR1, heard)
open(f"{home}/ready", "w").close()
while True: time.sleep(1)
'''
home = os.path.expanduser("~")
subprocess.Popen([sys.executable, "-c", catch], start_new_session=True)
quiet = subprocess.Popen(["sleep", "300"], start_new_session=True)
open(f"{home}/quiet", "w").write(str(quiet.pid))
while not os.path.exists(f"{home}/ready"): time.sleep(0.05)
"""
THREE_MEGABYTES = """
import os
with open("large", "wb") as file:
    file.write(os.urandom(3_000_000)); file.flush(); os.fsync(file.fileno())
"""
WHAT_THEY_DID = """
import json, os, time
home, until = os.path.expanduser("~"), time.monotonic() + 60
while not os.path.exists(f"{home}/heard") and time.monotonic() < until: time.sleep(0.05)
state = open(f"/proc/{open(f'{home}/quiet').read()}/stat").read().rpartition(")")[2].split()[0]
print(json.dumps({"heard": json.load(open(f"{home}/heard")), "lives": state in "SR"}))
"""


def get(address: tuple[str, int], path: str, token: str = "") -> tuple[int, bytes]:
    """One request; status 0 while nothing answers there."""
    connection = http.client.HTTPConnection(*address, timeout=20)
    try:
        connection.request("GET", path, headers={"Authorization": f"token {token}"} if token else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def jupyter_of(seen: Observed | None) -> tuple[str, int]:
    """The address of its Jupyter; a lab without one fails here."""
    assert seen is not None
    assert seen.jupyter is not None
    return seen.jupyter


def ready(runtime: Runtime, spec: LabSpec, within: float = 120.0) -> Observed:
    """Start it and wait until its Jupyter answers."""
    seen = runtime.start(spec)
    address = jupyter_of(seen)
    wait_for(lambda: get(address, f"{spec.base_url}api")[0] == 200, within, f"Jupyter of {spec.name}")
    return seen


def named(runtime: Runtime, name: str) -> Observed | None:
    """What the engine sees under that name."""
    return next((one for one in runtime.observe() if one.name == name), None)


class RuntimeContract:
    """What every runtime keeps, the fake one too."""

    #: The fake runtime has no Jupyter of its own and no network of people.
    real = True
    #: The process runtime keeps people on the host's network.
    networks = True

    def test_a_lab_starts_and_its_jupyter_answers(self, runtime: Runtime, make_spec: Specs) -> None:
        spec = make_spec()
        seen = ready(runtime, spec)
        assert (seen.name, seen.lab_id, seen.attempt, seen.running) == (spec.name, spec.lab_id, spec.attempt, True)
        assert seen.ssh is not None or not self.networks

    def test_jupyter_asks_for_the_token_that_was_handed_over(self, runtime: Runtime, make_spec: Specs) -> None:
        if not self.real:
            pytest.skip("the fake runtime's Jupyter is a stand-in")
        spec = make_spec()
        address = jupyter_of(ready(runtime, spec))
        status = f"{spec.base_url}api/status"
        assert get(address, status)[0] == 403
        assert get(address, status, "0" * 32)[0] == 403
        answer, body = get(address, status, spec.token)
        assert answer == 200
        assert "started" in json.loads(body)

    def test_a_second_start_finds_the_first(self, runtime: Runtime, make_spec: Specs) -> None:
        spec = make_spec()
        first = runtime.start(spec)
        again = runtime.start(spec)
        assert (again.name, again.jupyter, again.running) == (first.name, first.jupyter, True)
        assert [one.name for one in runtime.observe()].count(spec.name) == 1

    def test_observe_sees_what_start_answered(self, runtime: Runtime, make_spec: Specs) -> None:
        spec = make_spec()
        started = runtime.start(spec)
        seen = named(runtime, spec.name)
        assert seen is not None
        assert (seen.lab_id, seen.attempt, seen.running, seen.jupyter) == (spec.lab_id, spec.attempt, True, started.jupyter)

    def test_observe_leaves_other_nodes_labs_alone(self, runtime: Runtime, make_spec: Specs) -> None:
        spec = make_spec(node_id="another-node")
        try:
            runtime.start(spec)
            assert named(runtime, spec.name) is None
        finally:
            runtime.stop(spec.name, 0)

    def test_the_limits_read_back_are_those_that_were_asked(self, runtime: Runtime, make_spec: Specs) -> None:
        spec = make_spec()
        runtime.start(spec)
        verification = runtime.verify(spec)
        assert list(verification.differences) == []
        assert verification.found

    def test_verify_of_what_does_not_run_is_a_fault_in_words(self, runtime: Runtime, make_spec: Specs) -> None:
        with pytest.raises(RuntimeFault) as caught:
            runtime.verify(make_spec())
        assert caught.value.words.endswith(".")

    def test_usage_tells_cpu_and_memory_of_a_running_lab_only(self, runtime: Runtime, make_spec: Specs) -> None:
        spec = make_spec()
        ready(runtime, spec)
        usage = runtime.usage(spec.name)
        assert usage is not None
        assert usage.memory_bytes is None or 0 < usage.memory_bytes <= spec.memory_mib * 1024**2
        assert usage.cpu_ns is None or usage.cpu_ns > 0
        assert not usage.oom_kills
        runtime.stop(spec.name, 5)
        assert runtime.usage(spec.name) is None

    def test_the_log_is_told_from_its_end(self, runtime: Runtime, make_spec: Specs) -> None:
        spec = make_spec()
        ready(runtime, spec)
        whole = wait_for(lambda: runtime.logs(spec.name, 200), what="a log")
        last = runtime.logs(spec.name, 1)
        assert len(last.splitlines()) == 1
        assert last.strip() in runtime.logs(spec.name, 200)
        assert len(whole.splitlines()) > 1
        assert runtime.logs("gpulab-nobody-1", 10) == ""

    def test_what_a_lab_is_told_reaches_the_programs_that_listen_and_harms_no_other(self, runtime: Runtime, make_spec: Specs) -> None:
        spec = make_spec()
        if not self.real:
            runtime.start(spec)
            assert runtime.tell(spec.name, NOTICE) == 0
            return
        address = jupyter_of(ready(runtime, spec))
        base, headers = f"http://{address[0]}:{address[1]}{spec.base_url}", {"Authorization": f"token {spec.token}"}
        cell_run(base, headers, TWO_PROGRAMS)
        assert runtime.tell(spec.name, NOTICE) == 2, "the program, and Jupyter's server, which writes a line into its log"
        answer = cell_run(base, headers, WHAT_THEY_DID)
        assert json.loads(answer) == {"heard": {"code": "reclaim", "words": "Save “it”.", "at": "2026-11-21T14:25:00Z"}, "lives": True}
        assert runtime.tell(spec.name, None) == 2
        assert cell_run(base, headers, "import os; print(os.path.exists(os.environ['GPULAB_NOTICE']))").strip() == "False"

    def test_telling_a_lab_that_is_gone_is_telling_nobody(self, runtime: Runtime, make_spec: Specs) -> None:
        spec = make_spec()
        assert runtime.tell(spec.name, NOTICE) == 0
        runtime.start(spec)
        runtime.stop(spec.name, 0)
        assert runtime.tell(spec.name, NOTICE) == 0

    def test_stop_returns_when_it_is_gone_and_may_be_called_again(self, runtime: Runtime, make_spec: Specs) -> None:
        spec = make_spec()
        ready(runtime, spec)
        runtime.stop(spec.name, 10)
        assert named(runtime, spec.name) is None
        assert runtime.processes(spec.name) == []
        assert runtime.logs(spec.name, 10) == ""
        runtime.stop(spec.name, 10)

    def test_a_next_attempt_opens_whatever_the_first_left_in_the_workspace(self, runtime: Runtime, make_spec: Specs) -> None:
        first = make_spec()
        address = jupyter_of(ready(runtime, first))
        if self.real:  # a student's file that is named like one of Python's own
            headers = {"Authorization": f"token {first.token}"}
            cell_run(f"http://{address[0]}:{address[1]}{first.base_url}", headers, "open('queue.py', 'w').write('raise SystemExit')")
        runtime.stop(first.name, 0)
        second = make_spec(lab_id=first.lab_id, attempt=2, workspace=first.workspace, network=first.network, uid=first.uid, gid=first.gid)
        assert ready(runtime, second).attempt == 2

    def test_an_image_that_is_not_there_is_said_to_be_absent(self, runtime: Runtime, make_spec: Specs) -> None:
        held = runtime.image_inspect(make_spec().image)
        assert held is not None
        assert held.digest

    def test_networks_in_use_or_kept_stay_and_others_go(self, runtime: Runtime, make_spec: Specs) -> None:
        if not self.networks:
            pytest.skip("this runtime has no networks of people")
        used, kept, left = make_spec(), make_spec(), make_spec()
        for spec in (used, kept, left):
            runtime.start(spec)
        for spec in (kept, left):
            runtime.stop(spec.name, 0)
        gone = runtime.networks_prune({_network(kept).name})
        assert _network(left).name in gone
        assert not {_network(used).name, _network(kept).name} & set(gone)
        assert _network(left).name not in runtime.networks_prune(set())

    def test_a_workspace_is_listed_and_measured_and_stays_when_its_lab_is_gone(self, runtime: Runtime, make_spec: Specs) -> None:
        spec = make_spec()
        assert spec.workspace not in runtime.workspaces()
        assert runtime.workspace_measure(spec.workspace, 30) is None
        address = jupyter_of(ready(runtime, spec))
        if self.real:
            base, headers = f"http://{address[0]}:{address[1]}{spec.base_url}", {"Authorization": f"token {spec.token}"}
            before = runtime.workspace_measure(spec.workspace, 30)
            cell_run(base, headers, THREE_MEGABYTES)
            after = runtime.workspace_measure(spec.workspace, 30)
            assert before is not None and after is not None
            assert 3_000_000 <= after.size - before.size < 6_000_000
            assert after.whole and before.files is not None and after.files is not None and after.files > before.files
        runtime.stop(spec.name, 0)
        assert spec.workspace in runtime.workspaces()
        assert runtime.workspace_measure(spec.workspace, 30) is not None

    def test_the_node_tells_what_it_is(self, runtime: Runtime) -> None:
        info = runtime.info()
        assert info.kind == runtime.kind
        assert info.version
        assert info.cpus > 0
        assert info.memory_mib > 0
        assert {check.state for check in info.checks} <= {"green", "yellow", "red"}


def _network(spec: LabSpec) -> Network:
    assert spec.network is not None
    return spec.network
