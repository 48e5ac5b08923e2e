"""A lab's GPUs as its programs find them, asked on the real engine. No GPU is needed: a device that cannot be opened is one."""

from pathlib import Path
from typing import Any

import pytest

from tests.contracts.engine import api, engine_address, engine_image, gateway, inside, make_spec, runtime  # noqa: F401  (fixtures)
from worker.runtimes.docker.devices import DEVICE

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]


def test_a_device_that_the_labs_user_can_no_longer_open_is_named(runtime, make_spec, api: Any):
    spec = make_spec()
    runtime.start(spec)
    assert runtime.device_shut(spec.name) == "", "a lab without GPUs has lost none"
    device = Path(f"/proc/{api.inspect_container(spec.name)['State']['Pid']}/root{DEVICE}")
    device.touch()
    device.chmod(0o666)
    assert runtime.device_shut(spec.name) == ""
    device.chmod(0)
    assert inside(api, spec, "/bin/cat", DEVICE)[0] != 0
    assert runtime.device_shut(spec.name) == DEVICE


def test_a_lab_that_is_gone_has_lost_no_device(runtime, make_spec):
    spec = make_spec()
    assert runtime.device_shut(spec.name) == ""
