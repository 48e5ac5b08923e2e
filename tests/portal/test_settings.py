"""Settings refuse nonsense at the start, and production refuses what is unsafe."""

import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from ipaddress import IPv4Network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from portal import checks, env

ROOT = Path(__file__).resolve().parents[2]
NAME = "GPULAB_X"
Reader = Callable[..., Any]


def read(reader: Reader, value: str, *arguments: Any, **limits: Any) -> Any:
    """What a reader makes of one value."""
    return reader(NAME, *arguments, **limits, environ={NAME: value})


@pytest.mark.parametrize("value", ["1.5", "ten", "-1", "66000", "0x10", "1e3", "８", "²", "--1"])
def test_a_number_outside_its_bounds_or_no_number_is_refused_by_name(value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=NAME):
        read(env.integer, value, 8000, low=0, high=65000)


def test_a_number_is_read_with_blanks_around_it_and_an_empty_one_is_the_default() -> None:
    assert read(env.integer, " 42 ", 8000, low=0, high=65000) == 42
    assert read(env.integer, "", 8000, low=0, high=65000) == 8000


@pytest.mark.parametrize("value", ["Docker", "podman", "docker,process"])
def test_a_choice_that_is_not_offered_is_refused_with_those_that_are(value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="docker, process"):
        read(env.choice, value, ("docker", "process"), "docker")


@pytest.mark.parametrize("value", ["8001", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:0", "127.0.0.1:70000", ":80"])
def test_an_address_needs_a_host_and_a_port(value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=NAME):
        read(env.address, value, "127.0.0.1:8001")


@pytest.mark.parametrize("value", ["8.8.0.0/16", "10.0.0.0/25", "10.0.0.1/16", "fd00::/64", "somewhere"])
def test_a_range_for_labs_is_private_and_large_enough(value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=NAME):
        read(env.network, value, "10.213.0.0/16")


def test_a_private_range_is_taken() -> None:
    assert read(env.network, "172.20.0.0/16", "10.213.0.0/16") == IPv4Network("172.20.0.0/16")


#: By names, not by themselves: the name of a test is in the environment of what the test starts, where no secret may be.
DEFAULTS = {
    "none": "",
    "short": "short",
    "plain": "a" * 60,
    "Django's": "django-insecure-" + "aB3$fG7!" * 5,
    "a known one": "change-me-please-0123456789-abcdefghijk",
}


@pytest.mark.parametrize("value", DEFAULTS.values(), ids=DEFAULTS)
def test_a_secret_that_is_missing_short_plain_or_a_known_default_is_refused(value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=NAME):
        read(env.secret, value)


def test_a_random_secret_is_taken_as_it_is() -> None:
    value = secrets.token_hex(32)
    assert read(env.secret, value) == value


@pytest.mark.parametrize("value", ["postgres://gpulab@db:many/labs", "postgres://[::1/labs", "mysql://x/y", "postgresql", "/var/db.sqlite3", "http://db/x"])
def test_a_database_is_sqlite_or_postgresql(value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=NAME):
        read(env.database, value, "sqlite:////x")


def test_a_database_url_keeps_signs_in_a_password() -> None:
    found = read(env.database, "postgres://gpu%40lab:p%2Fw%3A@db:5433/labs", "")
    assert (found["USER"], found["PASSWORD"], found["HOST"], found["PORT"], found["NAME"]) == ("gpu@lab", "p/w:", "db", "5433", "labs")


def test_sqlite_takes_its_write_lock_at_once() -> None:
    assert read(env.database, "sqlite:////x/db", "")["OPTIONS"]["transaction_mode"] == "IMMEDIATE"


def found(check: Callable[..., list[Any]]) -> set[str]:
    """The ids that a check raises with the settings as they are."""
    return {error.id for error in check(app_configs=None)}


@pytest.fixture
def production(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Settings of a whole production, as the checks see them."""
    whole = SimpleNamespace(
        PRODUCTION=True,
        PORTAL_URL="https://gpulab.example.edu",
        LABS_DOMAIN="labs.example.edu",
        LABS_ORIGIN="wildcard",
        ALLOWED_HOSTS=["gpulab.example.edu"],
        DATABASES={"default": {"ENGINE": "django.db.backends.postgresql"}},
    )
    monkeypatch.setattr(checks, "settings", whole)
    return whole


def test_a_whole_production_raises_nothing(production: SimpleNamespace) -> None:
    assert found(checks.production_is_whole) | found(checks.labs_have_their_own_origin) == set()


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("PORTAL_URL", "http://gpulab.example.edu", "gpulab.E002"),
        ("DATABASES", {"default": {"ENGINE": "django.db.backends.sqlite3"}}, "gpulab.E003"),
        ("ALLOWED_HOSTS", ["*"], "gpulab.E004"),
    ],
)
def test_production_refuses_half_a_setting(production: SimpleNamespace, name: str, value: object, error: str) -> None:
    setattr(production, name, value)
    assert found(checks.production_is_whole) == {error}
    production.PRODUCTION = False
    assert found(checks.production_is_whole) == set()


@pytest.mark.parametrize("labs", ["gpulab.example.edu", "example.edu", "edu"])
def test_labs_may_not_share_or_reach_over_the_portals_host(production: SimpleNamespace, labs: str) -> None:
    production.LABS_DOMAIN = labs
    assert found(checks.labs_have_their_own_origin) == {"gpulab.E001"}


def test_one_host_for_all_labs_is_another_host_and_never_only_another_port(production: SimpleNamespace) -> None:
    production.LABS_ORIGIN = "single"
    for labs, refused in (("labs.example.edu", set()), ("192.0.2.7", set()), ("gpulab.example.edu", {"gpulab.E001"}), ("GPULAB.example.edu.", {"gpulab.E001"})):
        production.LABS_DOMAIN = labs
        assert found(checks.labs_have_their_own_origin) == refused, labs
    production.PRODUCTION, production.PORTAL_URL, production.LABS_DOMAIN = False, "http://localhost:8000", "localhost"
    assert found(checks.labs_have_their_own_origin) == {"gpulab.E001"}
    production.LABS_DOMAIN = "127.0.0.1"
    assert found(checks.labs_have_their_own_origin) == set()


def test_names_below_an_address_are_refused(production: SimpleNamespace) -> None:
    production.LABS_DOMAIN = "192.0.2.7"
    assert found(checks.labs_have_their_own_origin) == {"gpulab.E005"}


def check_of(**environment: str) -> subprocess.CompletedProcess[str]:
    """`manage.py check --deploy` in a process of its own, with these variables and no others of ours."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("GPULAB_", "DJANGO_"))}
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "ERROR"]
    return subprocess.run(command, cwd=ROOT, env=plain | environment, capture_output=True, text=True, check=False)


@pytest.fixture
def deployed(tmp_path: Path) -> dict[str, str]:
    """The environment that docker-compose.yml gives the portal."""
    return {
        "GPULAB_ENV": "production",
        "GPULAB_SECRET_KEY": secrets.token_urlsafe(48),
        "GPULAB_HOME": str(tmp_path),
        "GPULAB_PORTAL_URL": "https://gpulab.example.edu",
        "GPULAB_LABS_DOMAIN": "labs.example.edu",
        "GPULAB_LABS_PORT": "443",
        "GPULAB_TRUSTED_PROXIES": "1",
        "GPULAB_DATABASE_URL": "postgres://gpulab:x@127.0.0.1:1/gpulab",
    }


def test_production_starts_on_whole_settings(deployed: dict[str, str]) -> None:
    checked = check_of(**deployed)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("key", [DEFAULTS["none"], DEFAULTS["a known one"]], ids=["none", "a known one"])
def test_production_does_not_start_on_a_default_secret(deployed: dict[str, str], key: str) -> None:
    checked = check_of(**deployed | {"GPULAB_SECRET_KEY": key})
    assert checked.returncode != 0
    assert "GPULAB_SECRET_KEY" in checked.stderr


def test_production_does_not_start_on_sqlite(deployed: dict[str, str]) -> None:
    checked = check_of(**deployed | {"GPULAB_DATABASE_URL": ""})
    assert checked.returncode != 0
    assert "gpulab.E003" in checked.stderr


def test_behind_a_proxy_people_are_counted_by_their_own_address(deployed: dict[str, str]) -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GPULAB_")}
    program = "from portal import settings as s; print(s.ALLAUTH_TRUSTED_PROXY_COUNT, s.SECURE_PROXY_SSL_HEADER)"
    read = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=plain | deployed, capture_output=True, text=True, check=True)
    assert read.stdout.strip() == "1 ('HTTP_X_FORWARDED_PROTO', 'https')"


def test_private_ranges_of_chats_are_networks_or_the_start_is_refused():
    given = env.networks("X", environ={"X": "10.1.2.0/24, fd00::/8"})
    assert [str(one) for one in given] == ["10.1.2.0/24", "fd00::/8"]
    assert env.networks("X", environ={}) == ()
    for nonsense in ("10.1.2.3/24", "chat.example.org", "10.0.0.0/33"):
        with pytest.raises(ImproperlyConfigured, match="X"):
            env.networks("X", environ={"X": nonsense})
