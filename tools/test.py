"""`make test`: bring up what the tests need, run them twice (PostgreSQL, then SQLite), stop it by pid, list what was left out.

What is brought up where the machine has it: Redis, a throw-away PostgreSQL cluster, a private container engine with a
lab image built for the tests. With CI set nothing may be missing: a test that needs a service fails without it.

Whole houses (browser, journeys, faults, …) mostly wait for each other, so they run beside the tests of records, with a
database and a Redis of their own. When all is over, every log, answer, column, command line, environment and container of the run is searched
for every secret that was made in it (tests/support/leaks.py).
"""

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
SERVICES = ROOT / ".ci/services"
ENGINE = ROOT / "tests/engine/engine.sh"
#: What the embedded default offers, run on SQLite a second time.
ON_SQLITE = ["tests/labs", "tests/portal", "tests/worker"]
#: Of those, what has nothing to do with a database: once is enough.
WITHOUT_RECORDS = ["tests/labs/scheduler", "tests/worker/carrying", "tests/worker/desk", "tests/worker/relay"]
#: What stands on records and single parts; everything else furnishes whole houses.
RECORDS = [*ON_SQLITE, "tests/architecture", "tests/cli", "tests/benchmarks", "tests/nvml", "tests/embedded", "tests/deploy"]

#: Read by every Python of this environment when it starts, whatever else its surroundings are; it does nothing outside such a run.
WITNESS = Path(sysconfig.get_path("purelib")) / "gpulab-witness.pth"
WITNESS_LINE = f"import os, sys; 'WITNESS_FOLDER' in os.environ and (sys.path.append({str(ROOT / 'tests/support/witness')!r}), __import__('witness').begin())\n"


def say(words: str) -> None:
    """A line of our own between those of the tools."""
    print(f"==> {words}", flush=True)


def variables_of(text: str) -> dict[str, str]:
    """`NAME=value` lines as a dictionary."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def services_up() -> tuple[dict[str, str], list[str]]:
    """Redis and PostgreSQL: their variables, and what could not be brought up."""
    missing = [name for name in ("redis-server", "initdb") if not _which(name)]
    if missing:
        return {}, [f"tests on PostgreSQL and Redis ({', '.join(missing)} not installed)"]
    out = subprocess.run([SERVICES, "up"], capture_output=True, text=True, check=True)
    return variables_of(out.stdout), []


def engine_up() -> tuple[dict[str, str], list[str]]:
    """The private engine and the lab image in it."""
    if os.geteuid() != 0 or not shutil.which("dockerd"):
        return {}, ["tests against a container engine (they need root and dockerd)"]
    address = _last_line([str(ENGINE), "up"])
    image = _last_line([str(ENGINE), "image", _engine_folder(), "torch"])
    return {"GPULAB_TEST_DOCKER": address, "GPULAB_TEST_IMAGE": image}, []


def _engine_folder() -> str:
    return os.environ.get("GPULAB_CI_CACHE", "/var/cache/gpulab-ci")


def _last_line(command: list[str]) -> str:
    out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return out.stdout.strip().splitlines()[-1]


def _which(name: str) -> str | None:
    places = [*sorted(Path("/usr/lib/postgresql").glob("*/bin")), *os.get_exec_path()]
    return next((str(Path(place) / name) for place in places if (Path(place) / name).exists()), None)


def pytest_run(environment: Mapping[str, str], arguments: list[str], out: IO[str] | None = None) -> int:
    """One run, shown or written into a file; its exit status. Pytest's 5 (nothing chosen) is no failure of ours."""
    command = [sys.executable, "-m", "pytest", "-q", *arguments]
    status = subprocess.run(command, cwd=ROOT, env=dict(environment), stdout=out, stderr=subprocess.STDOUT if out else None, check=False).returncode
    return 0 if status == 5 else status


def main() -> int:
    """Everything in order; the services end also when a test fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-engine", action="store_true", help="leave out what needs a container engine")
    parser.add_argument("--long", action="store_true", help="only the long sweeps, which are left out otherwise")
    parser.add_argument("tests", nargs="*", help="only these tests, and only once")
    options = parser.parse_args()
    left_out: list[str] = []
    environment = dict(os.environ)
    try:
        for bring in (services_up, *(() if options.no_engine else (engine_up,))):
            say(f"bringing up: {bring.__name__.removesuffix('_up')}")
            found, missing = bring()
            environment |= found
            left_out += missing
        status = pytest_run(environment, ["-m", "long", *(options.tests or ["tests"])]) if options.long else runs(environment, options.tests)
    finally:
        subprocess.run([SERVICES, "down"], check=False)
        subprocess.run([str(ENGINE), "down"], check=False, stdout=subprocess.DEVNULL)
    for words in left_out:
        say(f"left out: {words}")
    return 1 if status or (left_out and os.environ.get("CI")) else 0


def runs(environment: Mapping[str, str], tests: list[str]) -> int:
    """The named tests once; or everything, and then no secret that was made in it is found where it should not be."""
    if tests:
        return pytest_run(environment, tests)
    with witnessed(environment) as (watched, leaks):
        status = all_runs(watched)
        return leaks() or status


@contextmanager
def witnessed(environment: Mapping[str, str]) -> Iterator[tuple[dict[str, str], Callable[[], int]]]:
    """An environment in which every secret that is made is noted, and a search that finds where it should not be: 0 is nowhere."""
    program = [sys.executable, "-m", "tests.support.leaks"]
    with tempfile.TemporaryDirectory(prefix="gpulab-witness-") as folder:
        watched = dict(environment) | {"WITNESS_FOLDER": folder}
        WITNESS.write_text(WITNESS_LINE)
        watcher = subprocess.Popen([*program, "watch", folder, environment.get("GPULAB_TEST_DOCKER", "")], cwd=ROOT)
        try:
            yield watched, lambda: subprocess.run([*program, "search", folder], cwd=ROOT, check=False).returncode
        finally:
            WITNESS.unlink(missing_ok=True)
            watcher.terminate()
            watcher.wait()


def all_runs(environment: Mapping[str, str]) -> int:
    """Records on PostgreSQL and then on SQLite, whole houses beside them."""
    say("all tests, on PostgreSQL where there is one; those of whole houses beside the others")
    with ThreadPoolExecutor(1) as beside:
        houses = beside.submit(houses_run, environment)
        status = pytest_run(environment, ["-m", "not long", *RECORDS])
        if "GPULAB_TEST_DATABASE_URL" in environment:
            say("again on SQLite, as the embedded default runs")
            without = {name: value for name, value in environment.items() if name != "GPULAB_TEST_DATABASE_URL"}
            once = [f"--ignore={folder}" for folder in WITHOUT_RECORDS]
            status = pytest_run(without, ["-m", "not long and not postgres and not engine and not browser", *ON_SQLITE, *once]) or status
        say("waiting for the tests of whole houses")
        return houses.result() or status


def houses_run(environment: Mapping[str, str]) -> int:
    """Everything but RECORDS; shown when it is over, so that two runs are not written into each other."""
    names = {f"GPULAB_TEST_{what}": f"GPULAB_BESIDE_{what}" for what in ("REDIS_URL", "DATABASE_URL")}
    own = dict(environment) | {name: environment[beside] for name, beside in names.items() if beside in environment}
    folders = {"/".join(path.relative_to(ROOT).parts[:2]) for path in (ROOT / "tests").rglob("test_*.py")}
    chosen = sorted(folders - set(RECORDS))
    with tempfile.TemporaryFile("w+") as out:
        status = pytest_run(own, ["-m", "not long", *chosen], out)
        out.seek(0)
        say("tests of whole houses")
        shutil.copyfileobj(out, sys.stdout)
        sys.stdout.flush()
    return status


if __name__ == "__main__":
    sys.exit(main())
