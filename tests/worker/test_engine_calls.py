"""However many containers there are: one engine call a round, and one more for each that changed."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.hands import AtOnce, NoCards
from tests.support.recorded_engine import RecordedEngine
from worker.hands import Hands
from worker.loops import reconcile, usage
from worker.runtimes.base import RuntimeFault
from worker.runtimes.docker.runtime import DockerRuntime

pytestmark = pytest.mark.django_db
COUNT = 30


@pytest.fixture
def engine(lab_of, root_admin, node, now) -> RecordedEngine:
    made = RecordedEngine(node.realm)
    from labs.lifecycle.models import Lab

    first = lab_of(root_admin)
    labs = [first, *(Lab(owner=root_admin, name=f"n{n}", image=first.image, gpus=0, **SIZES, requested_at=now, state_since=now) for n in range(COUNT - 1))]
    Lab.objects.bulk_create(labs[1:])
    for n, lab in enumerate(labs):
        made.add(lab.pk, 1, 20000 + 2 * n)
        doors = {"jupyter_host": "127.0.0.1", "jupyter_port": 20000 + 2 * n, "ssh_host": "127.0.0.1", "ssh_port": 20001 + 2 * n}
        Lab.objects.filter(pk=lab.pk).update(state="running", node=node, **doors)
    return made


SIZES: dict[str, Any] = {"cpus": 1, "memory_mib": 1024, "shm_mib": 512, "pids": 100, "hours": 4}


def test_a_steady_round_asks_the_engine_once_and_the_use_of_labs_not_at_all(engine, node, now, monkeypatch, tmp_path: Path):
    monkeypatch.setattr(reconcile, "pool", AtOnce())
    with engine.served(tmp_path) as address:
        runtime = DockerRuntime(node_id=node.realm, state_dir=tmp_path, network_range="10.200.0.0/16", images_dir=tmp_path, address=address)
        hands = Hands(node_id=node.pk, runtime=runtime, probe=NoCards())
        assert reconcile.tick(hands=hands, now=now) == []
        assert [call.partition("?")[0] for call in engine.calls] == ["/containers/json"]
        usage.tick(hands=hands, cards={}, now=now)  # the first look learns each lab's process
        engine.calls.clear()
        usage.tick(hands=hands, cards={}, now=now)
        assert engine.calls == []
        for name in list(engine.rows)[:3]:
            engine.ends(name)
        runtime.observe()
        assert len(engine.calls) == 1 + 3
        engine.calls.clear()
        runtime.observe()
        assert len(engine.calls) == 1


def test_a_container_that_does_not_start_is_removed_by_its_id_not_whatever_bears_its_name_by_then(engine, node, tmp_path: Path):
    name, row = next(iter(engine.rows.items()))
    row["State"] = "created"
    spec: Any = SimpleNamespace(name=name, mounts=())
    with engine.served(tmp_path) as address:
        runtime = DockerRuntime(node_id=node.realm, state_dir=tmp_path, network_range="10.200.0.0/16", images_dir=tmp_path, address=address)
        with pytest.raises(RuntimeFault, match="500"):
            runtime._start(spec)
    assert engine.calls[-2:] == [f"POST /containers/{row['Id']}/start", f"DELETE /containers/{row['Id']}"]
