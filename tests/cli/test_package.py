"""The program as people get it: the wheel that the portal hands out, in an environment that has nothing else."""

import os
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.test import Client
from django.urls import reverse

from labs.people.models import DeviceLogin
from tests.support.waiting import wait_for
from tools.bootstrap import UV, uv_environment
from tools.wheel import wheel_build

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel_build(tmp_path_factory.mktemp("cli"))


def test_it_is_built_again_only_when_it_would_differ(wheel: Path) -> None:
    before = wheel.stat().st_mtime_ns
    assert wheel_build(wheel.parent) == wheel and wheel.stat().st_mtime_ns == before


def test_it_is_installed_from_the_portal_and_signs_in(wheel: Path, tmp_path: Path, live_server: Any, settings: Any, alice: Any, client: Client) -> None:
    settings.PORTAL_URL, settings.CLI_FOLDER = live_server.url, wheel.parent
    client.force_login(alice, backend="allauth.account.auth_backends.AuthenticationBackend")
    page = client.get(reverse("command_line")).content.decode()
    address = f"{live_server.url}/cli/{wheel.name}"
    assert f"pipx install {address}" in page
    assert httpx.get(f"{live_server.url}/cli/nothing.whl").status_code == 404
    clean = tmp_path / "clean"
    subprocess.run([UV, "venv", "--quiet", str(clean)], env=uv_environment(), check=True)
    subprocess.run([UV, "pip", "install", "--quiet", "--python", str(clean / "bin/python"), address], env=uv_environment(), check=True)
    installed = subprocess.run([UV, "pip", "list", "--python", str(clean / "bin/python")], env=uv_environment(), capture_output=True, text=True, check=True)
    assert "django" not in installed.stdout.lower()
    gpulab, home = str(clean / "bin/gpulab"), {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    told = subprocess.run([gpulab, "--help"], env=home, capture_output=True, text=True, check=True)
    assert "launch" in told.stdout
    half = {"_GPULAB_COMPLETE": "complete_bash", "COMP_WORDS": "gpulab ext", "COMP_CWORD": "1"}
    assert subprocess.run([gpulab], env=home | half, capture_output=True, text=True, check=True).stdout.split() == ["extend"]
    terminal = subprocess.Popen([gpulab, "login", live_server.url], env=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    row = wait_for(lambda: DeviceLogin.objects.first(), within=90, what="the program asks")
    client.post(reverse("device"), {"code": row.shown, "answer": "yes"})
    assert terminal.wait(30) == 0
    listed = subprocess.run([gpulab, "ls"], env=home, capture_output=True, text=True, check=True)
    assert "You have no lab" in listed.stdout
