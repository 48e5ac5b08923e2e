"""Setting up on a bare machine."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools import bootstrap

BARE = """
mount --bind {empty} /usr/lib/python3/dist-packages/pip || true
mount --bind {empty} /usr/lib/python3.11/ensurepip || true
exec {python} tools/bootstrap.py
"""


def checkout_copy(target: Path) -> Path:
    """What the bootstrap needs of a checkout."""
    for name in ("tools", "requirements"):
        shutil.copytree(bootstrap.ROOT / name, target / name)
    return target


def test_a_setting_of_pip_is_read_from_the_environment_before_its_files(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = https://mirror.example/simple\ncert = /etc/site.pem\n")
    environment = {"PIP_CONFIG_FILE": str(file), "PIP_CERT": "/etc/other.pem"}
    assert bootstrap.pip_setting("index-url", environment=environment) == "https://mirror.example/simple"
    assert bootstrap.pip_setting("cert", environment=environment) == "/etc/other.pem"


def test_uv_hears_of_pips_index_and_certificates_but_its_own_settings_win(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = https://mirror.example/simple\ncert = /etc/site.pem\n")
    told = bootstrap.uv_environment(environment={"PIP_CONFIG_FILE": str(file)})
    assert told["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert told["SSL_CERT_FILE"] == "/etc/site.pem"
    own = bootstrap.uv_environment(environment={"PIP_CONFIG_FILE": str(file), "UV_DEFAULT_INDEX": "https://own.example/simple"})
    assert own["UV_DEFAULT_INDEX"] == "https://own.example/simple"


def test_without_a_writable_home_the_cache_lies_in_the_environment() -> None:
    told = bootstrap.uv_environment(environment={"HOME": "/nonexistent"})
    assert told["UV_CACHE_DIR"] == str(bootstrap.ROOT / ".venv" / ".uv-cache")


def test_an_old_python_is_refused_in_words(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    assert bootstrap.main([]) == 1
    assert "needs Python 3.11 or newer" in capsys.readouterr().err


def test_a_machine_with_no_way_to_fetch_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "WAYS", tuple((words, lambda _folder: None) for words, _ in bootstrap.WAYS))
    with pytest.raises(bootstrap.BootstrapFault, match=r"sudo apt-get install python3-pip"):
        bootstrap.uv_install()


def test_an_unchanged_lock_costs_less_than_a_fifth_of_a_second() -> None:
    command = [sys.executable, "tools/bootstrap.py", "dev"]
    subprocess.run(command, cwd=bootstrap.ROOT, check=True)
    took = []
    for _ in range(5):
        began = time.monotonic()
        done = subprocess.run(command, cwd=bootstrap.ROOT, check=True, capture_output=True, text=True)
        took.append(time.monotonic() - began)
        assert done.stdout == ""
    assert min(took) < 0.2


def test_another_lock_is_another_environment(tmp_path: Path) -> None:
    root = checkout_copy(tmp_path)
    before = bootstrap.lock_hash("base", root=root)
    with (root / "requirements/base.txt").open("a") as lock:
        lock.write("# changed\n")
    assert bootstrap.lock_hash("base", root=root) != before


@pytest.mark.skipif(
    not os.environ.get("CI") and (os.geteuid() != 0 or not Path("/usr/bin/python3.11").exists()), reason="needs root and the distribution's Python 3.11"
)
@pytest.mark.timeout(900)  # it fetches: what is waited for is the network
def test_a_python_without_pip_and_ensurepip_sets_itself_up(tmp_path: Path) -> None:
    root, empty, home = checkout_copy(tmp_path / "clone"), tmp_path / "empty", tmp_path / "home"
    empty.mkdir()
    home.mkdir()
    script = BARE.format(empty=empty, python="/usr/bin/python3.11")
    environment = {**os.environ, "HOME": str(home), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script], cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "fetching the installer by" in done.stdout
    found = subprocess.run([root / ".venv/bin/python", "-c", "import django; print(django.VERSION[:2])"], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "(5, 2)"
