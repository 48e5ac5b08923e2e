"""What a runtime promises of jobs: one program in a lab's own walls, let go once its limits were read back, ending as it ends."""

from collections.abc import Callable

from tests.contracts.runtime_contract import named
from tests.support.waiting import wait_for
from worker.runtimes.base import LabSpec, Observed, Runtime

Specs = Callable[..., LabSpec]
WITHIN_S = 90.0
TELLS = """
import os, sys
print("begins in", os.getcwd(), sys.argv[1:])
print(open("note.txt").read(), file=sys.stderr)
open(os.path.join(os.environ["GPULAB_OUTPUT"], "result.txt"), "w").write("42")
sys.exit(7)
"""
SAVES = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (open("saved", "w").close(), sys.exit(0)))
print("ready", flush=True)
while True: time.sleep(1)
"""
READS = """
print(open("jobs/first-t/result.txt").read())
print(open("jobs/first-t/output.log").read())
"""


def ended(runtime: Runtime, spec: LabSpec) -> Observed:
    """How it ended, once it has."""

    def over() -> Observed | None:
        seen = named(runtime, spec.name)
        return seen if seen and not seen.running else None

    return wait_for(over, within=WITHIN_S, what=f"{spec.name} has ended")


class JobContract:
    """The promises; a runtime's test module says how it and its specs are made."""

    def test_a_job_waits_until_it_is_let_go_and_ends_with_its_own_exit_code(self, runtime: Runtime, make_spec: Specs) -> None:
        before = make_spec(command=("sh", "-c", "mkdir -p src && printf hello >src/note.txt"), output="jobs/before")
        spec = make_spec(command=("python3", "-c", TELLS, "a b", "$HOME;`id`"), folder="src", output="jobs/first-t", workspace=before.workspace, uid=before.uid,
                         gid=before.gid, network=before.network)  # fmt: skip
        runtime.start(before)
        runtime.job_begin(before.name)
        assert ended(runtime, before).exit_code == 0
        runtime.start(spec)
        assert not runtime.verify(spec).differences
        seen = named(runtime, spec.name)
        assert seen and seen.running and not runtime.logs(spec.name, 50).strip()
        runtime.job_begin(spec.name)
        runtime.job_begin(spec.name)
        assert ended(runtime, spec).exit_code == 7
        log = runtime.logs(spec.name, 50)
        assert "/src ['a b', '$HOME;`id`']" in log, "arguments arrive as they are: no shell has read them"
        assert "hello" in log
        reader = make_spec(command=("python3", "-c", READS), output="jobs/reader", workspace=before.workspace, uid=before.uid, gid=before.gid,
                           network=before.network)  # fmt: skip
        runtime.start(reader)
        runtime.job_begin(reader.name)
        assert ended(runtime, reader).exit_code == 0
        kept = runtime.logs(reader.name, 50)
        assert "42" in kept and "begins in" in kept

    def test_a_program_that_is_not_there_says_so(self, runtime: Runtime, make_spec: Specs) -> None:
        spec = make_spec(command=("no-such-program",), output="jobs/none")
        runtime.start(spec)
        runtime.job_begin(spec.name)
        assert ended(runtime, spec).exit_code == 127
        assert "could not begin" in runtime.logs(spec.name, 50)

    def test_a_job_that_is_stopped_may_save_its_work(self, runtime: Runtime, make_spec: Specs) -> None:
        spec = make_spec(command=("python3", "-c", SAVES), output="jobs/saves")
        runtime.start(spec)
        runtime.job_begin(spec.name)
        wait_for(lambda: "ready" in runtime.logs(spec.name, 20), within=WITHIN_S, what="it runs")
        runtime.stop(spec.name, 20.0)
        look = make_spec(command=("test", "-e", "saved"), output="jobs/look", workspace=spec.workspace, uid=spec.uid, gid=spec.gid, network=spec.network)
        runtime.start(look)
        runtime.job_begin(look.name)
        assert ended(runtime, look).exit_code == 0
