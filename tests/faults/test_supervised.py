"""Whoever supervises a worker starts it again after the watchdog has ended it: systemd, compose and `make up`."""

import configparser
import sys
import time
from pathlib import Path

import yaml

from tests.support.waiting import wait_for
from tools.up.children import Child
from worker.watchdog import STATUS

ROOT = Path(__file__).resolve().parents[2]


def test_systemd_starts_a_worker_again_whatever_it_ended_with_and_however_often():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's names have capitals
    unit.read(ROOT / "deploy/systemd/gpulab-worker.service")
    assert unit["Service"]["Restart"] == "always" and unit["Unit"]["StartLimitIntervalSec"] == "0"


def test_compose_starts_a_worker_again_whatever_it_ended_with():
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert services["worker"]["restart"] == "unless-stopped"


def test_the_embedded_supervisor_starts_a_worker_again_that_its_watchdog_ended(tmp_path: Path):
    code = f"import sys; open({str(tmp_path / 'starts')!r}, 'a').write('x'); sys.exit({STATUS})"
    child = Child(name="worker", command=[sys.executable, "-c", code], environment={})
    child.start()

    def started_twice() -> bool:
        child.heal(time.monotonic())
        return (tmp_path / "starts").exists() and len((tmp_path / "starts").read_text()) >= 2

    wait_for(started_twice, within=60, what="a second start")
    assert child.process is not None
    child.process.wait(60)
