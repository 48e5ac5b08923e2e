"""Building the environment that labs share, over stand-ins for the installers: order, progress, resuming, words."""

import json
from pathlib import Path

import pytest

from worker.runtimes.base import RuntimeFault
from worker.runtimes.process import environment as module
from worker.runtimes.process.environment import Environment, environment_build, environment_of, torch_ways

UV = """#!/bin/sh
echo "uv $*" >> {log}
case "$*" in
  venv*) mkdir -p "$5/bin" && cp {python} "$5/bin/python" ;;
  *torch-backend*) {torch_by_uv} ;;
esac
"""
PYTHON = """#!/bin/sh
echo "pip $*" >> {log}
case "$*" in
  *"import json"*) echo '{{"torch": "9.9.9+cpu", "cuda": "", "python": "3.11.0"}}' ;;
  *"torch=="*) {torch_by_pip} ;;
esac
"""


@pytest.fixture
def installers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`installers(torch_by_pip=shell, torch_by_uv=shell)` puts stand-ins in place; returns the log of their calls."""
    log = tmp_path / "log"

    def place(*, torch_by_pip: str = "true", torch_by_uv: str = "true") -> Path:
        python, uv = tmp_path / "python", tmp_path / "uv"
        python.write_text(PYTHON.format(log=log, torch_by_pip=torch_by_pip))
        uv.write_text(UV.format(log=log, python=python, torch_by_uv=torch_by_uv))
        for script in (python, uv):
            script.chmod(0o755)
        monkeypatch.setattr(module, "uv_find", lambda: str(uv))
        return log

    return place


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """For a host without a driver."""
    return Environment(root=tmp_path / "envs", torch="9.9.9", cuda=False)


def build(environment: Environment) -> list[tuple[int, str]]:
    """Build it; the progress that was told."""
    told: list[tuple[int, str]] = []
    environment_build(environment, lambda percent, words: told.append((percent, words)))
    return told


def test_progress_grows_to_a_hundred_and_counts_the_download(environment: Environment, installers) -> None:
    installers(torch_by_pip="echo Progress 50000000 of 200000000; echo Progress 200000000 of 200000000")
    told = build(environment)
    assert [percent for percent, _ in told] == sorted(percent for percent, _ in told)
    assert (52, "downloading torch, 50 of 200 MB") in told
    assert told[-1] == (100, "ready: torch 9.9.9+cpu")
    assert environment.ready["torch"] == "9.9.9+cpu"


def test_a_second_build_does_nothing(environment: Environment, installers) -> None:
    log = installers()
    build(environment)
    calls = log.read_text()
    assert build(environment) == []
    assert log.read_text() == calls


def test_the_sites_own_wheels_come_before_those_of_the_world(environment: Environment, installers) -> None:
    log = installers(torch_by_pip="exit 1")
    build(environment)
    torch = [line for line in log.read_text().splitlines() if "torch==" in line]
    assert len(torch) == 2
    assert "torch==9.9.9+cpu" in torch[0]
    assert "--torch-backend=cpu" in torch[1]


def test_with_a_driver_the_cuda_build_is_asked_for(tmp_path: Path) -> None:
    ways = torch_ways(Environment(root=tmp_path, torch="9.9.9", cuda=True), "uv")
    assert "--torch-backend=auto" in ways[0]
    assert not any("+cpu" in word for way in ways for word in way)


def test_a_failure_ends_in_the_installers_words_and_the_next_try_goes_on(environment: Environment, installers) -> None:
    installers(torch_by_pip="echo no route to the mirror; exit 1", torch_by_uv="exit 1")
    with pytest.raises(RuntimeFault) as caught:
        build(environment)
    assert caught.value.words == "Could not install torch 9.9.9: no route to the mirror"
    assert environment.ready == {}
    log = installers(torch_by_uv="true")
    log.unlink()
    assert build(environment)[-1][0] == 100
    assert "uv venv" not in log.read_text()


def test_another_lock_torch_or_driver_is_another_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Environment(root=tmp_path, torch="9.9.9", cuda=False)
    paths = {one.path, Environment(root=tmp_path, torch="9.9.8", cuda=False).path, Environment(root=tmp_path, torch="9.9.9", cuda=True).path}
    lock = tmp_path / "lab.txt"
    lock.write_text("numpy==1\n")
    monkeypatch.setattr(module, "LOCK", lock)
    assert len(paths | {one.path}) == 4


@pytest.mark.parametrize("reference", ["torch", "torch:latest", "torch:../../etc", "numpy:1.2.3", "torch:1.2.3; rm -rf /", ""])
def test_a_reference_that_is_none_is_refused_in_words(tmp_path: Path, reference: str) -> None:
    with pytest.raises(RuntimeFault, match="no environment of the process runtime"):
        environment_of(tmp_path, reference)


def test_the_facts_are_read_by_everybody(environment: Environment, installers) -> None:
    installers()
    build(environment)
    file = environment.path / "ready.json"
    assert file.stat().st_mode & 0o044 == 0o044
    assert json.loads(file.read_text())["python"] == "3.11.0"
