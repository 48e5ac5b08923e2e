"""The real deployment, walked: make-env, `docker compose up -d --build`, every service healthy, a lab launched and reached through the proxy."""

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import need
from tests.support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
OFFICIAL = Path(__file__).parent / "official"
#: Our recipe -> the official image that docker-compose.yml and deploy/Dockerfile name.
STAND_INS = {
    "python": "python:3.11.13-slim-bookworm",
    "postgres": "postgres:16.10",
    "valkey": "valkey/valkey:8.1.3",
    "nginx": "nginx:1.28.0",
}
PORTAL, LABS = "gpulab.localhost", "labs.localhost"
pytestmark = [pytest.mark.long, pytest.mark.engine]


def compose() -> list[str]:
    """Compose v2 as `docker compose`, or where the variable names it."""
    named = os.environ.get("GPULAB_TEST_COMPOSE")
    if named:
        return [named]
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("needs Compose v2: `docker compose`, or its path in GPULAB_TEST_COMPOSE")
    return ["docker", "compose"]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The deployment, up, in a copy of the project; gone afterwards with its volumes."""
    engine, command = need("GPULAB_TEST_DOCKER", "a container engine"), compose()
    folder = _copy(tmp_path_factory.mktemp("deployment") / "gpulab")
    environment = _environment()
    _stand_ins(environment, tmp_path_factory.mktemp("official"))
    _configured(folder, engine)
    try:
        up = subprocess.run([*command, "up", "-d", "--build"], cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert up.returncode == 0, up.stderr[-1000:] + _run([*command, "logs", "--tail", "15"], folder, environment)
        yield folder
    finally:
        _run([*command, "down", "-v"], folder, environment)


def _environment() -> dict[str, str]:
    """Ours, with the tests' engine and without the tests' own settings: compose prefers the environment to .env."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GPULAB_")}
    return plain | {"DOCKER_HOST": need("GPULAB_TEST_DOCKER", "a container engine")}


def _copy(target: Path) -> Path:
    """The project without what git ignores."""
    for name in _run(["git", "ls-files", "-co", "--exclude-standard"], ROOT, dict(os.environ)).splitlines():
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)
    return target


def _stand_ins(environment: dict[str, str], folder: Path) -> None:
    tags = _run(["docker", "images", "--format", "{{.Repository}}:{{.Tag}}", "gpulab-test-base"], folder, environment).split()
    shutil.copytree(OFFICIAL, folder, dirs_exist_ok=True)
    settings = Path("/etc/pip.conf")
    (folder / "pip.conf").write_text(settings.read_text() if settings.exists() else "")
    for recipe, tag in STAND_INS.items():
        options = ["--network", "host", "--build-arg", f"BASE={tags[0]}", "-f", f"{recipe}.Dockerfile", "-t", tag]
        _run(["docker", "build", "-q", *options, "."], folder, environment | {"DOCKER_BUILDKIT": "0"})


def _configured(folder: Path, engine: str) -> None:
    """What an administrator does once: a certificate and .env."""
    tls = folder / "deploy/tls"
    tls.mkdir()
    names = f"subjectAltName=DNS:{PORTAL},DNS:{LABS},DNS:*.{LABS}"
    keys = ["-keyout", str(tls / "privkey.pem"), "-out", str(tls / "fullchain.pem")]
    _run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={PORTAL}", "-addext", names, *keys], folder, dict(os.environ)
    )
    _run([str(folder / "deploy/make-env"), "--portal-host", PORTAL, "--labs-domain", LABS, "--gpu", "no"], folder, dict(os.environ))
    with (folder / ".env").open("a") as file:
        image = need("GPULAB_TEST_IMAGE", "a lab image")
        file.write(f"GPULAB_DOCKER_SOCKET={engine.removeprefix('unix://')}\nGPULAB_LAB_IMAGE={image}\nGPULAB_PROBE=simulated\n")


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[:4]}: {done.stderr[-2000:]}"
    return done.stdout


def manage(folder: Path, *arguments: str) -> str:
    """A command of the house inside the portal's container."""
    environment = _environment()
    return _run([*compose(), "exec", "-T", "portal", "python", "manage.py", *arguments], folder, environment)


def asked(folder: Path, url: str, *options: str) -> tuple[int, str]:
    """Status and body of one request through the proxy, as a client that trusts its certificate."""
    trust = ["--cacert", str(folder / "deploy/tls/fullchain.pem")]
    names = [option for name in (PORTAL, LABS) for option in ("--resolve", f"{name}:443:127.0.0.1")]
    out = _run(["curl", "-sS", *trust, *names, "-w", "\n%{http_code}", *options, url], folder, dict(os.environ))
    body, _, status = out.rpartition("\n")
    return int(status), body


def test_the_composed_house_launches_a_lab_and_carries_its_jupyter(checkout: Path) -> None:
    wait_for(lambda: asked(checkout, f"https://{PORTAL}/healthz")[0] == 200, within=90, what="the portal behind the proxy")
    manage(checkout, "first_admin", "--email", "root@example.edu")
    token = next(word for word in manage(checkout, "token_create", "root@example.edu").split() if word.startswith("gp"))
    bearer = ("-H", f"Authorization: Bearer {token}")
    images = wait_for(lambda: [one for one in json.loads(asked(checkout, f"https://{PORTAL}/api/v1/images", *bearer)[1])["items"] if one["ready"]], within=120)
    wish = {"image": images[0]["id"], "gpus": 1, "cpus": 1, "memory_gib": 2, "hours": 1, "name": f"walk-{secrets.token_hex(4)}"}
    status, body = asked(checkout, f"https://{PORTAL}/api/v1/labs", *bearer, "-H", "Content-Type: application/json", "-d", json.dumps(wish))
    assert status == 201, body
    lab = json.loads(body)["id"]
    state = _state(checkout, lab, bearer)
    settled = wait_for(lambda: (one := state())["state"] in ("running", "failed") and one, within=90, what="the lab", every=0.5)
    assert settled["state"] == "running", settled["reason"]
    assert len(settled["gpus"]) == 1
    assert asked(checkout, settled["urls"]["jupyter"] + "api/status")[0] == 403  # through nginx and the relay, to nobody without a token
    asked(checkout, f"https://{PORTAL}/api/v1/labs/{lab}/stop", *bearer, "-X", "POST")
    wait_for(lambda: state()["state"] == "stopped", within=60, what="the lab's end", every=0.5)


def _state(folder: Path, lab: str, bearer: tuple[str, str]) -> Callable[[], dict[str, Any]]:
    return lambda: json.loads(asked(folder, f"https://{PORTAL}/api/v1/labs/{lab}", *bearer)[1])
