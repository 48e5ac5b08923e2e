"""Where workspaces are, on a real engine and in folders: made, found, swapped by a move, and forgotten once they are empty."""

import os
import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.conftest import need
from tests.worker.carrying.test_here import UID, carried, end
from worker.carrying.here import Here
from worker.runtimes.docker.places import VolumePlaces
from worker.runtimes.places import Places
from worker.runtimes.process.places import FolderPlaces


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.engine)])
def places(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    """Of one node of its own."""
    tmp_path.chmod(0o755)
    if request.param == "process":
        yield FolderPlaces(tmp_path / "workspaces")
        return
    address = need("GPULAB_TEST_DOCKER", "a container engine")
    if os.geteuid() != 0:
        pytest.skip("needs root: the engine's volumes are root's")
    monkeypatch.setenv("DOCKER_HOST", address)
    realm = secrets.token_hex(4)
    yield VolumePlaces(realm)
    api: Any = docker.APIClient(base_url=address, version="auto", timeout=20)
    for volume in api.volumes(filters={"label": f"gpulab.node={realm}"})["Volumes"] or []:
        api.remove_volume(volume["Name"], force=True)


def _end(places: Places, name: str, node: str) -> Here:
    unbound = end(Path("/nowhere"), name=node)
    return replace(unbound, find=lambda make: places.folder(name, make=make), drop=lambda: places.drop(name))


def test_a_workspace_is_moved_there_and_forgotten_here(places: Places) -> None:
    one, two = (f"gpulab-{secrets.token_hex(4)}-ws-1" for _ in range(2))
    assert places.folder(one, make=False) is None
    folder = places.folder(one, make=True)
    assert folder
    folder.mkdir(exist_ok=True)
    (folder / "thesis.tex").write_text("all of it")
    if os.geteuid() == 0:
        os.chown(folder / "thesis.tex", UID, UID)
    places.drop(one)
    assert places.folder(one, make=False) == folder  # what is not empty stays
    source, destination = _end(places, one, "n1"), _end(places, two, "n2")
    carried(source, destination)
    assert source.digest() == destination.digest()
    for _ in range(2):
        destination.land()
        source.set_aside()
    there = places.folder(two, make=False)
    assert there and (there / "thesis.tex").read_text() == "all of it"
    assert list(folder.iterdir()) == []
    source.tidy()
    assert places.folder(one, make=False) is None
