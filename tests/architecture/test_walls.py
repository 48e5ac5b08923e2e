"""The walls stand (pyproject.toml, [tool.importlinter]), and each of them falls loudly when it is broken."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("labs", "portal", "worker", "tools")
#: contract -> a file and an import that must not be in it
BREAKS = {
    "1": ("labs/bus/bus.py", "import portal.env"),
    "2": ("labs/bus/bus.py", "import labs.people.models"),
    "3": ("labs/people/models.py", "import labs.people.services"),
    "4": ("labs/scheduler/plan.py", "import django.db"),
    "5": ("labs/fleet/services.py", "import docker"),
    "6": ("worker/probes/simulated.py", "import worker.probes.nvml"),
    "7": ("worker/runtimes/base.py", "import labs.bus"),
    "8": ("worker/loops/schedule.py", "import worker.tasks"),
    "8-relay": ("worker/loops/schedule.py", "import worker.relay.links"),
    "9": ("portal/api/labs.py", "import portal.pages.context"),
    "10": ("tools/lock.py", "import django"),
    "11": ("labs/bus/redis.py", "import labs.bus.bus"),
}


def lint(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Import-linter as `make check` runs it, on the tree in `folder`."""
    command = [Path(sys.executable).parent / "lint-imports", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the house to break."""
    folder = tmp_path_factory.mktemp("house")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=lambda where, names: [n for n in names if not (n.endswith(".py") or Path(where, n).is_dir())])
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_all_walls_stand() -> None:
    checked = lint(ROOT)
    assert checked.returncode == 0, checked.stdout


def test_every_wall_has_a_test_that_breaks_it() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert {contract["id"] for contract in contracts} == set(BREAKS)
    assert {contract["name"].split(".")[0] for contract in contracts} == {str(number) for number in range(1, 12)}


@pytest.mark.parametrize("contract", BREAKS)
def test_one_bad_import_breaks_its_wall(tree: Path, contract: str) -> None:
    path, line = BREAKS[contract]
    whole = (tree / path).read_text()
    try:
        (tree / path).write_text(f"{whole}\n{line}\n")
        checked = lint(tree, "--contract", contract)
    finally:
        (tree / path).write_text(whole)
    assert checked.returncode == 1
    assert "0 kept, 1 broken" in checked.stdout, checked.stdout


def test_a_room_that_is_not_listed_is_an_error(tree: Path) -> None:
    room = tree / "labs/attic"
    room.mkdir()
    (room / "__init__.py").touch()
    try:
        checked = lint(tree, "--contract", "2")
    finally:
        shutil.rmtree(room)
    assert checked.returncode == 1
    assert "attic" in checked.stdout
