"""What the idle loop sees of a real lab, and that its words reach a real terminal in it."""

import json
from typing import Any

import docker
import pytest

from tests.journeys.test_engine import ask, stop
from tests.support.product import House
from tests.support.waiting import wait_for

pytestmark = pytest.mark.engine
LOOK = """
import json
from django.utils import timezone
from labs.lifecycle.models import Lab
from worker import node
from worker.loops.idle import signs_of
from worker.terminals import terminals_write
lab = Lab.objects.get(pk={lab!r})
signs = signs_of(lab=lab, now=timezone.now())
reached = terminals_write(pids=node.hands().runtime.processes("gpulab-" + lab.pk + "-1"), words="It is stopped soon.")
print(json.dumps([signs.jupyter, signs.kernels, signs.terminals, signs.ssh, reached]))
"""


def look(house: House, lab_id: str) -> list[Any]:
    out = house.manage("shell", "--no-imports", "-c", LOOK.format(lab=lab_id))
    return list(json.loads(out.strip().splitlines()[-1]))


def test_kernels_and_terminals_of_a_real_lab_are_seen_and_words_reach_its_terminal(house: House, engine: docker.DockerClient) -> None:
    lab = ask(house, "alice").json()["id"]
    house.lab_until("alice", lab, "running")
    container = engine.containers.get(f"gpulab-{lab}-1")
    assert look(house, lab) == [True, 0, 0, 0, 0]
    for path in ("terminals", "kernels"):
        call = f'curl -sf -X POST -H "Authorization: token $(cat /run/gpulab/token)" http://127.0.0.1:8888/l/{lab}/api/{path}'
        assert container.exec_run(["sh", "-c", call]).exit_code == 0
    assert wait_for(lambda: (seen := look(house, lab))[4] and seen, within=90, what="a terminal") == [True, 1, 1, 0, 1]
    stop(house, "alice", lab)
