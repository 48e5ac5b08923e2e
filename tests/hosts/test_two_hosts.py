"""Row 17 of the faults, and what many hosts are for: launch on both, cut one off, heal it, drain it, give it up."""

import httpx
import psycopg
import pytest

from tests.hosts.second import Second
from tests.support.waiting import wait_for
from tools.node.place import environment_read

AS_ADMIN = "from datetime import timedelta\nfrom django.utils.timezone import now\nfrom labs.fleet.models import Node\nfrom labs.people.models import User\n"
AS_ADMIN += "actor = User.objects.get(role='administrator')\n"


def _manage(second: Second, script: str) -> str:
    return second.world.house.manage("shell", "--no-imports", "-c", AS_ADMIN + script)


def _cordon(second: Second, node: str, *, on: bool) -> None:
    verb = "node_cordon" if on else "node_uncordon"
    _manage(second, f"from labs.fleet.services import {verb}\n{verb}(node=Node.objects.get(pk='{node}'), actor=actor, now=now())")


def _labs_on(second: Second, node: str, name: str, count: int = 1) -> list[str]:
    """Labs of that person on that host."""
    other = "n1" if node == "n2" else "n2"
    _cordon(second, other, on=True)
    labs = [second.world.running(name, gpus=0) for _ in range(count)]
    _cordon(second, other, on=False)
    return labs


def _of(second: Second, lab_id: str, column: str) -> object:
    return second.world.rows(f"SELECT {column} FROM lifecycle_lab WHERE id = %s", lab_id)[0][0]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_two_hosts_one_house(second: Second) -> None:
    world = second.world
    stays, ends = _labs_on(second, "n2", "alice", 2)
    [here] = _labs_on(second, "n1", "bob")
    assert (_of(second, stays, "node_id"), _of(second, here, "node_id")) == ("n2", "n1")
    assert sorted(second.containers) == sorted(f"gpulab-{lab}-1" for lab in (stays, ends))
    url, headers = world.door(stays)  # by the house's relay and, with mutual TLS, the host's own

    with psycopg.connect(world.postgres.url) as link:
        link.execute("UPDATE lifecycle_lab SET ends_at = now() + interval '20 seconds' WHERE id = %s", (ends,))
    looked = world.rows("SELECT heartbeat_at FROM fleet_node WHERE id = 'n2'")
    wait_for(lambda: world.rows("SELECT heartbeat_at FROM fleet_node WHERE id = 'n2'") != looked, within=20, what="a look of the host at its labs")
    second.cable("cut")
    try:
        second.until("unknown", 50)
        wait_for(lambda: second.containers == [f"gpulab-{stays}-1"], within=40, what="the end of the lab whose time is up, by the cut-off host alone")
        assert (_of(second, stays, "state"), _of(second, stays, "node_id"), _of(second, ends, "state")) == ("running", "n2", "running")
        elsewhere = world.running("charlie", gpus=0)
        assert _of(second, elsewhere, "node_id") == "n1"
    finally:
        second.cable("heal")
    second.until("ready", 30)
    wait_for(lambda: _of(second, ends, "reason_code") == "time_up", within=30, what="the record to hear of it")
    assert (_of(second, stays, "state"), _of(second, stays, "attempt")) == ("running", 1)
    wait_for(lambda: httpx.get(url + "api", headers=headers, timeout=5).status_code == 200, within=20, what="the way into the lab again")

    _manage(
        second,
        "from labs.lifecycle.nodes import node_drain\n"
        "node_drain(node=Node.objects.get(pk='n2'), until=now() + timedelta(seconds=5), words='A fan.', actor=actor, now=now())",
    )
    wait_for(lambda: _of(second, stays, "reason_code") == "drained" and _of(second, stays, "state") == "stopped", within=40, what="the drained lab's end")
    second.until("cordoned", 20)
    assert second.containers == []
    assert not world.rows("SELECT gpu_id FROM lifecycle_lease WHERE closed_at IS NULL GROUP BY gpu_id HAVING count(*) > 1")
    assert _of(second, here, "state") == "running"

    second.stop()
    _manage(second, "from labs.enrolment.services import node_give_up\nnode_give_up(node=Node.objects.get(pk='n2'), actor=actor, now=now())")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(environment_read(second.place)["GPULAB_DATABASE_URL"])
    world.stop_all()
