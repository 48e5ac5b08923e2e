"""What docker-compose.yml promises: pinned images, health, secrets from .env only, one holder of the engine's socket."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.test_make_env import NAMES, make_env, variables

ROOT = Path(__file__).resolve().parents[2]
HOUSE = ("portal", "ssh", "relay", "worker")
BASE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
HOST = yaml.safe_load((ROOT / "deploy/docker-compose.host.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = BASE["services"]
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?::([-?])([^}]*))?\}")


def written(service: dict[str, Any]) -> str:
    """A service as text, to look through everything in it."""
    return yaml.safe_dump(service)


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_pinned_to_a_version(name: str) -> None:
    tag = SERVICES[name]["image"].rpartition(":")[2]
    assert re.fullmatch(r"\d+\.\d+(\.\d+)?", tag), f"{name}: {SERVICES[name]['image']}"


def test_the_base_images_of_our_own_are_pinned_too() -> None:
    bases = re.findall(r"^FROM (\S+)", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE)
    assert bases
    assert all(re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base) for base in bases)


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "migrate"])
def test_every_service_has_a_health_check_and_comes_back(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", HOUSE)
def test_every_process_of_the_house_is_checked_by_its_own_name(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"] == ["CMD", "python", "deploy/health.py", name]


def test_a_new_version_replaces_one_process_after_another_and_one_portal_always_serves() -> None:
    lines = (ROOT / "deploy/upgrade").read_text().splitlines()
    [order] = [re.findall(r"[\w-]+", line.partition(" in ")[2].partition(";")[0]) for line in lines if line.startswith("for service in")]
    assert set(order) == {*HOUSE, "portal-2", "proxy"} and order[:2] == ["portal", "portal-2"]
    at = {word: next(number for number, line in enumerate(lines) if word in line) for word in ("build", "--rm migrate", "--no-deps --wait")}
    assert at["build"] < at["--rm migrate"] < at["--no-deps --wait"]
    portal, second = SERVICES["portal"], SERVICES["portal-2"]
    assert {name for name in portal if portal[name] != second[name]} == {"ports"}


UNWELL = [("", ["portal", "portal-2", "ssh", "relay", "proxy"]), ("--wait portal", ["portal"]), ("run --rm migrate", [])]


@pytest.mark.parametrize(("unwell", "done"), UNWELL, ids=["well", "portal", "tables"])
def test_an_upgrade_starts_no_second_worker_beside_one_without_a_container_and_stops_at_what_is_not_well(unwell: str, done: list[str], tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\necho "$*" >>"{tmp_path}/said"\ncase "$*" in *" ps "*) echo relay;; *"{unwell or "no such"}") exit 1;; esac\n')
    sleep = tmp_path / "sleep"
    sleep.write_text("#!/bin/sh\n")
    for program in (docker, sleep):
        program.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    ran = subprocess.run(["bash", ROOT / "deploy/upgrade"], env=environment, capture_output=True, text=True, check=False)
    said = (tmp_path / "said").read_text().splitlines()
    assert said[:2] == ["compose build", "compose run --rm migrate"] and said.count("compose run --rm migrate") == (5 if "migrate" in unwell else 1)
    assert [line.rpartition(" ")[2] for line in said if "--wait" in line] == done
    assert (ran.returncode == 0) == (not unwell) and ("systemctl restart gpulab-worker" in ran.stdout) == (not unwell)


def test_a_change_of_a_table_never_holds_up_everybody_behind_somebodys_work() -> None:
    assert SERVICES["migrate"]["environment"] == {**SERVICES["portal"]["environment"], "PGOPTIONS": "-c lock_timeout=5s"}


def test_only_the_worker_holds_the_engines_socket_and_runs_as_root() -> None:
    assert [name for name, service in SERVICES.items() if "docker.sock" in written(service)] == ["worker"]
    assert [name for name in (*HOUSE, "migrate") if "user" in SERVICES[name]] == ["worker"]
    assert re.search(r"^USER gpulab$", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", HOUSE)
def test_the_houses_processes_can_write_nowhere_and_gain_nothing(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert name == "worker" or "cap_add" not in service


@pytest.mark.parametrize("name", SERVICES)
def test_only_the_proxy_and_the_ssh_gateway_are_open_to_others(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))
    opened = re.findall(r"0\.0\.0\.0:", written(SERVICES[name]))
    assert bool(opened) == (name == "ssh")


def test_no_secret_has_a_default_and_make_env_gives_every_needed_variable(tmp_path: Path) -> None:
    make_env(tmp_path / ".env", *NAMES)
    given = variables(tmp_path / ".env")
    text = (ROOT / "docker-compose.yml").read_text() + (ROOT / "deploy/docker-compose.host.yml").read_text()
    text = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for name, kind, default in VARIABLE.findall(text):
        assert name in given or kind == "-", f"{name} is neither given nor has it a default"
        assert not (kind == "-" and default and re.search(r"SECRET|PASSWORD", name)), name


def test_rules_that_portal_and_worker_share_read_the_same_settings_in_both() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "labs").rglob("*.py"))
    read = {f"GPULAB_{name}" for name in re.findall(r"settings\.([A-Z_]+)", code)}
    portal, worker = SERVICES["portal"]["environment"], SERVICES["worker"]["environment"]
    shared = read & worker.keys() - {"GPULAB_REDIS_URL"}  # one server, by two addresses
    assert "GPULAB_UID_BASE" in shared
    assert {name: portal.get(name) for name in shared} == {name: worker[name] for name in shared}


def test_the_override_is_the_workers_alone_and_asks_for_no_gpu() -> None:
    assert list(HOST["services"]) == ["worker"]
    worker = HOST["services"]["worker"]
    assert worker["pid"] == "host"
    assert worker["runtime"] == "${GPULAB_WORKER_RUNTIME:-runc}"
    assert "deploy" not in worker  # a reservation of cards would keep the worker from starting where there are none
    assert worker["devices"] == ["/dev/kmsg:/dev/kmsg:r"]
    assert "/sys/fs/cgroup:/sys/fs/cgroup:ro" in worker["volumes"]


def test_what_the_engine_binds_into_labs_has_the_same_path_in_the_worker() -> None:
    home = SERVICES["worker"]["environment"]["GPULAB_HOME"]
    volumes = HOST["services"]["worker"]["volumes"]
    assert f"{home}:{home}" in volumes
    shared = SERVICES["worker"]["environment"]["GPULAB_SHARED_DATA"]
    assert f"{shared}:{shared}:ro" in volumes


def test_the_image_is_built_from_the_lock_with_hashes() -> None:
    text = (ROOT / "deploy/Dockerfile").read_text()
    assert "--require-hashes" in text
    copied = {source for line in re.findall(r"^COPY (?!--)(.+) \S+$", text, re.MULTILINE) for source in line.split()}
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    inside = {source for source in copied if any(source.startswith(f"{path}/") for path in allowed)}
    assert copied - inside == allowed
    assert all((ROOT / path).exists() for path in copied)
