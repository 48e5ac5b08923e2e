"""deploy/make-env: fresh secrets, nobody else's eyes, never over running data."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

MAKE_ENV = Path(__file__).resolve().parents[2] / "deploy/make-env"
NAMES = ("--portal-host", "gpulab.example.edu", "--labs-domain", "labs.example.edu")
SECRETS = ("GPULAB_SECRET_KEY", "GPULAB_DATABASE_PASSWORD", "GPULAB_REDIS_PASSWORD")


def make_env(output: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, MAKE_ENV, "--output", output, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


def variables(path: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line and not line.startswith("#"))


def test_it_writes_fresh_secrets_that_only_the_owner_may_read(tmp_path: Path) -> None:
    first, second = tmp_path / "one", tmp_path / "two"
    for path in (first, second):
        assert make_env(path, *NAMES).returncode == 0
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    one, two = variables(first), variables(second)
    assert all(len(one[name]) >= 43 and one[name] != two[name] for name in SECRETS)
    assert len({one[name] for name in SECRETS}) == 3


def test_it_never_writes_over_a_file_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    make_env(path, *NAMES)
    before = path.read_text()
    again = make_env(path, *NAMES)
    assert again.returncode == 1
    assert "stays as it is" in again.stderr
    assert path.read_text() == before


@pytest.mark.parametrize(
    ("portal", "labs", "words"),
    [
        ("gpulab.example.edu", "example.edu", "above it"),
        ("gpulab.example.edu", "gpulab.example.edu", "the portal's host"),
        ("gpulab.example.edu", "*.labs.example.edu", "no full host name"),
        ("gpulab", "labs.example.edu", "no full host name"),
        ("https://gpulab.example.edu", "labs.example.edu", "no full host name"),
        ("gpulab.example.edu\nX=1", "labs.example.edu", "no full host name"),
    ],
)
def test_it_refuses_names_that_cannot_be_and_writes_nothing(tmp_path: Path, portal: str, labs: str, words: str) -> None:
    refused = make_env(tmp_path / ".env", "--portal-host", portal, "--labs-domain", labs)
    assert refused.returncode == 1
    assert words in refused.stderr
    assert not (tmp_path / ".env").exists()


def test_without_a_terminal_it_says_what_is_missing(tmp_path: Path) -> None:
    refused = make_env(tmp_path / ".env", "--portal-host", "gpulab.example.edu")
    assert refused.returncode == 1
    assert "labs' domain is missing" in refused.stderr


@pytest.mark.parametrize(("wish", "runtime"), [("yes", "nvidia"), ("no", "runc")])
def test_the_worker_sees_cards_only_where_that_is_said(tmp_path: Path, wish: str, runtime: str) -> None:
    make_env(tmp_path / ".env", *NAMES, "--gpu", wish)
    assert variables(tmp_path / ".env")["GPULAB_WORKER_RUNTIME"] == runtime
