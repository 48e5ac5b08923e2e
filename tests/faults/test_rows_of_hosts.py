"""FAULTS row 17, and what many hosts are for: labs on both, one cut off, healed, drained, its workspace moved to the other, and given up."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.faults.second import Second, second_host
from tests.faults.world import World, inside
from tests.support.waiting import wait_for
from tools.node.place import environment_read

#: It takes minutes on a machine that others work on too, and waits for the kernel's own clocks: not in each run.
pytestmark = [pytest.mark.engine, pytest.mark.postgres, pytest.mark.long]
#: How long the cable is out: as long as it takes, and as the line of row 17 says.
SHORT_S, LONG_S = 0, 300
#: Seconds after which the record is right again, of row 17.
LINE_S = 15
AS_ADMIN = "from datetime import timedelta\nfrom django.utils.timezone import now\nfrom labs.fleet.models import Node\nfrom labs.people.models import User\n"
AS_ADMIN += "actor = User.objects.get(role='administrator')\nn1, n2 = Node.objects.get(pk='n1'), Node.objects.get(pk='n2')\n"
MOVE = """
from labs.lifecycle.nodes import node_drain
from labs.lifecycle.relocations import workspaces_move
from labs.storage.services import workspace_record
node_drain(node=n2, until=now() + timedelta(seconds=3), words='A fan.', actor=actor, now=now())
alice = User.objects.get(email='alice@example.edu')
workspace_record(owner_id=alice.pk, node_id='n2', size=9, files=1, whole=True, now=now())
assert workspaces_move(source=n2, destination=n1, actor=actor, now=now()) == 1
"""
GIVE_UP = """
from labs.fleet.services import node_unknown
from labs.enrolment.services import node_give_up
node_unknown(node_id='n2', now=now())
n2.refresh_from_db()
node_give_up(node=n2, actor=actor, now=now())
"""


def as_admin(world: World, script: str) -> None:
    """What an administrator does on the page of nodes."""
    world.house.manage("shell", "--no-imports", "-c", AS_ADMIN + script)


def put(world: World, statement: str, *values: object) -> None:
    """Write into the records themselves."""
    with psycopg.connect(world.postgres.url) as link:
        link.execute(statement, values)  # type: ignore[arg-type]  # statements of the tests


@pytest.fixture
def second(world: World) -> Iterator[Second]:
    """A second host, which is given up afterwards, so that the house is again what it was."""
    with second_host(world) as joined, inside(world.namespace):
        yield joined
        joined.cable("heal")
        put(world, "UPDATE fleet_node SET state = 'ready' WHERE id = 'n1' AND state = 'cordoned'")
        joined.stop()
        if joined.state() != "gone":
            as_admin(world, GIVE_UP)
        world.stop_all()


def of(world: World, lab_id: str, *columns: str) -> tuple[object, ...]:
    """These columns of a lab."""
    return world.rows(f"SELECT {', '.join(columns)} FROM lifecycle_lab WHERE id = %s", lab_id)[0]


@contextlib.contextmanager
def cordoned(world: World, node: str) -> Iterator[None]:
    """That node takes no lab meanwhile."""
    put(world, "UPDATE fleet_node SET state = 'cordoned' WHERE id = %s", node)
    yield
    put(world, "UPDATE fleet_node SET state = 'ready' WHERE id = %s", node)


def labs_there(world: World, second: Second) -> tuple[str, str]:
    """Two labs of alice's on the second host."""
    with cordoned(world, "n1"):
        stays, ends = world.launch("alice"), world.launch("alice", gpus=0)
        for lab in (stays, ends):
            world.house.lab_until("alice", lab, "running", within=120)
    assert sorted(second.containers) == sorted(f"gpulab-{lab}-1" for lab in (stays, ends))
    return stays, ends


def cut_off(world: World, second: Second, stays: str, ends: str, seconds: float) -> str:
    """The host without its network: it ends the lab whose time is up by itself, and nothing of it begins elsewhere. A third lab of alice's, which waits."""
    while not ends_soon(world, ends):
        pass
    second.cable("cut")
    began = time.monotonic()
    if not seconds:  # half a minute of silence, without waiting for it
        put(world, "UPDATE fleet_node SET heartbeat_at = heartbeat_at - interval '25 seconds' WHERE id = 'n2'")
    second.until("unknown", 120)
    waits, elsewhere = world.launch("alice", gpus=0), world.running("charlie", within=120)
    wait_for(lambda: second.containers == [f"gpulab-{stays}-1"], within=120, what="the end of the lab whose time is up, by the cut-off host alone")
    while time.monotonic() - began < seconds:
        assert (of(world, stays, "state"), of(world, waits, "state"), second.state()) == (("running",), ("queued",), "unknown")
        time.sleep(1)
    assert of(world, stays, "state", "node_id") == ("running", "n2") and of(world, ends, "state") == ("running",)
    assert of(world, elsewhere, "node_id") == ("n1",)
    with world.house.api("alice") as client:
        said = client.get(f"/labs/{waits}").text
    assert of(world, waits, "state") == ("queued",) and "Your files are on node n2, so your labs run there." in said
    return waits


def ends_soon(world: World, lab_id: str) -> bool:
    """The lab's time is up in 25 s, and its host has seen that it is; False where that took so long that it must be put off again."""
    put(world, "UPDATE lifecycle_lab SET ends_at = now() + interval '25 seconds' WHERE id = %s", lab_id)
    heard = "SELECT heartbeat_at FROM fleet_node WHERE id = 'n2'"
    looked, began = world.rows(heard), time.monotonic()
    wait_for(lambda: world.rows(heard) != looked, within=60, what="a look of the host at its labs")
    return time.monotonic() - began < 15


def healed(world: World, second: Second, stays: str, ends: str, waits: str) -> float:
    """The cable is back: the record hears what became of its labs, and what waited for it starts there. Seconds until that was right."""
    second.cable("heal")
    began = time.monotonic()
    second.until("ready", 120)
    wait_for(lambda: of(world, ends, "reason_code") == ("time_up",), within=120, what="the record to hear of the lab that ended")
    took = time.monotonic() - began
    world.house.lab_until("alice", waits, "running", within=120)
    assert of(world, waits, "node_id") == ("n2",) and of(world, stays, "state", "attempt") == ("running", 1)
    assert not world.rows("SELECT gpu_id FROM lifecycle_lease WHERE closed_at IS NULL GROUP BY gpu_id HAVING count(*) > 1")
    return took


def moved(world: World, second: Second, stays: str) -> None:
    """The host is drained and its workspace carried to the first, by the relays: what was written there is read here."""
    thesis(second.engine, stays).write_text("all of it")
    as_admin(world, MOVE)
    wait_for(lambda: of(world, stays, "state", "reason_code") == ("stopped", "drained"), within=120, what="the drained lab's end")
    ends = "SELECT state, words FROM relocation_relocation ORDER BY id DESC"
    wait_for(lambda: world.rows(ends)[0][0] in ("moved", "failed"), within=120, what="an end of the move")
    assert world.rows(ends)[0] == ("moved", "")
    second.until("cordoned", 120)
    again = world.running("alice", within=120)
    assert of(world, again, "node_id") == ("n1",)
    assert thesis(world.engine, again).read_text() == "all of it"
    assert second.containers == []


def thesis(engine: object, lab_id: str) -> Path:
    """A file of the lab's workspace, where its engine keeps it."""
    mounts = engine.inspect_container(f"gpulab-{lab_id}-1")["Mounts"]  # type: ignore[attr-defined]
    return Path(next(mount["Source"] for mount in mounts if mount["Destination"] == "/workspace")) / "thesis.tex"


def opens(url: str, headers: dict[str, str]) -> bool:
    """Does the lab answer through the relays?"""
    try:
        return httpx.get(url + "api", headers=headers, timeout=10).status_code == 200
    except httpx.HTTPError:
        return False


def walk(world: World, second: Second, seconds: float) -> float:
    """All of it, with the cable out for so long; how many seconds after it was back the record was right."""
    with cordoned(world, "n2"):
        here = world.running("bob", gpus=0) if seconds else ""
    stays, ends = labs_there(world, second)
    url, headers = world.door(stays)  # by the house's relay and, with mutual TLS, the host's own
    waits = cut_off(world, second, stays, ends, seconds)
    took = healed(world, second, stays, ends, waits)
    again = time.monotonic()
    wait_for(lambda: opens(url, headers), within=120, what="the way into the lab again")
    print(f"\ncut off for {seconds:g} s: the record was right {took:.1f} s after the cable was back; the way in {time.monotonic() - again:.1f} s after that")
    moved(world, second, stays)
    assert not here or of(world, here, "state", "attempt") == ("running", 1)
    second.stop()
    as_admin(world, GIVE_UP)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(environment_read(second.place)["GPULAB_DATABASE_URL"])
    world.stop_all()
    world.books()
    return took


@pytest.mark.timeout(600)
def test_row_17_a_node_that_is_cut_off_keeps_its_labs_and_its_clock_and_gives_its_files_away(world: World, second: Second) -> None:
    assert walk(world, second, SHORT_S) <= LINE_S


@pytest.mark.timeout(1800)
def test_row_17_a_node_that_is_cut_off_for_five_minutes_keeps_its_labs_and_its_clock_and_gives_its_files_away(world: World, second: Second) -> None:
    assert walk(world, second, LONG_S) <= LINE_S
