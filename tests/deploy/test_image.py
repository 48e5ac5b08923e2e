"""What deploy/Dockerfile copies is enough: every process of the house starts from it and from nothing else."""

import os
import re
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree of the image's /opt/gpulab, made by the Dockerfile's own COPY lines."""
    tree = tmp_path_factory.mktemp("image") / "opt"
    tree.mkdir()
    own = DOCKERFILE.split("WORKDIR /opt/gpulab")[1]
    for line in re.findall(r"^COPY (?!--)(.+)$", own, re.MULTILINE):
        *sources, target = line.split()
        for source in sources:
            place = tree / source if target == "./" else tree / target
            place.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, place)
    return tree


def manage(image: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """One command as the image would run it, home and all."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("GPULAB_", "DJANGO_", "PYTHON"))}
    own = {"GPULAB_SECRET_KEY": secrets.token_urlsafe(48), "GPULAB_HOME": str(image.parent / "home"), "PYTHONPYCACHEPREFIX": str(image.parent / "compiled")}
    return subprocess.run([sys.executable, "manage.py", *arguments], cwd=image, env=plain | own | environment, capture_output=True, text=True, check=False)


def test_the_static_files_are_collected_while_it_is_built(image: Path) -> None:
    stated = re.findall(r"(GPULAB_ENV)=(\w+) .*manage\.py collectstatic", DOCKERFILE)
    collected = manage(image, "collectstatic", "--noinput", "--verbosity", "0", **dict(stated))
    assert collected.returncode == 0, collected.stderr
    assert (image.parent / "home/static/gpulab/app.js").exists()


@pytest.mark.parametrize("command", ["check", "migrate", "first_admin", "worker", "relay", "ssh_gateway", "token_create"])
def test_every_command_of_the_deployment_is_in_it(image: Path, command: str) -> None:
    ran = manage(image, command, "--help")
    assert ran.returncode == 0, ran.stderr


def test_the_portal_loads_from_it(image: Path) -> None:
    checked = manage(image, "check")
    assert checked.returncode == 0, checked.stderr
